# For the scripts beside this one: claims, an instance, and containers.
# shellcheck shell=bash

failed=0
eni=02:5a:a1:1a:43:42
hook=/usr/libexec/oci/hooks.d/oci-awsvpc-hook
app='--annotation com.amazonaws.ecs.container-name=app'

step() { printf '\n== %s\n' "$*"; }

# claim TEXT COMMAND...: the text holds if the command succeeds.
claim() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf '  pass  %s\n' "$text"
    else
        printf '  FAIL  %s\n%.4000s\n' "$text" "$output"
        failed=$((failed + 1))
    fi
}

cannot() { ! "$@"; }
is() { diff -U 0 --label 'what should be' --label 'what is' <(echo "$2") <(echo "$1"); }

verdict() {
    [ "$failed" -eq 0 ] || { printf '\n%d claims do not hold\n' "$failed"; exit 1; }
    printf '\nall claims hold\n'
}

# What has been added to the machine, or changed, or removed, but for what is listed in the file $1:
# the journals of the package managers.
changes() {
    local path
    (cd /box/changes && find . -mindepth 1 ! -type d -o -type d -empty) | while read -r path; do
        [ "$path" = ./box ] || [ -d "/box/before/$path" ] || echo "$path"
    done | grep -vxE -f "$1" | sort
}

# The folders that are new.
folders() {
    local path
    (cd /box/changes && find . -mindepth 1 -type d) | while read -r path; do
        [ "$path" = ./box ] || [ -e "/box/before/$path" ] || echo "$path"
    done | grep -vxE -f "$1" | sort
}

# The box's own network becomes an instance with an ENI, which ends at a router.
make_instance() {
    ip netns add router
    ip link add eth1 address $eni mtu 9001 type veth peer name eni mtu 9001 netns router
    ip -n router address add 10.0.0.1/24 dev eni
    ip -n router link set eni up
}

# What the hook makes for all tasks together, and what others have made of the kind.
host_side() {
    nft --stateless list ruleset
    ip -o link show type bridge
    ip route
}

# Somebody else's rules.
make_rules() {
    nft add table inet others
    nft add chain inet others input '{ type filter hook input priority 0; policy accept; }'
}

# podman as it is installed, told what this machine may lack: systemd, cgroups of one kind, and a file
# system that overlays can be put on.
make_podman() {
    local root=/tmp/image
    mkdir -p /etc/containers $root/bin
    cat >/etc/containers/containers.conf <<TOML
[engine]
events_logger = "file"
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
TOML
    cat >/etc/containers/storage.conf <<TOML
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/tmp/containers/storage"
TOML
    cp "$(command -v busybox)" $root/bin/busybox
    ln -s busybox $root/bin/sleep
    ln -s busybox $root/bin/true
    ln -s busybox $root/bin/cat
    tar -C $root -c . | podman import --quiet - pause >/dev/null
}

# The README's task, whole.
start_task() {
    podman run -d --name task --network none \
        --annotation com.amazonaws.ecs.container-name='~internal~ecs~pause' \
        --annotation com.amazonaws.ecs.eni.mac-address=$eni \
        --annotation com.amazonaws.ecs.eni.ipv4-addresses=10.0.0.5 \
        --annotation com.amazonaws.ecs.eni.subnet-gateway-ipv4-address=10.0.0.1/24 \
        pause sleep 1000
}

in_task() { nsenter --net="/proc/$(podman inspect --format '{{.State.Pid}}' task)/ns/net" -- "$@"; }

# All that the task sees of its network, once the kernel is sure of its own link-local addresses.
network_of_task() {
    local tries=100
    while [ -n "$(in_task ip address show tentative)" ] && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    in_task sh -c 'ip -d address; ip route; ip -6 route; ip neighbour show nud permanent'
}

task_has_network() {
    in_task ip -j address show eth0 | grep '"10.0.0.5"' &&
        in_task ip route | grep -x '169.254.170.2 via 169.254.172.1 dev ecs-eth0 ' &&
        in_task busybox ping -c 1 -W 5 10.0.0.1
}

# knows_names ARGUMENT...: a container that podman starts, or a running one.
knows_names() { podman "$@" cat /etc/resolv.conf | grep -x 'nameserver 169.254.169.253'; }

# How often a program that runs a container ran the hook: strace saw it.
calls() {
    strace -f --seccomp-bpf -qq -e trace=execve -o /tmp/strace "$@" >/dev/null 2>&1 || { echo "failed: $*"; return; }
    grep -c "execve(\"$hook\"" /tmp/strace
}
