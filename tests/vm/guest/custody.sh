# An ENI that changes hands: what a hostile task did to it is not there for the next one, and harms
# nobody. The tasks' root is nobody outside: each is in a user namespace of its own.

# hostile ID [MAC [ADDRESS]]: a container whose root has every capability in its own namespaces; started.
hostile() {
    unshare --user --map-root-user --net sleep 100000 &
    echo "$! ${2:-$eni} ${3:-10.0.0.5}" >"/run/tasks/$1"
    until_so own_netns $! && until_so grep -q 0 "/proc/$!/uid_map" && call prestart "$1"
}
# does ID COMMAND...: as its root.
does() {
    local id=$1
    shift
    as_root_of "$(pid_of "$id")" "$@"
}
as_root_of() {
    local pid=$1
    shift
    nsenter --target "$pid" --user --net --preserve-credentials -- "$@"
}
# child ID: a program of its own in a network namespace that it made inside; $child is its pid.
child() {
    # Not by a function, which would be another process.
    nsenter --target "$(pid_of "$1")" --user --net --preserve-credentials -- unshare --net sleep 100000 &
    child=$!
    until_so child_of "$1" $child
}
child_of() { own_netns "$2" && [ "$(readlink "/proc/$2/ns/net")" != "$(readlink "/proc/$(pid_of "$1")/ns/net")" ]; }
kill_child() {
    kill -9 $child
    wait $child 2>/dev/null
}

# Before Linux 5.15, alternative names that come home with an interface stay, though nothing is found by them.
case $(uname -r) in
5.10.*) names_stay=true ;;
*) names_stay=false ;;
esac

# shape NIC: all that the tools tell of an interface that is down. It has the kernel's usual qdisc if it has been on.
shape() {
    ip -json -details link show dev "$1" |
        jq --arg usual "$(cat /proc/sys/net/core/default_qdisc)" --argjson names_stay $names_stay '
            map(del(.ifindex, .operstate)) | map(if .qdisc == $usual then .qdisc = "noop" else . end)
            | if $names_stay then map(del(.altnames)) else . end'
    ethtool -k "$1"
    ethtool -g "$1"
    (cd "/sys/class/net/$1/queues/tx-0/byte_queue_limits" &&
        grep . ../../../threaded limit_max limit_min hold_time)
}
# normal: the ENI is at home, under its name, as it was before the first task.
normal() {
    home "$own" || return 1
    shape "$own" >/tmp/shape
    diff /tmp/normal /tmp/shape
}
# links_of PID: what is in a namespace.
links_of() { nsenter --target "$1" --net -- ip -json link | jq --compact-output 'map(.ifname) | sort'; }
empty() { [ "$(links_of "$1")" = '["lo"]' ]; }
# one_line COMMAND...: it fails with one line that names the ENI.
one_line() {
    refused "$eni" "$@" && [ "$(wc -l </tmp/refused)" -eq 1 ]
}
# next: another task gets the ENI, works, and stops.
next() {
    start next && works next
    worked=$?
    call poststop next
    end next
    [ $worked -eq 0 ] && normal
}
# another_eni: the same one, plugged in anew, so that nothing of what was before decides.
another_eni() {
    unplug eni
    plug eni $eni
    ip link set "$(name_of $eni)" name $own
}
# others: what must not change, whatever a task does: the instance's own interface, and the neighbour's.
others() {
    local shown='map(del(.operstate, .link_netnsid, .addr_info[].tentative))'
    ip -json -details address show dev "$uplink" | jq "$shown"
    ip rule && ip route
    inside neighbour ip -json -details address | jq "$shown"
}
unchanged() {
    others >/tmp/others.now
    diff /tmp/others /tmp/others.now
}

