#!/bin/bash
# Real network interfaces: boots a Debian cloud kernel in qemu, without KVM, and runs tests/vm/guest/init
# there as the first process. It plugs and unplugs virtio NICs and lets the topics in the same folder see
# what the hook makes of them. There, the instance is the machine's initial namespace, so the kernel's
# own sending home of interfaces is what is tested.
#
#   [KERNEL=5.10|6.1|6.12|7] tests/vm/run.sh path/to/oci-awsvpc-hook [core|all|TOPIC...]
#
# Without KERNEL it is 6.1. The programs in the guest are this machine's own, whatever the kernel is. A
# kernel is fetched once: to have its latest version, delete target/vm/KERNEL.
#
# Prints what the guest reports, in the Test Anything Protocol. Exit status: 0 if all checks of all
# topics (or of those that are named) hold. Everything is kept in target/vm/KERNEL: tap.log, console.log
# (the kernel's messages, and what the commands printed), qemu.log.
#
# Needs root only for what tests/install-tools.sh installs.
set -eu -o pipefail

# The topics, in the order in which they run. `make test` runs all of them on one kernel, and on the
# oldest and the newest one the core: what depends most on the kernel.
core='start stop custody'
all="$core names plug many trunk udev runtimes"

fail() {
    echo "tests/vm/run.sh: $*" >&2
    exit 1
}

hook=$(realpath "${1:?usage: tests/vm/run.sh path/to/oci-awsvpc-hook [core|all|TOPIC...]}")
shift
limit=1200 # seconds, for all of it: a fifth is enough on a machine that does nothing else
here=$(dirname "$(realpath "$0")")
topics=
for topic in "${@:-all}"; do
    case $topic in
    core) topics+=" $core" ;;
    all) topics+=" $all" ;;
    *)
        [ -e "$here/guest/$topic.sh" ] || fail "there is no topic $topic"
        topics+=" $topic"
        ;;
    esac
done

# The Debian releases that have these kernels.
kernel=${KERNEL:-6.1}
case $kernel in
5.10) suite=bullseye ;;
6.1) suite=bookworm ;;
6.12) suite=trixie ;;
7) suite=unstable ;;
*) fail "KERNEL is 5.10, 6.1, 6.12 or 7, not $kernel" ;;
esac

work=$(realpath -m "$here/../../target/vm")
root=$work/root   # what is the same under all kernels
own=$work/$kernel # and what is not
apt_options=()
qemu=
PATH=$PATH:/usr/sbin:/sbin

# unpack DIRECTORY PACKAGE...: Debian packages, unpacked, not installed.
unpack() {
    local directory=$1 package
    shift
    [ -e "$directory" ] && return
    rm -rf "$work/packages" "$directory.new" && mkdir -p "$work/packages" "$directory.new"
    # As root, apt-get would complain that its own user cannot write here.
    (cd "$work/packages" && apt-get "${apt_options[@]}" -o APT::Sandbox::User=root download -qq "$@")
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$directory.new"
    done
    rm -rf "$work/packages"
    mv "$directory.new" "$directory"
}

# apt for another release than this machine's: with sources, lists and caches of its own, so that this machine's
# are left alone. The mirror is this machine's, and what it takes to reach it, such as a proxy, too.
configure_apt() {
    local apt=$own/apt mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
        head -n 1)
    mkdir -p "$apt"/{lists,archives}/partial
    # The keyring of Debian 12 has keys that all four releases are signed with.
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "${mirror:-http://deb.debian.org/debian} $suite main" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt";
Dir::Cache "$apt";
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    # Unlike APT_CONFIG, this is read after the machine's own.
    apt_options=(-c "$apt/apt.conf")
}

# The packages of the kernel: from 7 on, linux-image-* is empty, and what it depends on is the kernel.
kernel_packages() {
    apt-cache "${apt_options[@]}" depends --recurse --important linux-image-cloud-amd64 |
        grep -E '^linux-[a-z]+-[0-9].*-cloud-amd64$'
}

