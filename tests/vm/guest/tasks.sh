# Tasks, and what must hold of them.

hook=/test/oci-awsvpc-hook
config=/tmp/config.toml
router=02:00:00:00:00:fe
eni=02:5a:a1:1a:43:42
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
mkdir -p /run/tasks

# container ID [MAC [ADDRESS]]: as far as the hook can tell, a process in a network namespace of its
# own; the ENI that it shall get, and its address.
container() {
    unshare --net sleep 100000 &
    echo "$! ${2:-$eni} ${3:-10.0.0.5}" >"/run/tasks/$1"
    until_so own_netns $!
}
own_netns() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/1/ns/net)" ]; }

pid_of() { cut -d ' ' -f 1 "/run/tasks/$1"; }
inside() {
    local id=$1
    shift
    nsenter --target "$(pid_of "$id")" --net -- "$@"
}

# end ID...: SIGKILL, all at once.
end() {
    local id pids=
    for id in "$@"; do pids="$pids $(pid_of "$id")"; done
    kill -9 $pids
    wait $pids 2>/dev/null
}

# call STAGE ID [ANNOTATIONS]: the hook, for a container.
call() {
    local pid mac address
    read -r pid mac address <"/run/tasks/$2"
    {
        printf '{"id":"%s","pid":%s,"bundle":"/nonexistent","annotations":{' "$2" "$pid"
        printf '"com.amazonaws.ecs.container-name":"~internal~ecs~pause",'
        printf '"com.amazonaws.ecs.eni.mac-address":"%s",' "$mac"
        printf '"com.amazonaws.ecs.eni.subnet-gateway-ipv4-address":"%s/24",' "${address%.*}.1"
        printf '"com.amazonaws.ecs.eni.ipv4-addresses":"%s"%s}}' "$address" "${3:-}"
    } | $hook "$1" --config $config --log-level warn
}

# start ID [MAC [ADDRESS [ANNOTATIONS]]]: a container, and prestart.
start() { container "$1" "${2:-}" "${3:-}" && call prestart "$1" "${4:-}"; }

# refused TEXT COMMAND...: it fails, and says this.
refused() {
    local text=$1
    shift
    "$@" >/tmp/refused 2>&1 && return 1
    cat /tmp/refused
    grep "$text" /tmp/refused
}

# pings ID ADDRESS
pings() { inside "$1" busybox ping -c 1 -W 2 "$2"; }

# works ID: its ENI is there as it should be, and has left the instance; the VPC answers.
works() {
    local mac address
    read -r _ mac address <"/run/tasks/$1"
    inside "$1" ip -json -details address >/tmp/inside || return 1
    ip -json -details address | jq --exit-status --slurpfile inside /tmp/inside \
        --arg mac "$mac" --arg address "$address" '
        ($inside[0][] | select(.ifname == "eth0")) as $eni
        | $eni.address == $mac and ($eni.ifalias | startswith("awsvpc "))
        and ($eni.flags | contains(["UP", "LOWER_UP"]))
        and any($eni.addr_info[]; .local == $address and .prefixlen == 24)
        and ($inside[0] | map(.ifname)) == ["lo", "eth0", "ecs-eth0"]
        and all(.[]; (.permaddr // .address) != $mac)' || { cat /tmp/inside && return 1; }
    pings "$1" "${address%.*}.1"
}

# nothing_left: no port on the bridge, no neighbour entry, no label.
nothing_left() {
    { ip -json -details link && ip -json neighbour show nud permanent; } | jq --slurp --exit-status '
        all(.[0][]; .master == null and .ifalias == null) and .[1] == []'
}

# home NAME [MAC [MTU]]: the ENI has this name, its own MAC address and MTU, is down, without addresses and
# without a label, and nothing of a task is left.
home() {
    links "nic(\"${2:-$eni}\") | .ifname == \"$1\" and .address == \"${2:-$eni}\" and .mtu == ${3:-1500}
        and (up | not) and .addr_info == [] and .ifalias == null" && nothing_left
}

came_home() { present "${1:-$eni}" && [ -z "$(ip -o link show type bridge_slave)" ]; }
