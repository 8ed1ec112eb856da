# How tasks end: with poststop, without it, the pause container first, having done what they could.

topic "nobody calls poststop"
own=$(name_of $eni)
start b
end b
until_so came_home
check "the ENI comes home by itself, labelled" links "nic(\"$eni\") | .ifalias | startswith(\"awsvpc container=b \")"
check "gc" $hook gc
check "the ENI is restored" home "$own"
start c
end c
until_so came_home
check "the next task gets it" start d
check "and reaches the VPC" works d
check "poststop of a task that lives" call poststop d
check "the ENI is home" home "$own"
end d

topic "killed, and at once the next task wants the ENI"
start e
container f
end e
check "the next task waits for it to come home" call prestart f
check "it reaches the VPC" works f
check "the first one's late poststop" call poststop e
check "does no harm" works f
call poststop f
end f

topic "the pause container dies first"
start g
inside g sleep 100000 &
application=$!
until_so own_netns $application
end g
echo "0 $eni 10.0.0.5" >/run/tasks/g # as crun has it
check "poststop takes the ENI from the application" call poststop g
check "which lives on" kill -0 $application
check "the ENI is home" home "$own"
kill -9 $application

topic "a task with CAP_NET_ADMIN"
# disguise ID: another MAC address, and no label.
disguise() {
    inside "$1" ip link set eth0 down
    inside "$1" ip link set eth0 address 02:66:66:66:66:66 alias ''
}
start h
disguise h
end h
until_so came_home
check "the ENI comes home as another" links "nic(\"$eni\") | .address == \"02:66:66:66:66:66\" and .ifalias == null"
check "poststop" call poststop h
check "knows it by its hardware" home "$own"
start h
disguise h
check "poststop of a task that lives" call poststop h
check "knows it too" home "$own"
end h
start i
disguise i
end i
until_so came_home
check "without poststop: the next task gets the ENI" start j
check "with its own MAC address, and reaches the VPC" works j
call poststop j
check "the ENI is home" home "$own"
end j
start k
inside k ip link set eth0 alias ''
end k
until_so came_home
check "label wiped: poststop" call poststop k
check "finds the ENI" home "$own"
start l
inside l ip link set eth0 alias "awsvpc container=l eni=$router name=lo mtu=68 netns=1"
end l
until_so came_home
check "a forged label is not believed by poststop" call poststop l
check "nor by gc" $hook gc
check "and lo is lo" links '.[0] | .ifname == "lo" and up and .mtu == 65536'
ip link set "$(name_of $eni)" alias '' name "$own"