# unpack_kernel: into $own/vmlinuz, and $own/modules, which is a part of an initramfs.
unpack_kernel() {
    local packages modules
    [ -e "$own/modules" ] && return
    echo "# fetching Linux $kernel from Debian $suite"
    configure_apt
    apt-get "${apt_options[@]}" update -qq
    packages=$(kernel_packages) || fail "Debian $suite has no linux-image-cloud-amd64"
    # shellcheck disable=SC2086 # one name a word
    unpack "$own/packages" $packages
    apt_options=()
    modules=$(dirname "$(find "$own/packages" -name modules.builtin)")
    [[ ${modules##*/} = "$kernel".* ]] || fail "Debian $suite has Linux ${modules##*/} now, not $kernel"
    cp "$(find "$own/packages" -name 'vmlinuz*' -type f)" "$own/vmlinuz"
    pack_modules "$modules" >"$own/modules.new"
    rm -rf "$own"/{apt,packages,root}
    mv "$own/modules.new" "$own/modules"
}

# pack_modules DIRECTORY: all that has to do with networks: the guest loads what it needs when it needs it, as
# usual.
pack_modules() {
    local release=${1##*/} directory
    local to=$own/root/lib/modules/$release
    rm -rf "$own/root"
    for directory in net drivers/net drivers/virtio drivers/char lib crypto; do
        mkdir -p "$to/kernel/${directory%/*}"
        cp -a "$1/kernel/$directory" "$to/kernel/$directory"
    done
    cp "$1"/modules.{builtin,builtin.modinfo,order} "$to/"
    # From 6.12 on they are compressed, which takes the guest longer to undo than it takes here.
    find "$to" -name '*.ko.xz' -exec xz -d {} +
    depmod -b "$own/root" "$release"
    pack "$own/root"
}

# pack DIRECTORY: what is in it, as a part of an initramfs.
pack() { (cd "$1" && find . | cpio --quiet -o -H newc | gzip -1); }

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
    unpack "$work/udev" udev
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
    for applet in dash ip bridge ethtool nsenter unshare nft date runc crun; do
        add "$(command -v "$applet")"
    done
    ln -sf dash "$root/bin/sh"
    # jq proper takes half a second to start here, which this one does not.
    unpack "$work/gojq" gojq
    add "$work/gojq/usr/bin/gojq"
    ln -s gojq "$root/bin/jq"
    add "$(command -v kmod)"
    ln -sf kmod "$root/bin/modprobe"
    add_udev
    cp "$hook" "$root/test/oci-awsvpc-hook"
    strip --strip-debug "$root/test/oci-awsvpc-hook" 2>/dev/null || true
    cp "$here"/guest/* "$root/test/"
    echo "$topics" >"$root/test/topics"
    ln -s test/init "$root/init"
    # The kernel unpacks one after the other.
    { pack "$root" && cat "$own/modules"; } >"$own/initramfs"
}

# The guest's ports: its console; what it reports; and qemu's own control socket (QMP), so that it can
# plug NICs in and out and hear what becomes of it.
boot() {
    local nothing
    rm -f "$own"/{tap,qmp,console.log}
    mkfifo "$own/tap"
    # Whatever kills this script, kills qemu. Without mitigations, emulation is faster. The tick is never switched
    # off: where it was, on a busy machine, a timer of Linux 6.12 did not go off, and everything waited for it.
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 1024 \
        -nodefaults -no-reboot -display none \
        -kernel "$own/vmlinuz" -initrd "$own/initramfs" \
        -append 'console=ttyS0 quiet panic=-1 mitigations=off nohz=off highres=off' \
        -chardev "file,id=console,path=$own/console.log" -serial chardev:console \
        -chardev stdio,id=tap,signal=off -serial chardev:tap \
        -chardev "socket,id=qmp,path=$own/qmp,server=on,wait=off" -mon chardev=qmp,mode=control \
        -chardev "socket,id=wire,path=$own/qmp" -device virtio-serial \
        -device virtserialport,chardev=wire \
        </dev/null >"$own/tap" 2>"$own/qemu.log" 8>&- &
    qemu=$!
    exec 3<"$own/tap"
}

# Shows what comes, and judges it: as many checks as the plan at the end says, and all hold.
follow() {
    local line plan='' passed=0 failed=0
    : >"$own/tap.log"
    while IFS= read -r -t $((limit - SECONDS)) line <&3; do
        line=${line%$'\r'}
        echo "$line"
        echo "$line" >>"$own/tap.log"
        case $line in
        'ok '*) passed=$((passed + 1)) ;;
        'not ok '*) failed=$((failed + 1)) ;;
        1..*) plan=${line#1..} ;;
        'Bail out!'*) failed=$((failed + 1)) ;;
        esac
        [ $SECONDS -lt $limit ] || break
    done
    echo "# Linux $kernel: $passed passed, $failed failed, in $SECONDS s"
    if [ "$plan" = $((passed + failed)) ] && [ $failed -eq 0 ] && [ $passed -gt 0 ]; then
        return
    fi
    if [ -z "$plan" ]; then
        echo "# the virtual machine did not finish within $limit s, or stopped early"
    fi
    echo "# what it said last; all of it is in $own/console.log"
    tail -n 40 "$own/console.log" | tr -d '\r' | sed 's/^/#   /'
    sed 's/^/# qemu: /' "$own/qemu.log"
    return 1
}

clean_up() {
    [ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null || true
    rm -f "$own"/{tap,qmp}
}

mkdir -p "$own"
exec 8>"$work/lock"
flock --nonblock 8 || fail "another run uses $work"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
unpack_kernel
make_initramfs
SECONDS=0
boot
follow
