# Branch ENIs: VLANs of a trunk, created in the task and deleted with it. The router has VLANs 101 and 102.

trunk=02:5a:a1:1a:43:a0
for vlan in 101 102; do
    inside vpc ip link add link vpc name vpc.$vlan type vlan id $vlan
    inside vpc ip address add 10.0.$((vlan - 100)).1/24 dev vpc.$vlan
    inside vpc ip link set vpc.$vlan up
done
plug trunk $trunk
ip link set "$(name_of $trunk)" name trunk0
# What a branch is called inside as well.
ip link set "$(name_of $eni)" name eth0

# of_vlan ID: the annotations of a branch.
of_vlan() {
    printf ',"com.amazonaws.ecs.eni.trunk-mac-address":"%s","com.amazonaws.ecs.eni.vlan-id":"%s"' $trunk "$1"
}
mac_of() { printf '02:5a:a1:1a:44:%02x' $(($1 % 256)); }
# container_of VLAN [SUFFIX], start_of VLAN [SUFFIX]: the task of a VLAN.
container_of() { container "vlan$1${2:-}" "$(mac_of "$1")" "10.0.$(($1 % 100)).5"; }
start_of() { container_of "$@" && call prestart "vlan$1${2:-}" "$(of_vlan "$1")"; }
stop_of() { call poststop "vlan$1${2:-}" "$(of_vlan "$1")"; }

# is_branch VLAN [MTU]: what the task of a VLAN has is a VLAN, this one, and labelled.
is_branch() {
    inside "vlan$1" ip -json -details link | jq --exit-status ".[] | select(.ifname == \"eth0\")
        | .linkinfo.info_kind == \"vlan\" and .linkinfo.info_data.id == $1 and .mtu == ${2:-1500}
        and .address == \"$(mac_of "$1")\""
}