own_mac=02:00:00:00:00:05
second=02:5a:a1:1a:43:43
printf '[eni]\nattach-timeout-seconds = 1\nreturn-timeout-seconds = 2\n' >$config
plug own $own_mac
plug eni2 $second
uplink=$(name_of $own_mac)
ip address add 10.0.9.2/24 dev "$uplink"
ip link set "$uplink" up
ip route add default via 10.0.9.1 dev "$uplink"
ip rule add iif wg0 lookup 100
inside vpc ip address add 10.0.1.1/24 dev vpc
second_name=$(name_of $second)
own=nic1
ip link set "$(name_of $eni)" name $own
start first && call poststop first
end first
shape $own >/tmp/normal
start neighbour $second 10.0.1.5
others >/tmp/others
# With the neighbour's port and neighbour entry, "nothing is left" is about the other task alone.
nothing_left() {
    [ "$(ip -o link show type bridge_slave | wc -l)" -eq 1 ] &&
        [ "$(ip neighbour show nud permanent | wc -l)" -eq 1 ]
}
came_home() { present "${1:-$eni}" && [ "$(ip -o link show type bridge_slave | wc -l)" -eq 1 ]; }

topic "custody: nothing was done"
hostile a
end a
check "it comes home by itself, and poststop" call poststop a
check "finds nothing else to do" normal

topic "custody: what a task set"
another_eni
settings() {
    does "$1" sh -c '
        set -e
        ip link set eth0 arp off promisc on allmulticast on multicast off txqueuelen 1 group 77
        ip link set eth0 dynamic on trailers off
        ip link set eth0 broadcast 02:00:00:00:00:99
        ip link set eth0 gso_max_size 1000 gso_max_segs 1
        ip link property add dev eth0 altname ecs-bridge altname ens9
        ip link set eth0 mode dormant mtu 1280'
    does "$1" ip link set eth0 gro_max_size 1000
    does "$1" ethtool -K eth0 tx off sg off tso off gso off gro off
    does "$1" ethtool -G eth0 rx 64
    does "$1" unshare --mount sh -c '
        mount -t sysfs sys /sys
        cd /sys/class/net/eth0
        echo 1 >threaded
        cd queues/tx-0/byte_queue_limits
        for limit in limit_max limit_min hold_time; do echo 7 >$limit; done'
}
hostile a
check "a task sets all that it can" settings a
check "poststop of a task that lives" call poststop a
check "brings it home in normal form" normal
end a
check "the next task works" next
another_eni
hostile a
settings a
end a
until_so came_home
check "it comes home by itself, and gc" $hook gc
check "gives it its normal form" normal
check "poststop, late" call poststop a
check "the next task works" next
another_eni
hostile a
settings a
end a
until_so came_home
check "it comes home by itself, and the next task works at once" next
check "nobody else has noticed" unchanged

topic "custody: names"
another_eni
hostile a
seq 1000 1479 | sed "s/.*/link property add dev eth0 altname $(printf 'x%.0s' $(seq 123))&/" >/tmp/names
many_names() { [ "$(inside a ip -json link show dev eth0 | jq '.[].altnames | length')" -eq 480 ]; }
check "a task takes 480 names" does a ip -batch /tmp/names
check "and has them" many_names
end a
until_so came_home
check "poststop" call poststop a
check "sees it all the same" normal
check "and nothing is found by them" [ -z "$(ip link show dev "$(printf 'x%.0s' $(seq 123))1000" 2>/dev/null)" ]
another_eni
hostile a
does a ip link delete ecs-eth0
does a ip link property add dev eth0 altname ecs-eth0
end a
until_so came_home
check "the credential interface's: the next task works" next
another_eni
hostile a
does a ip link set eth0 down
does a ip link set eth0 name wg0
end a
until_so came_home
check "a name in a policy rule: the next task works" next
check "and the rule is there" unchanged

topic "custody: interfaces on it"
another_eni
stack() {
    child "$1"
    does "$1" ip link add link eth0 name mv0 netns $child type macvlan mode passthru &&
        as_root_of $child ip link set mv0 up
}
hostile a
stack a
check "a macvlan in a child namespace: poststop" call poststop a
check "deletes it" empty $child
check "the next task works" next
kill_child
end a
for kind in 'macvlan mode passthru' 'vlan id 7' 'ipvlan mode l2'; do
    another_eni
    hostile a
    child a
    does a ip link add link eth0 name on0 netns $child type $kind
    as_root_of $child ip link set on0 up
    end a
    until_so came_home
    check "${kind%% *}, and the ENI comes home by itself: gc" $hook gc
    check "deletes it" empty $child
    check "the next task works" next
    kill_child
