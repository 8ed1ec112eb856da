#!/bin/bash
# Real network interfaces: boots Debian's cloud kernel in qemu, without KVM, plugs and unplugs virtio
# NICs while it runs, and lets tests/vm/guest.sh see what the hook makes of it. There, the instance is
# the machine's initial namespace, so the kernel's own sending home of interfaces is what is tested.
#
#   tests/vm/run.sh path/to/oci-awsvpc-hook
#
# Needs root only for what tests/setup.sh installs. Logs are kept in target/vm.
set -eu -o pipefail

hook=$(realpath "${1:?usage: tests/vm/run.sh path/to/oci-awsvpc-hook}")
here=$(dirname "$(realpath "$0")")
work=$(realpath -m "$here/../../target/vm")
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$work"

# The kernel comes as a Debian package that is unpacked, not installed.
fetch_kernel() {
    local package
    [ -e "$work"/kernel/boot/vmlinuz-* ] 2>/dev/null && return
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
    (cd "$work" && rm -f ./*.deb && apt-get download -qq "$package" && dpkg -x "$package"_*.deb kernel)
    depmod -b "$work/kernel" "$(ls "$work/kernel/lib/modules")"
}

# add PROGRAM...: programs, and the libraries that they need.
add() {
    local program file library
    for program in "$@"; do
        file=$(readlink -f "$(command -v "$program")")
        rm -f "$root/bin/$program"
        cp "$file" "$root/bin/$program"
        ldd "$file" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
            mkdir -p "$root${library%/*}"
            cp -n "$library" "$root$library"
        done
    done
}

make_initramfs() {
    local module file applet release
    root=$work/root
    release=$(ls "$work/kernel/lib/modules")
    rm -rf "$root"
    mkdir -p "$root"/{bin,proc,sys,dev,run,tmp,etc,modules,test}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    # dash: busybox's shell would take its own ip for iproute2's.
    add dash ip nsenter unshare
    ln -sf dash "$root/bin/sh"
    for module in virtio_pci virtio_net veth bridge dummy; do
        modprobe -d "$work/kernel" -S "$release" --show-depends $module
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        cp "$file" "$root/modules/"
        basename "$file" >>"$root/modules/order"
    done
    cp "$hook" "$root/test/oci-awsvpc-hook"
    cp "$here/guest.sh" "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
}

# Plugs and unplugs as the guest asks on its console: "@plug NAME MAC", "@unplug NAME" of the one that was
# plugged last. All NICs are on one hub, which is the subnet.
serve() {
    local line name mac passed=0 failed=0 plugged=0
    while IFS= read -r line; do
        line=${line%$'\r'}
        printf '%s\n' "$line" >>"$work/console.log"
        case $line in
        '@plug '*)
            read -r _ name mac <<<"$line"
            # A number, because a name is free again only some time after the guest let go.
            plugged=$((plugged + 1))
            echo "netdev_add hubport,hubid=1,id=net$plugged" >"$work/monitor.in"
            echo "device_add virtio-net-pci,id=$name$plugged,netdev=net$plugged,mac=$mac" >"$work/monitor.in"
            ;;
        '@unplug '*)
            read -r _ name <<<"$line"
            echo "device_del $name$plugged" >"$work/monitor.in"
            ;;
        'ok '*) passed=$((passed + 1)) && echo "$line" ;;
        'not ok '*) failed=$((failed + 1)) && echo "$line" ;;
        '# '* | '== '*) echo "$line" ;;
        'END')
            echo
            echo "$passed passed, $failed failed"
            [ $failed -eq 0 ] && [ $passed -gt 0 ] && return 0
            return 1
            ;;
        esac
    done
    echo "the virtual machine stopped early; its console: $work/console.log" >&2
    return 1
}

fetch_kernel
make_initramfs
rm -f "$work"/monitor.* "$work/console.log"
mkfifo "$work/monitor.in" "$work/monitor.out"
cat "$work/monitor.out" >"$work/monitor.log" &
exec 9<>"$work/monitor.in" # keeps it open between commands
timeout 600 qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 1024 -nodefaults -no-reboot \
    -display none -serial stdio -chardev "pipe,id=monitor,path=$work/monitor" \
    -mon chardev=monitor,mode=readline -kernel "$work"/kernel/boot/vmlinuz-* \
    -initrd "$work/initramfs" -append 'console=ttyS0 quiet panic=-1' </dev/null | serve
