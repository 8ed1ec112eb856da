#!/bin/sh
# What runs in the virtual machine, as its first process: see run.sh. Every check is made with ip.

export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up
echo

hook=/test/oci-awsvpc-hook
eni=02:5a:a1:1a:43:42
router=02:00:00:00:00:fe

# check TEXT COMMAND...: a test; what a failed one printed is shown.
check() {
    text=$1
    shift
    if "$@" >/tmp/check 2>&1; then
        echo "ok $text"
    else
        echo "not ok $text: $*"
        sed 's/^/# /' /tmp/check
        ip -d address | sed 's/^/#   /'
    fi
}

not() { ! "$@"; }

# until COMMAND...: waits for it, for at most ten seconds.
until_so() {
    for _ in $(seq 1000); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.01
    done
    return 1
}

# The name of the NIC with a MAC address, its permanent one if a task changed the other.
name_of() {
    ip -o link | sed -n "s/^[0-9]*: \([^:@]*\).*\(link\/ether\|permaddr\) $1.*/\1/p"
}
present() { [ -n "$(name_of "$1")" ]; }
absent() { [ -z "$(name_of "$1")" ]; }

plug() {
    echo "@plug $1 $2"
    until_so present "$2"
}

unplug() { echo "@unplug $1"; }

# A container, as far as the hook can tell: a process in a network namespace of its own.
pause() {
    unshare --net sleep 100000 &
    pid=$!
    until_so own_netns $pid
}

own_netns() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/1/ns/net)" ]; }
in_task() { nsenter --target "$pid" --net -- "$@"; }

kill_task() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
}

# call STAGE ID [MAC] [EXTRA]: the hook, for the current container.
call() {
    {
        printf '{"id":"%s","pid":%s,"bundle":"/nonexistent","annotations":{' "$2" "$pid"
        printf '"com.amazonaws.ecs.container-name":"~internal~ecs~pause",'
        printf '"com.amazonaws.ecs.eni.mac-address":"%s",' "${3:-$eni}"
        printf '"com.amazonaws.ecs.eni.subnet-gateway-ipv4-address":"10.0.0.1/24",'
        printf '"com.amazonaws.ecs.eni.ipv4-addresses":"10.0.0.5"%s}}' "${4:-}"
    } | $hook "$1" --config /tmp/config.toml --log-level warn
}

refused_as_absent() {
    call prestart o 2>/tmp/error && return 1
    cat /tmp/error
    grep "no ENI $eni on the instance: present are" /tmp/error
}

works() { in_task busybox ping -c 1 -W 1 10.0.0.1; }

# The ENI under a name, with its own MAC address and MTU, down, without addresses and a label; and
# nothing of a task.
home_as() {
    [ "$(name_of $eni)" = "$1" ] &&
        ip -o link show "$1" | grep "mtu 1500.*state DOWN.*$eni" &&
        ip -o link show "$1" | not grep -e alias -e permaddr &&
        [ -z "$(ip -o address show "$1")" ] &&
        [ -z "$(ip -o link show type bridge_slave)" ] &&
        [ -z "$(ip neighbour show nud permanent)" ]
}

came_home() { present $eni && [ -z "$(ip -o link show type bridge_slave)" ]; }

echo '[eni]
attach-timeout-seconds = 8' >/tmp/config.toml
echo "# Linux $(uname -r)"

# The subnet's router: a NIC of its own, in a namespace of its own.
plug router $router
pause
ip link set "$(name_of $router)" netns "$pid" name vpc
in_task ip link set vpc up
in_task ip address add 10.0.0.1/24 dev vpc

plug eni $eni
own=$(name_of $eni)

echo "== present before the start"
pause
check "a task starts" call prestart a
check "the ENI has left the instance" absent $eni
check "it reaches the VPC" works
kill_task
check "poststop after the task's death" call poststop a
check "the ENI is home" home_as "$own"
check "poststop again" call poststop a

echo "== nobody calls poststop"
pause
call prestart b
kill_task
until_so came_home
check "the ENI comes home by itself, labelled" ip link show "$own"
check "gc" $hook gc
check "the ENI is restored" home_as "$own"
pause
call prestart c
kill_task
until_so came_home
pause
check "the next task gets it" call prestart d
check "it reaches the VPC" works
check "poststop of a living task" call poststop d
check "the ENI is home" home_as "$own"
kill_task

echo "== killed, and at once the next task wants the ENI"
pause
call prestart e
old=$pid
pause
kill -9 "$old"
check "the next task waits for it to come home" call prestart f
check "it reaches the VPC" works
check "the first one's late poststop" call poststop e
check "does no harm" works
call poststop f
kill_task

echo "== the pause container dies first"
pause
call prestart g
in_task sleep 100000 &
application=$!
sleep 0.2
kill_task
pid=0
check "poststop takes the ENI from the application" call poststop g
check "the ENI is home" home_as "$own"
kill -9 $application

echo "== a task with CAP_NET_ADMIN"
pause
call prestart h
in_task ip link set eth0 down
in_task ip link set eth0 address 02:66:66:66:66:66 alias ''
kill_task
until_so came_home
check "MAC address changed, label wiped, then poststop" call poststop h
check "the hardware knows better" home_as "$own"
pause
call prestart i
in_task ip link set eth0 down
in_task ip link set eth0 address 02:66:66:66:66:66 alias ''
kill_task
until_so came_home
pause
check "the same without poststop: the next task gets the ENI" call prestart j
check "with its own MAC address" in_task ip link show eth0
check "it reaches the VPC" works
call poststop j
check "the ENI is home" home_as "$own"
kill_task
pause
call prestart k
in_task ip link set eth0 alias "awsvpc container=k eni=$router name=lo mtu=68 netns=1"
kill_task
until_so came_home
check "a forged label is not believed" call poststop k
check "and gc does not believe it either" $hook gc
ip link set "$(name_of $eni)" alias ''

echo "== names that are taken"
pause
call prestart l
ip link add "$own" type dummy 2>/dev/null
ip link add eth0 type dummy 2>/dev/null
kill_task
until_so came_home
check "its own name is free again at gc" sh -c "ip link delete $own; $hook gc"
check "the ENI has it" home_as "$own"
[ "$own" = eth0 ] || ip link delete eth0
pause
call prestart m
ip link add "$own" type dummy
kill_task
until_so came_home
check "its own name is still taken at poststop" call poststop m
check "the ENI has a free one" present $eni
check "and is clean" home_as "$(name_of $eni)"
ip link delete "$own"
ip link set "$(name_of $eni)" name "$own"

echo "== plugging and unplugging"
pause
call prestart n
unplug eni
until_so not in_task ip link show eth0
check "unplugged while the task runs: poststop succeeds" call poststop n
check "nothing is left" sh -c '[ -z "$(ip -o link show type bridge_slave)" ]'
kill_task
pause
check "never attached: an error that lists what is there" refused_as_absent
(sleep 2 && echo "@plug eni $eni") &
check "attached while prestart waits" call prestart p
check "it reaches the VPC" works
call poststop p
own=$(name_of $eni)
kill_task
rounds=0
for round in $(seq 15); do
    unplug eni
    until_so absent $eni || break
    pause
    plug eni $eni || break
    call prestart "round-$round" >/dev/null 2>&1 && works >/dev/null 2>&1 || break
    call poststop "round-$round" >/dev/null 2>&1 || break
    kill_task
    home_as "$(name_of $eni)" >/dev/null 2>&1 || break
    rounds=$((rounds + 1))
done
check "15 rounds of plugging, starting, stopping, unplugging" [ $rounds -eq 15 ]

echo END
poweroff -f