done
another_eni
hostile a
stack a
end a
until_so came_home
check "a macvlan, and nobody tidies up: the next task works" next
check "and the macvlan is gone" empty $child
kill_child

topic "custody: hidden"
another_eni
hide() {
    child "$1"
    does "$1" ip link set eth0 netns $child
}
hostile a
hide a
check "in a child namespace: poststop" call poststop a
check "brings it home" normal
kill_child
end a
hostile a
hide a
does a ip link add eth0 address $eni type veth peer name other netns $child
end a
check "the task is dead, a child namespace lives: poststop" call poststop a
check "brings it home" normal
kill_child
# Neither a process nor a mount nor a descriptor of the namespace: a socket that was made in it.
hostile a
hide a
as_root_of $child ip link set lo up
nsenter --target $child --user --net --preserve-credentials -- \
    busybox nc -l -p 7 -e nsenter --target "$(pid_of a)" --net -- sleep 100000 &
server=$!
until_so as_root_of $child sh -c 'busybox netstat -ltn | grep :7'
as_root_of $child busybox timeout 1 busybox nc 127.0.0.1 7 </dev/null
until_so grep -q sleep /proc/$server/comm
kill_child
check "where nobody can look: poststop fails, with one line about the ENI" one_line call poststop a
container next
check "the ENI is nobody else's" one_line call prestart next
end next
kill -9 $server
wait $server 2>/dev/null
until_so present $eni
check "and when it is home: poststop" call poststop a
check "restores it" normal
end a
hostile a
hide a
unplug eni
check "in a child namespace, and detached: poststop" call poststop a
check "has nothing to bring home" nothing_left
check "and gc has nothing to do" [ "$($hook gc)" = "nothing to do" ]
kill_child
end a
plug eni $eni
ip link set "$(name_of $eni)" name $own
hostile a
child a
does a ip link set ecs-eth0 netns $child
end a
until_so present $eni
check "a credential interface in a child namespace: poststop" call poststop a
check "leaves no port" normal
kill_child

topic "custody: others"
another_eni
hostile a
label=$(inside neighbour ip -json link show eth0 | jq --raw-output '.[].ifalias // ""')
does a ip link set eth0 down
does a ip link set eth0 address $second alias "$label"
end a
until_so came_home
check "the neighbour's label and address: gc" $hook gc
check "nobody has noticed" unchanged
check "the neighbour's poststop" call poststop neighbour
check "brings the neighbour's home" links "nic(\"$second\") | .ifname == \"$second_name\" and .address == \"$second\""
check "poststop" call poststop a
nothing_left() { [ -z "$(ip -o link show type bridge_slave)$(ip neighbour show nud permanent)" ]; }
check "brings its own home" normal
end neighbour
another_eni
container stranger
ip link set $own netns "$(pid_of stranger)"
container next
check "an ENI that is a stranger's is refused" one_line call prestart next
check "poststop" call poststop next
check "leaves it alone" [ "$(links_of "$(pid_of stranger)")" = "[\"lo\",\"$own\"]" ]
check "release" $hook release $eni
check "takes it home by force" links "nic(\"$eni\") | .ifname == \"eni0\" and .addr_info == []"
check "and then has nothing to do" [ "$($hook release $eni)" = "nothing to do" ]
end next stranger

topic "custody: the instance's own interface"
ip link set "$uplink" address 02:00:00:00:00:99
container next $own_mac
others_here() {
    ip -json -details address show dev "$uplink" | jq 'map(del(.operstate, .addr_info[].tentative))'
    ip route
}
others_here >/tmp/uplink
same_uplink() { others_here | diff /tmp/uplink -; }
check "it is refused by its hardware address" refused "$own_mac" call prestart next
check "poststop" call poststop next
check "leaves it alone" same_uplink
check "release refuses it" refused "$own_mac" $hook release $own_mac
check "and leaves it alone" same_uplink
end next

inside vpc ip address del 10.0.1.1/24 dev vpc
ip rule del iif wg0
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
unplug own
unplug eni2
