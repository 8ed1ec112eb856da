#!/bin/sh
# Installs what the tests and the demo need and this machine lacks. As root, with apt-get or dnf;
# otherwise it says what is missing.
#
#   tests/setup.sh build    what `make` needs
#   tests/setup.sh run      what `make demo` and `make test` need besides
#   tests/setup.sh vm       what `make test-vm` needs besides
set -eu

# program, its package on Debian, its package on Amazon Linux and Fedora
needs_to_build='cc gcc gcc'
needs_to_run='ip iproute2 iproute
bridge iproute2 iproute
nsenter util-linux util-linux
busybox busybox-static busybox
runc runc runc
nft nftables nftables
iptables-nft iptables iptables-nft
iptables-legacy iptables iptables-legacy
strace strace strace
/usr/bin/time time time'

missing() {
    echo "$1" | while read -r program debian fedora; do
        command -v "$program" >/dev/null 2>&1 || eval "echo \$$2"
    done | sort -u | tr '\n' ' '
}

# Debian only: the kernel is one of its packages.
needs_for_vm='qemu-system-x86_64 qemu-system-x86 -
cpio cpio -
depmod kmod -
gzip gzip -'

install() {
    if command -v apt-get >/dev/null; then
        packages=$(missing "$1" debian)
        [ -z "$packages" ] && return
        installer='env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends'
        update='apt-get update -qq'
    elif command -v dnf >/dev/null; then
        packages=$(missing "$1" fedora)
        [ -z "$packages" ] && return
        installer='dnf install -y -q'
        update=true
    else
        packages=$(missing "$1" debian)
        [ -z "$packages" ] && return
        echo "please install: $packages" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "please install, as root: $packages" >&2
        exit 1
    fi
    echo "installing $packages"
    $update
    # shellcheck disable=SC2086 # words are what they are
    $installer $packages >/dev/null
}

PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin
case ${1:-} in
build)
    install "$needs_to_build"
    if ! command -v cargo >/dev/null; then
        echo "Rust is missing, and distributions' own is often too old: see https://rustup.rs" >&2
        exit 1
    fi
    ;;
run) install "$needs_to_run" ;;
vm)
    command -v apt-get >/dev/null || { echo "the virtual machine's kernel is Debian's" >&2; exit 1; }
    install "$needs_for_vm"
    apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get update -qq
    ;;
*) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
