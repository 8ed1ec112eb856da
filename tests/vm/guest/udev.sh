# A host with systemd's udev, which gives interfaces predictable names and renames them while the
# hook looks at them; and the rules in packaging/integration, which keep other daemons off.

# property NIC KEY: what udev has noted about an interface.
property() { udevadm info --query=property --property="$2" --value "/sys/class/net/$1"; }

# managed MAC, unmanaged MAC: what systemd-networkd, ec2-net-utils and NetworkManager look at.
unmanaged() {
    udevadm settle
    [ "$(property "$(name_of "$1")" ID_NET_MANAGED_BY)" = unmanaged ] &&
        [ "$(property "$(name_of "$1")" NM_UNMANAGED)" = 1 ]
}
managed() {
    udevadm settle
    [ -z "$(property "$(name_of "$1")" ID_NET_MANAGED_BY)$(property "$(name_of "$1")" NM_UNMANAGED)" ]
}
predictable() { name_of "$1" | grep '^en'; }

topic "udev"
unplug eni
primary=02:00:00:00:00:05
systemd-udevd --daemon
udevadm trigger --action=add
plug primary $primary ', "addr": "0x5"'
until_so predictable $primary
check "the instance's own interface has a predictable name" links "nic(\"$primary\").ifname == \"ens5\""
ip link set ens5 up
ip address add 10.0.0.9/24 dev ens5
ip route add default via 10.0.0.1
plug eni $eni
until_so predictable $eni
own=$(name_of $eni)
check "the ENI has one" links "nic(\"$eni\").ifname | test(\"^en[ps]\")"
check "a task starts" start a
check "it has the ENI, and reaches the VPC" works a
end a
check "poststop" call poststop a
udevadm settle
check "the ENI is home under its predictable name" home "$own"
start a
end a
until_so came_home
udevadm settle
check "nobody calls poststop, and udev sees it come home: gc" $hook gc
check "the ENI is home under its predictable name" home "$own"

topic "udev renames the ENI under the hook's feet"
started=0 restored=0
for round in $(seq 8); do
    unplug eni
    container a
    call prestart a &
    starting=$!
    until_so pidof oci-awsvpc-hook
    attach eni $eni
    wait $starting && works a && started=$((started + 1))
    call poststop a
    end a
    udevadm settle
    home "$(name_of $eni)" && restored=$((restored + 1))
done
check "8 times: the task starts" [ $started -eq 8 ]
check "8 times: the ENI comes home" [ $restored -eq 8 ]

topic "the rules for udev"
check "without them, the ENI is managed" managed $eni
cp /test/81-oci-awsvpc-hook.rules /etc/udev/rules.d/
udevadm control --reload
unplug eni
plug eni $eni
check "an ENI that is plugged in is unmanaged" unmanaged $eni
start a
call poststop a
check "and when a task is done with it" unmanaged $eni
end a
start a
end a
until_so came_home
check "and when it comes home by itself" unmanaged $eni
$hook gc
check "and when gc has restored it" unmanaged $eni
udevadm trigger --action=add /sys/class/net/*
check "so it is at boot" unmanaged $eni
check "the instance's own interface is managed" managed $primary
check "lo is" [ -z "$(property lo ID_NET_MANAGED_BY)" ]
udevadm control --exit
rm /etc/udev/rules.d/*
unplug primary
