#!/bin/bash
# A task with the awsvpc network, under real runc, in a VPC made of network namespaces: with a router, a name
# server and a web server.
#
#   tests/demo.sh path/to/oci-awsvpc-hook
#
# Needs root. Touches nothing of the machine's own network: the "instance" and the "router" are
# namespaces of their own. Whatever an earlier run has left is removed first.
set -u -o pipefail

hook=$(realpath "${1:?usage: tests/demo.sh path/to/oci-awsvpc-hook}")
work=/run/awsvpc-demo
instance=awsvpc-demo-instance
router=awsvpc-demo-router
mounted=awsvpc-demo-task
eni=02:5a:a1:1a:43:42
task=ecs-front-envoy-5
pause=$task-internalecspause
web=$task-envoy-sds
app=$task-front-envoy
name=hello.example.internal
failed=0

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1;36m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' green='' red='' dim='' plain=''
fi

step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

# Prints a command as a person would type it, and what it prints.
show() {
    printf '%s$ %s%s\n' "$dim" "$*" "$plain"
    "$@"
}

# claim TEXT COMMAND...: the text holds if the command succeeds.
claim() {
    local text=$1
    shift
    if "$@" >/dev/null 2>&1; then
        printf '%s  pass  %s%s\n' "$green" "$plain" "$text"
    else
        printf '%s  FAIL  %s%s (%s)\n' "$red" "$plain" "$text" "$*"
        failed=$((failed + 1))
    fi
}

# The opposite of a command.
cannot() { ! "$@"; }

on() { local netns=$1; shift; nsenter --net="/run/netns/$netns" -- "$@"; }
runc() { on "$instance" runc --root "$work/state" "$@"; }
pid_of() { cat "$work/$1.pid"; }
inside() { nsenter --target "$(pid_of "$1")" --net -- "${@:2}"; }
run_in() { runc exec "$1" /bin/busybox "${@:2}"; }
# Debian 12's static busybox crashes at wget -T.
get() { runc exec "$app" /bin/busybox timeout 2 /bin/busybox wget -q -O - "http://$1"; }

clean_up() {
    local id pid
    for id in "$app" "$web" "$pause"; do
        [ -d "$work/state/$id" ] && command runc --root "$work/state" delete --force "$id"
    done
    for id in "$instance" "$router" "$mounted"; do
        [ -e "/run/netns/$id" ] || continue
        for pid in $(ip netns pids "$id"); do kill "$pid"; done
        ip netns delete "$id"
    done
    rm -rf "$work"
} 2>/dev/null

# bundle ID ARGS ANNOTATIONS NETWORK: a bundle for runc that calls the hook. All but ID are parts of its JSON.
bundle() {
    local id=$1 args=$2 annotations=$3 network=$4
    mkdir -p "$work/$id"
    cat >"$work/$id/config.json" <<JSON
{
  "ociVersion": "1.0.2",
  "process": {
    "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": $args,
    "capabilities": {"bounding": ["CAP_NET_RAW"], "effective": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"]}
  },
  "root": {"path": "$work/rootfs", "readonly": true},
  "hostname": "$id",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
  ],
  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, $network]
  },
  "annotations": {
    $annotations
  },
  "hooks": {
    "prestart": [{"path": "$hook", "args": ["oci-awsvpc-hook", "prestart"], "timeout": 60}],
    "poststop": [{"path": "$hook", "args": ["oci-awsvpc-hook", "poststop"], "timeout": 60}]
  }
}
JSON
}

start() {
    runc run --detach --bundle "$work/$1" --pid-file "$work/$1.pid" "$1" \
        >"$work/$1.log" 2>&1 </dev/null || cat "$work/$1.log"
}

[ "$(id -u)" -eq 0 ] || { echo "the demo needs root: it makes network namespaces" >&2; exit 1; }
clean_up
trap clean_up EXIT
mkdir -p "$work/rootfs/bin" "$work/rootfs/proc" "$work/rootfs/dev" "$work/rootfs/www" \
    "$work/credentials/v2/credentials" "$work/vpc" "$work/metadata"
cp "$(command -v busybox)" "$work/rootfs/bin/busybox"
machine_before=$(ip -o link show; ip route show; ip -6 route show)

step "A VPC: a subnet router, and an instance with two interfaces"
ip netns add $instance
ip netns add $router
on $instance ip link set lo up
on $router ip link set lo up
on $instance ip link add eth0 address 02:00:00:00:00:01 type veth peer name primary netns $router
on $instance ip link add eth12 address $eni mtu 9001 type veth peer name eni mtu 9001 netns $router
on $router ip addr add 10.0.9.1/24 dev primary
on $router ip addr add 10.0.0.1/24 dev eni
on $router ip link set primary up
on $router ip link set eni up
on $instance ip addr add 10.0.9.2/24 dev eth0
on $instance ip link set eth0 up
on $instance ip route add default via 10.0.9.1
until on $instance ip link show eth0 | grep -q 'state UP'; do sleep 0.01; done
on $router ip addr add 169.254.169.254/32 dev lo
on $router ip addr add 169.254.169.253/32 dev lo
show on $instance ip -brief link

echo '{"RoleArn":"arn:aws:iam::123456789012:role/task","AccessKeyId":"ASIAEXAMPLE","Expiration":"2030-01-01T00:00:00Z"}' \
    >"$work/credentials/v2/credentials/task-1"
