# Names that are taken.

own=nic1
ip link set "$(name_of $eni)" name $own

topic "the name inside is taken outside"
start a
ip link add eth0 type dummy
end a
until_so came_home
check "the kernel finds the ENI another" links "nic(\"$eni\").ifname | startswith(\"dev\")"
check "poststop" call poststop a
check "gives it its own" home "$own"
start a
end a
until_so came_home
check "and so does gc" $hook gc
check "the ENI has its own name" home "$own"
ip link delete eth0

topic "its own name is taken"
start b
ip link add "$own" type dummy
end b
until_so came_home
check "poststop" call poststop b
check "the ENI has a free one" not present_as "$own"
check "and is clean" home "$(name_of $eni)"
ip link delete "$own"
ip link set "$(name_of $eni)" name "$own"
start b
ip link add "$own" type dummy
check "the same, of a task that lives" call poststop b
check "the ENI has a free one" not present_as "$own"
check "and is clean" home "$(name_of $eni)"
end b
ip link delete "$own"
ip link set "$(name_of $eni)" name "$own"
