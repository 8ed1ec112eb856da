#!/bin/bash
# Real network interfaces: boots Debian's cloud kernel in qemu, without KVM, and runs tests/vm/guest/init
# there as the first process. It plugs and unplugs virtio NICs and lets the topics in the same folder see
# what the hook makes of them. There, the instance is the machine's initial namespace, so the kernel's
# own sending home of interfaces is what is tested.
#
#   tests/vm/run.sh path/to/oci-awsvpc-hook [TOPIC...]
#
# Prints what the guest reports, in the Test Anything Protocol. Exit status: 0 if all checks of all
# topics (or of those that are named) hold. Everything is kept in target/vm: tap.log, console.log (the
# kernel's messages, and what the commands printed), qemu.log.
#
# Needs root only for what tests/install-tools.sh installs.
set -eu -o pipefail

hook=$(realpath "${1:?usage: tests/vm/run.sh path/to/oci-awsvpc-hook [TOPIC...]}")
shift
topics=${*:-start stop names plug many trunk udev runtimes}
limit=600 # seconds, for all of it
here=$(dirname "$(realpath "$0")")
work=$(realpath -m "$here/../../target/vm")
root=$work/root
qemu=
PATH=$PATH:/usr/sbin:/sbin

# unpack DIRECTORY PACKAGE...: Debian packages, unpacked, not installed.
unpack() {
    local directory=$work/$1 package
    shift
    [ -e "$directory" ] && return
    rm -rf "$work/packages" && mkdir -p "$work/packages" "$directory.new"
    # As root, apt-get would complain that its own user cannot write here.
    (cd "$work/packages" && apt-get -o APT::Sandbox::User=root download -qq "$@")
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$directory.new"
    done
    mv "$directory.new" "$directory"
}

unpack_kernel() {
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
    unpack kernel "$package"
    release=$(ls "$work/kernel/lib/modules")
}

# add FILE...: programs into /bin, and the libraries that they need.
add() {
    local file library
    for file in "$@"; do
        rm -f "$root/bin/${file##*/}"
        cp "$(readlink -f "$file")" "$root/bin/${file##*/}"
        if ldd "$file" 2>&1 | grep 'not found'; then
            echo "$file: a library is missing here" >&2
            exit 1
        fi
        # None, of a static one.
        (ldd "$file" 2>/dev/null || true) | sed -n 's/[^/]*\(\/[^ ]*\).*/\1/p' | while read -r library; do
            mkdir -p "$root${library%/*}"
            cp -nL "$library" "$root$library"
        done
    done
}

# systemd-udevd and systemd-networkd, and what they need, as Debian ships it.
add_udev() {
    unpack udev udev
    cp -a "$work/udev/lib/udev" "$root/lib/udev"
    mkdir -p "$root"/{lib/systemd,etc/udev/rules.d,etc/systemd/network}
    cp -a "$work/udev/lib/systemd/network" "$root/lib/systemd/network"
    add "$work/udev/bin/udevadm"
    ln -s udevadm "$root/bin/systemd-udevd" # it is what it is called
    add /lib/systemd/systemd-networkd
    printf '%s\n' root:x:0:0::/:/bin/sh systemd-network:x:998:998::/:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: systemd-network:x:998: >"$root/etc/group"
    cp "$here"/../../packaging/integration/*.{rules,network} "$root/test/"
}

# All that has to do with networks: the guest loads what it needs when it needs it, as usual.
add_modules() {
    local modules=$work/kernel/lib/modules/$release directory
    for directory in net drivers/net drivers/virtio drivers/char lib crypto; do
        mkdir -p "$root/lib/modules/$release/kernel/${directory%/*}"
        cp -a "$modules/kernel/$directory" "$root/lib/modules/$release/kernel/$directory"
    done
    cp "$modules"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
    depmod -b "$root" "$release"
    add "$(command -v kmod)"
    ln -sf kmod "$root/bin/modprobe"
}

make_initramfs() {
    local applet
    rm -rf "$root"
    mkdir -p "$root"/{bin,lib,usr,proc,sys,dev,run,tmp,etc,mnt,test}
    ln -s bin "$root/sbin"
    ln -s ../bin "$root/usr/sbin"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    # dash: busybox's shell would take its own ip for iproute2's.
    for applet in dash ip bridge nsenter unshare nft date runc crun; do
        add "$(command -v "$applet")"
    done
    ln -sf dash "$root/bin/sh"
    # jq proper takes half a second to start here, which this one does not.
    unpack gojq gojq
    add "$work/gojq/usr/bin/gojq"
    ln -s gojq "$root/bin/jq"
    add_udev
    add_modules
    cp "$hook" "$root/test/oci-awsvpc-hook"
    strip --strip-debug "$root/test/oci-awsvpc-hook" 2>/dev/null || true
    cp "$here"/guest/* "$root/test/"
    echo "$topics" >"$root/test/topics"
    ln -s test/init "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
}

# The guest's ports: its console; what it reports; and qemu's own control socket (QMP), so that it can
# plug NICs in and out and hear what becomes of it.
boot() {
    local nothing
    rm -f "$work"/{tap,qmp,console.log}
    mkfifo "$work/tap"
    # Whatever kills this script, kills qemu. (Without mitigations, emulation is faster.)
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 1024 \
        -nodefaults -no-reboot -display none \
        -kernel "$work"/kernel/boot/vmlinuz-* -initrd "$work/initramfs" \
        -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
        -chardev "file,id=console,path=$work/console.log" -serial chardev:console \
        -chardev stdio,id=tap,signal=off -serial chardev:tap \
        -chardev "socket,id=qmp,path=$work/qmp,server=on,wait=off" -mon chardev=qmp,mode=control \
        -chardev "socket,id=wire,path=$work/qmp" -device virtio-serial \
        -device virtserialport,chardev=wire \
        </dev/null >"$work/tap" 2>"$work/qemu.log" 8>&- &
    qemu=$!
    exec 3<"$work/tap"
}

# Shows what comes, and judges it: as many checks as the plan at the end says, and all hold.
follow() {
    local line plan='' passed=0 failed=0
    : >"$work/tap.log"
    while IFS= read -r -t $((limit - SECONDS)) line <&3; do
        line=${line%$'\r'}
        echo "$line"
        echo "$line" >>"$work/tap.log"
        case $line in
        'ok '*) passed=$((passed + 1)) ;;
        'not ok '*) failed=$((failed + 1)) ;;
        1..*) plan=${line#1..} ;;
        'Bail out!'*) failed=$((failed + 1)) ;;
        esac
        [ $SECONDS -lt $limit ] || break
    done
    echo "# $passed passed, $failed failed, in $SECONDS s"
    if [ "$plan" = $((passed + failed)) ] && [ $failed -eq 0 ] && [ $passed -gt 0 ]; then
        return
    fi
    if [ -z "$plan" ]; then
        echo "# the virtual machine did not finish within $limit s, or stopped early"
    fi
    echo "# what it said last; all of it is in $work/console.log"
    tail -n 40 "$work/console.log" | tr -d '\r' | sed 's/^/#   /'
    sed 's/^/# qemu: /' "$work/qemu.log"
    return 1
}

clean_up() {
    [ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null || true
    rm -f "$work"/{tap,qmp}
}

mkdir -p "$work"
exec 8>"$work/lock"
flock --nonblock 8 || { echo "another run uses $work" >&2; exit 1; }
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
unpack_kernel
make_initramfs
SECONDS=0
boot
follow
