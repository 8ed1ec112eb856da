#!/bin/sh
# Installs what the tests and the demo need and this machine lacks. As root, with apt-get or dnf;
# otherwise it says what is missing.
#
#   tests/install-tools.sh build          what `make` needs
#   tests/install-tools.sh run            what `make demo` and `make test` need besides
#   tests/install-tools.sh engines        what `make test` needs besides as root
#   tests/install-tools.sh deny           what `make deny` needs besides
#   tests/install-tools.sh packages       what `make deb` and `make rpm` need besides
#   tests/install-tools.sh packages-test  what `make packages` needs besides
#   tests/install-tools.sh vm             what `make test-vm` needs besides
#   tests/install-tools.sh bench          what `make bench` needs besides
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
ethtool ethtool ethtool
hostname hostname hostname
dnsmasq dnsmasq-base dnsmasq
python3 python3 python3
/usr/bin/time time time'
needs_for_bench='/usr/lib/cni/host-device containernetworking-plugins containernetworking-plugins'
needs_for_engines='crun crun crun
podman podman podman
catatonit catatonit catatonit
pip3 python3-pip python3-pip
containerd containerd containerd
dockerd docker.io moby-engine'
# A part of the above in Debian 12.
needs_for_clients='docker docker-cli docker-cli'

needs_for_packages='rpmbuild rpm rpm-build'

# Debian only: dpkg installs one of the packages for real.
needs_for_packages_test='lintian lintian -
rpmlint rpmlint -
podman podman -
crun crun -
man man-db -
col bsdextrautils -
readelf binutils -
systemctl systemd -'

# Debian only: the kernels are packages of it. (run.sh fetches those and others, and unpacks them.)
needs_for_vm='qemu-system-x86_64 qemu-system-x86 -
cpio cpio -
depmod kmod -
gzip gzip -
xz xz-utils -
strip binutils -
crun crun -
/lib/systemd/systemd-networkd systemd -
setpriv util-linux -
flock util-linux -'

# cargo's tools, in versions that the same input gives the same output with. Without optimisation
# they are built in half the time.
tools='cargo-deb 3.8.0
cargo-cyclonedx 0.5.9
cargo-deny 0.20.2'

missing() {
    echo "$1" | while read -r program debian fedora; do
        command -v "$program" >/dev/null 2>&1 || eval "echo \$$2"
    done | sort -u | tr '\n' ' '
}

install_tools() {
    echo "$tools" | grep -E "^($1) " | while read -r tool version; do
        cargo "${tool#cargo-}" --version 2>/dev/null | grep -qwF "$version" && continue
        echo "installing $tool $version"
        cargo install --quiet --locked --debug --target-dir target/tools "$tool@$version" </dev/null
    done
}

# An AWS SDK, and what answers it, for whichever python3 this machine has: below target/, out of its way.
install_sdk() {
    requirements=tests/it/engines/names/sdk/requirements.txt
    stamp="$(python3 -c 'import sys; print(sys.executable, sys.version)') $(cat $requirements)"
    [ "$(cat target/sdk/stamp 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing boto3 and moto"
    rm -rf target/sdk
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --only-binary :all: \
        --target target/sdk --requirement $requirements
    echo "$stamp" >target/sdk/stamp
}

# The tests start engines by themselves, in namespaces of their own. A package that starts its daemon, now
# or at the next boot, would change the machine's own network.
without_daemons() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    "$@"
    command -v systemctl >/dev/null || return 0
    for package in $packages; do
        case $package in
        docker.io | moby-engine) units='docker.service docker.socket' ;;
        containerd) units=containerd.service ;;
        podman) units='podman.service podman.socket podman-auto-update.timer podman-restart.service' ;;
        *) continue ;;
        esac
        # shellcheck disable=SC2086 # words are what they are
        systemctl --quiet disable $units 2>/dev/null || true
    done
}

install() {
    if command -v apt-get >/dev/null; then
        packages=$(missing "$1" debian)
        [ -z "$packages" ] && return
        installer='env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends'
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
    without_daemons $installer $packages >/dev/null
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
bench) install "$needs_for_bench" ;;
packages)
    install "$needs_for_packages"
    install_tools 'cargo-deb|cargo-cyclonedx'
    ;;
deny) install_tools cargo-deny ;;
packages-test) install "$needs_for_packages_test" ;;
engines)
    install "$needs_for_engines"
    install "$needs_for_clients"
    install_sdk
    ;;
vm)
    command -v apt-get >/dev/null || { echo "the virtual machine's kernels are Debian's" >&2; exit 1; }
    install "$needs_for_vm"
    # One that is fetched, not installed.
    apt-cache show gojq >/dev/null 2>&1 || apt-get update -qq
    ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