# trunk_is UP-OR-DOWN: at home, as it was; and no VLAN but those of strangers is there.
trunk_is() {
    links "(nic(\"$trunk\") | .ifname == \"trunk0\" and .address == \"$trunk\" and .mtu == 1500
        and (if up then \"up\" else \"down\" end) == \"$1\" and inet == [] and .ifalias == null)
        and all(.[]; .linkinfo.info_kind != \"vlan\" or .ifname == \"stranger\")"
}

topic "a branch"
check "the trunk is down" trunk_is down
check "a task starts" start_of 101
check "it has the ENI, and reaches the VPC" works vlan101
check "which is VLAN 101" is_branch 101
check "the trunk is up, and otherwise left alone" trunk_is up
rules=$(inside vlan101 nft list ruleset)
inside vlan101 nft flush ruleset
check "gc, where its rules were flushed" $hook gc
check "puts them back" [ "$(inside vlan101 nft list ruleset)" = "${rules:?}" ]
check "poststop of a task that lives" stop_of 101
check "deletes the branch" [ -z "$(inside vlan101 ip -o link show type vlan)" ]
check "and nothing else" trunk_is up
check "nothing is left" nothing_left
check "poststop again" stop_of 101
end vlan101
start_of 101
end vlan101
check "poststop after the task's death" stop_of 101
check "nothing is left" nothing_left
check "a smaller mtu" start vlan101 "$(mac_of 101)" 10.0.1.5 "$(of_vlan 101),\"com.amazonaws.ecs.eni.mtu\":\"1400\""
check "is the branch's" is_branch 101 1400
stop_of 101
end vlan101
check "one that is larger than the trunk's is refused" refused "the trunk's own is 1500" \
    start vlan101 "$(mac_of 101)" 10.0.1.5 "$(of_vlan 101),\"com.amazonaws.ecs.eni.mtu\":\"1501\""
check "nothing is left" nothing_left
end vlan101

topic "nobody calls poststop"
start_of 101 dead
end vlan101dead
check "killed, and at once the next task wants the branch" start_of 101
check "it has it, and reaches the VPC" works vlan101
end vlan101
until_so came_home
check "gc" $hook gc
check "nothing is left" nothing_left

topic "names that are taken on the instance"
ip link add eth7 type dummy
check "the instance has an eth0 and an eth7" links 'any(.[]; .ifname == "eth0") and any(.[]; .ifname == "eth7")'
check "a branch is called eth7" start vlan101 "$(mac_of 101)" 10.0.1.5 \
    "$(of_vlan 101),\"com.amazonaws.ecs.eni.interface-name\":\"eth7\""
check "inside" [ -n "$(inside vlan101 ip -o link show eth7 type vlan)" ]
check "a second call" call prestart vlan101 "$(of_vlan 101),\"com.amazonaws.ecs.eni.interface-name\":\"eth7\""
inside vlan101 ip link set eth7 down
inside vlan101 ip link set eth7 name eth0 alias ''
check "one that was killed before the branch had its name: another call" \
    call prestart vlan101 "$(of_vlan 101),\"com.amazonaws.ecs.eni.interface-name\":\"eth7\""
check "gives it its name" [ -n "$(inside vlan101 ip -o link show eth7 type vlan)" ]
check "it reaches the VPC" pings vlan101 10.0.1.1
stop_of 101
end vlan101
ip link delete eth7

topic "two branches"
check "one starts" start_of 101
check "another starts" start_of 102
check "one reaches its router" works vlan101
check "the other reaches its own" works vlan102
inside vlan101 ip address add 10.0.2.99/24 dev eth0
check "one does not see the other's router" not pings vlan101 10.0.2.1
check "nor the other" not pings vlan101 10.0.2.5
container thief "$(mac_of 101)"
check "nobody else gets the branch" refused "is in use by the task of container vlan101" \
    call prestart thief "$(of_vlan 101)"
echo "$(pid_of thief) $trunk 10.0.0.5" >/run/tasks/thief
check "and nobody gets the trunk as an ENI" refused "is a trunk" call prestart thief
check "it is where it was" trunk_is up
end thief
check "poststop of one" stop_of 101
check "the other does not notice" works vlan102
stop_of 102
end vlan101 vlan102

topic "leftovers"
start_of 101
inside vlan101 ip link set eth0 down
inside vlan101 ip link set eth0 name leftover netns 1
end vlan101
until_so came_home
check "a task put its branch on the instance" links \
    'any(.[]; .ifname == "leftover" and (.ifalias | startswith("awsvpc ")))'
check "the next one gets it" start_of 101
check "and reaches the VPC" works vlan101
check "the leftover is gone" trunk_is up
stop_of 101
end vlan101
start_of 101
inside vlan101 ip link set eth0 name leftover netns 1
end vlan101
until_so came_home
check "the same, and gc" $hook gc
check "the leftover is gone" trunk_is up
ip link add link trunk0 name stranger type vlan id 103
ip link set stranger up
check "a stranger's VLAN is an error" refused "stranger on the instance has VLAN 103" start_of 103
check "and left alone" links 'any(.[]; .ifname == "stranger" and up)'
check "nothing is left of the task" nothing_left
end vlan103
ip link delete stranger

topic "40 branches at once"
vlans=$(seq 201 240)
forty_start() {
    local jobs='' failed=0
    for vlan in $vlans; do container_of "$vlan"; done
    for vlan in $vlans; do
        call prestart "vlan$vlan" "$(of_vlan "$vlan")" &
        jobs="$jobs $!"
    done
    for job in $jobs; do wait "$job" || failed=$((failed + 1)); done
    [ $failed -eq 0 ]
}
forty_stop() {
    local ten failed=0
    # With all forty, a request takes longer under emulation than the hook waits for it.
    for ten in 20 21 22 23; do
        local jobs=''
        for vlan in $(seq ${ten}1 ${ten}9) $((ten * 10 + 10)); do
            stop_of "$vlan" &
            jobs="$jobs $!"
        done
        for job in $jobs; do wait "$job" || failed=$((failed + 1)); done
    done
    [ $failed -eq 0 ]
}
all_forty() {
    for vlan in $vlans; do inside "vlan$vlan" ip -json -details address; done |
        jq --slurp --exit-status '
            map(map({(.ifname): .}) | add) | length == 40
            and (map(.eth0.linkinfo.info_data.id) == [range(201; 241)])
            and all(.[]; .eth0.operstate == "UP" and .["ecs-eth0"].operstate == "UP")
            and (map(.["ecs-eth0"].address) | unique | length) == 40'
}
check "40 tasks start" forty_start
check "each with its VLAN, all with different addresses" all_forty
check "the trunk is left alone" trunk_is up
end $(printf 'vlan%s ' $vlans)
check "killed at once, and poststop of ten at once" forty_stop
check "nothing is left" nothing_left
check "the trunk is left alone" trunk_is up

topic "the trunk is unplugged while tasks run"
start_of 101
start_of 102
unplug trunk
check "the branches are gone with it" [ -z "$(inside vlan101 ip -o link show type vlan)" ]
check "poststop of one" stop_of 101
end vlan101 vlan102
check "poststop of the other, after its death" stop_of 102
check "nothing is left" nothing_left

topic "the trunk is not attached"
printf '[eni]\nattach-timeout-seconds = 1\n' >$config
check "it never comes: the error says so" refused "no trunk ENI $trunk on the instance: present are" start_of 101
check "nothing is left" nothing_left
end vlan101
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
container_of 101
call prestart vlan101 "$(of_vlan 101)" &
starting=$!
until_so pidof oci-awsvpc-hook
plug trunk $trunk
check "it comes while prestart waits" wait $starting
check "the task reaches the VPC" works vlan101
stop_of 101
end vlan101
unplug trunk