echo 'hello from the VPC' >"$work/vpc/index.html"
echo 'instance identity' >"$work/metadata/index.html"
echo 'hello from the application next door' >"$work/rootfs/www/index.html"
on $instance busybox httpd -p 127.0.0.1:51679 -h "$work/credentials"
on $router busybox httpd -p 10.0.0.1:80 -h "$work/vpc"
on $router busybox httpd -p 169.254.169.254:80 -h "$work/metadata"
# It is ready when this returns.
on $router dnsmasq --conf-file=/dev/null --pid-file= --user=root --no-hosts --no-resolv --bind-interfaces \
    --listen-address=169.254.169.253 --local=/internal/ --host-record="$name,10.0.0.1"
claim "the instance itself reaches its metadata service" \
    on $instance busybox timeout 2 busybox wget -q -O - http://169.254.169.254/

step "The task's pause container: runc calls the hook"
bundle "$pause" '["/bin/busybox", "sleep", "1000"]' \
    "\"com.amazonaws.ecs.container-name\": \"~internal~ecs~pause\",
    \"com.amazonaws.ecs.eni.mac-address\": \"$eni\",
    \"com.amazonaws.ecs.eni.ipv4-addresses\": \"10.0.0.5\",
    \"com.amazonaws.ecs.eni.subnet-gateway-ipv4-address\": \"10.0.0.1/24\"" '{"type": "network"}'
sed -n '/"annotations"/,/^  }/p' "$work/$pause/config.json"
start "$pause"
claim "the pause container runs" inside "$pause" true
[ $failed -eq 0 ] || exit 1
# The ENI is played by a veth here, which would die with the namespace; a real one goes home. So
# keep the namespace, by a mount, as containerd does.
ip netns attach $mounted "$(pid_of "$pause")"

step "Two applications join its namespace"
joined="{\"type\": \"network\", \"path\": \"/proc/$(pid_of "$pause")/ns/net\"}"
for id in "$web" "$app"; do
    case $id in
    "$web") command='"httpd", "-f", "-p", "8080", "-h", "/www"' ;;
    "$app") command='"sleep", "1000"' ;;
    esac
    bundle "$id" "[\"/bin/busybox\", $command]" \
        "\"com.amazonaws.ecs.container-name\": \"${id#"$task-"}\"" "$joined"
    grep container-name "$work/$id/config.json"
    start "$id"
done
show runc list

step "All three have the same view of the network stack"
for id in "$app" "$web" "$pause"; do
    printf '%scontainer %s%s\n' "$dim" "$id" "$plain"
    inside "$id" ip -brief link
    claim "it has lo, ecs-eth0 and the ENI, mtu 9001" \
        inside "$id" sh -c "ip -o link show up | grep -q ' lo:' && ip -o link show up | grep -q ' ecs-eth0@' &&
            ip -o link show up | grep -q ' eth0@.*mtu 9001.*$eni'"
done
show inside "$pause" ip -brief address
show inside "$pause" ip route
claim "the default route leads through the ENI" \
    inside "$pause" sh -c 'ip route | grep -qx "default via 10.0.0.1 dev eth0 "'
claim "the credentials are behind the bridge" \
    inside "$pause" sh -c 'ip route | grep -qx "169.254.170.2 via 169.254.172.1 dev ecs-eth0 "'

step "Names: files that the hook has mounted in each of them"
show run_in "$app" cat /etc/resolv.conf
show run_in "$app" cat /etc/hosts
for id in "$app" "$web" "$pause"; do
    claim "$id resolves a name" grep -qw '10\.0\.0\.1' <(run_in "$id" nslookup $name)
done
show run_in "$app" hostname -i
claim "its own address is the ENI's" [ "$(run_in "$app" hostname -i)" = 10.0.0.5 ]

step "What the applications can do"
claim "talk to each other over localhost" \
    grep -q 'next door' <(get 127.0.0.1:8080/)
show get 169.254.170.2/v2/credentials/task-1
claim "fetch their credentials" grep -q AccessKeyId <(get 169.254.170.2/v2/credentials/task-1)
show get $name/
claim "call others in the VPC by name" grep -q 'hello from the VPC' <(get $name/)
claim "be reached from the VPC" \
    grep -q 'next door' <(on $router busybox timeout 2 busybox wget -q -O - http://10.0.0.5:8080/)
claim "not reach the instance's metadata service" cannot get 169.254.169.254/

step "What the instance shows"
show on $instance ip link show type bridge_slave
claim "the ENI has left the instance" cannot ip -n $instance link show eth12

step "The task stops: its ENI comes home"
for id in "$app" "$web" "$pause"; do runc delete --force "$id"; done
show on $instance ip link show eth12
claim "it has its old name, MAC address and MTU" \
    sh -c "ip -n $instance -o link show eth12 | grep -q 'mtu 9001.*$eni'"
claim "it is down, without addresses and without a label" \
    sh -c "! ip -n $instance -o link show eth12 | grep -q -e UP -e alias && [ -z \"\$(ip -n $instance -o addr show eth12)\" ]"
claim "nothing of the task is left on the bridge" \
    sh -c "[ -z \"\$(ip -n $instance -o link show type bridge_slave)\" ]"
claim "the machine's own network is what it was" \
    [ "$machine_before" = "$(ip -o link show; ip route show; ip -6 route show)" ]

echo
if [ $failed -gt 0 ]; then
    printf '%s%d claims do not hold%s\n' "$red" "$failed" "$plain"
    exit 1
fi
printf '%sall claims hold%s\n' "$green" "$plain"
