# ENIs that are unplugged, and plugged in again.

# gone: the ENI is neither here nor on its way, and nothing of a task is left.
gone() { links "[nic(\"$eni\")] == []" && nothing_left; }
no_eth0() { not inside "$1" ip link show eth0; }

topic "the ENI is unplugged while the task runs"
start a
unplug eni
check "the task has lost it" no_eth0 a
check "poststop succeeds" call poststop a
check "nothing is left" gone
end a
plug eni $eni
start a
unplug eni
end a
check "and after the task's death" call poststop a
check "nothing is left" gone
plug eni $eni

topic "the ENI is unplugged while prestart runs"
# Not connected: the hook has done everything and waits for a carrier.
carrier eni false
container b
(call prestart b 2>/tmp/error; echo $? >/tmp/status) &
waiting=$!
until_so inside b ip link show eth0
unplug eni
wait $waiting
check "prestart fails" [ "$(cat /tmp/status)" -eq 1 ]
check "with one line about it" says eth0
check "it is rolled back" gone
check "inside too" links 'map(.ifname) == ["lo"]' -n "$(ip netns attach b "$(pid_of b)" && echo b)"
ip netns delete b
end b
report "# $(cat /tmp/error)"
failed=0 clean=0
printf '[eni]\nattach-timeout-seconds = 1\n' >$config
for delay in $(seq 0.02 0.03 0.44); do
    plug eni $eni
    container b
    call prestart b 2>>/tmp/errors &
    starting=$!
    sleep "$delay"
    unplug eni
    # It may have been too late: then the task has started, and poststop has to be called.
    wait $starting && call poststop b || failed=$((failed + 1))
    gone && clean=$((clean + 1))
    end b
done
report "# $failed of 15 starts failed"
printf '[eni]\nattach-timeout-seconds = 20\n' >$config
check "15 times, at some moment: nothing is left" [ $clean -eq 15 ]
check "some of the starts failed" [ $failed -gt 0 ]

topic "15 rounds of plugging, starting, stopping, unplugging"
devices() { ls /sys/bus/pci/devices /sys/bus/virtio/devices | wc -l; }
ip -json link | jq 'map(.ifname)' >/tmp/before
before=$(devices)
rounds=0
for round in $(seq 15); do
    plug eni $eni && start "round-$round" && works "round-$round" || break
    # Half of them die first.
    [ $((round % 2)) -eq 0 ] && end "round-$round"
    call poststop "round-$round" && home "$(name_of $eni)" || break
    [ $((round % 2)) -eq 1 ] && end "round-$round"
    unplug eni && gone || break
    rounds=$((rounds + 1))
done
check "all of them pass" [ $rounds -eq 15 ]
check "the links are what they were" \
    links "map(.ifname) == $(cat /tmp/before)"
check "and so are the devices" [ "$(devices)" -eq "$before" ]
plug eni $eni
