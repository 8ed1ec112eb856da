# How tasks start: the ENI is there, comes, does not come, is renamed.

# hook_switches: how often the hook that waits has slept.
hook_switches() { sed -n 's/^voluntary_ctxt_switches:\s*//p' "/proc/$(pidof oci-awsvpc-hook)/status"; }

# seen_at MAC: when ip saw it come.
seen_at() {
    stamp=$(grep -m 1 -B 1 "link/ether $1" /tmp/monitor | sed -n 's/^\[\([^]]*\)\].*/\1/p')
    date -d "$stamp" +%s%3N
}

topic "the ENI is present before the start"
own=$(name_of $eni)
check "a task starts" start a
check "it has the ENI, and reaches the VPC" works a
inside a ip link add late index 511 type dummy
check "the interface to the credentials is listed last, whatever an ENI's index is" \
    inside a sh -c 'ip -json link | jq --exit-status "map(.ifname)[1:] | length == 3 and .[2] == \"ecs-eth0\""'
end a
check "poststop after the task's death" call poststop a
check "the ENI is home" home "$own"
check "poststop again" call poststop a
check "changes nothing" home "$own"

topic "the ENI is attached while prestart waits"
asleep=0 there='' waited=''
for round in 1 2 3; do
    container a
    begin=$(now)
    call prestart a
    there="$there $(($(now) - begin))"
    call poststop a
    end a

    unplug eni
    container a
    ip -tshort monitor link >/tmp/monitor &
    monitor=$!
    (call prestart a; now >/tmp/returned) &
    waiting=$!
    until_so pidof oci-awsvpc-hook
    sleep 1
    switches=$(hook_switches)
    sleep 1
    [ -n "$switches" ] && [ "$(hook_switches)" = "$switches" ] && asleep=$((asleep + 1))
    attach eni $eni
    wait $waiting
    waited="$waited $(($(cat /tmp/returned) - $(seen_at $eni)))"
    kill $monitor
    [ $round = 3 ] && check "it has the ENI, and reaches the VPC" works a
    call poststop a
    end a
done
report "# ms with the ENI there:$there; from its coming:$waited"
check "while it waits, the hook sleeps without a break" [ $asleep -eq 3 ]
check "from the ENI's coming, a start takes about as long as one with the ENI there, or less" \
    [ "$(median $waited)" -le $(($(median $there) * 3 / 2 + 50)) ]

topic "the ENI never comes"
unplug eni
printf '[eni]\nattach-timeout-seconds = 1\n' >$config
container a
check "the error says so" refused "no ENI $eni on the instance: present are" call prestart a
check "and lists what is there" links "map(select(.link_type == \"ether\").address) - (\"$(cat /tmp/refused)\" | [scan(\"..:..:..:..:..:..\")]) == []"
check "nothing is left" nothing_left
end a
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
plug eni $eni

topic "the ENI is renamed under the hook's feet"
own=$(name_of $eni)
renamed() { [ "$(wc -l </tmp/renames)" -ge "$1" ]; }
started=0 restored=0
for round in $(seq 10); do
    container a
    # Until it is gone.
    (while ip link set "$own" name moving && ip link set moving name "$own"; do
        echo >>/tmp/renames
    done) 2>/dev/null &
    renaming=$!
    until_so renamed $((2 * round))
    call prestart a && works a && started=$((started + 1))
    wait $renaming
    end a
    call poststop a && name=$(name_of $eni) && home "$name" && restored=$((restored + 1))
    ip link set "$name" name "$own"
done >/tmp/renaming 2>&1
check "it was renamed often enough" renamed 20
check "10 times: the task starts" [ $started -eq 10 ]
check "10 times: the ENI comes home, under a name that it had" [ $restored -eq 10 ]

topic "a kernel that lacks something"
# Bridge ports can be locked from Linux 5.18 on.
older() { [ "$(printf '%s\n' "$(uname -r)" 5.18 | sort -V | tail -n 1)" = 5.18 ]; }
$hook host-setup --config $config --log-level warn >/dev/null 2>/tmp/error
if older; then
    check "host-setup says so" says "no locked bridge ports"
else
    check "host-setup says nothing of what it does not lack" [ ! -s /tmp/error ]
fi
report "# $(cat /tmp/error)"
container z
inside z ip route add blackhole default
ip link set "$(name_of $eni)" alias "my uplink"
call prestart z 2>/tmp/error
check "a start fails" [ $? -eq 1 ]
check "with one line about it" says "another route"
check "an administrator's alias is back" links "nic(\"$eni\").ifalias == \"my uplink\""
ip link set "$(name_of $eni)" alias ""
end z

topic "the bridge and the rules are taken away"
start y
check "not while a task is there" refused "stop their tasks first" $hook host-teardown
call poststop y
end y
nft add element inet oci_awsvpc_tasks tasks '{ 00:00:00:00:00:00 comment "teardown by 4711@1" }'
check "by another call, after one that was killed" $hook host-teardown
check "no table is left" [ -z "$(nft list tables)" ]
check "a task makes all of it anew" start y
check "and reaches the VPC" works y
call poststop y
end y

topic "IPv6 addresses, and no router that advertises itself"
printf '[eni]\nattach-timeout-seconds = 20\nrouter-timeout-seconds = 1\n' >$config
inside vpc ip address add 2001:db8::1/64 dev vpc nodad
warns() { call prestart a ',"com.amazonaws.ecs.eni.ipv6-addresses":"2001:db8::5,2001:db8::6"' 2>&1 | grep "$1"; }
container a
check "a start goes on with a warning" warns "eth0 has no IPv6 default route: no annotation names a gateway"
check "the first address is the source of new connections" \
    inside a sh -c 'ip -6 route get 2001:db8::1 | grep "src 2001:db8::5 "'
check "the VPC answers" pings a 2001:db8::1
check "the kernel was asked to solicit routers" inside a sh -c 'ip token | grep "5a:a1ff:fe1a:4342 dev eth0"'
end a
call poststop a
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
