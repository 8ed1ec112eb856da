# Real runtimes: the task of "Under the Hood: Task Networking for Amazon ECS" under runc, with its own
# names and numbers; and crun, which does not call poststop when a start fails.

# bundle ID NETWORK [REST]: for a runtime. NETWORK and REST are parts of its JSON.
bundle() {
    mkdir -p "/run/bundles/$1/rootfs/bin" "/run/bundles/$1/rootfs/proc" "/run/bundles/$1/rootfs/dev"
    cp /bin/busybox "/run/bundles/$1/rootfs/bin/"
    cat >"/run/bundles/$1/config.json" <<JSON
{
  "ociVersion": "1.0.2",
  "process": {
    "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/busybox", "sleep", "100000"],
    "capabilities": {"bounding": ["CAP_NET_RAW"], "effective": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"]}
  },
  "root": {"path": "rootfs"},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network"$2}]}${3:-}
}
JSON
}

# pause_bundle ID INTERFACE [HOOK]: a pause container, whose ENI has this name inside.
pause_bundle() {
    bundle "$1" '' ",
  \"annotations\": {
    \"com.amazonaws.ecs.container-name\": \"~internal~ecs~pause\",
    \"com.amazonaws.ecs.eni.mac-address\": \"$eni\",
    \"com.amazonaws.ecs.eni.ipv4-addresses\": \"10.0.0.5\",
    \"com.amazonaws.ecs.eni.subnet-gateway-ipv4-address\": \"10.0.0.1/24\",
    \"com.amazonaws.ecs.eni.interface-name\": \"$2\"
  },
  \"hooks\": {
    \"prestart\": [{\"path\": \"$hook\", \"args\": [\"hook\", \"prestart\"]}${3:-}],
    \"poststop\": [{\"path\": \"$hook\", \"args\": [\"hook\", \"poststop\"]}]
  }"
}

# run RUNTIME ID: a container.
run() {
    "$1" --root "/run/$1" run --detach --bundle "/run/bundles/$2" --pid-file "/run/$2.pid" "$2" \
        >/tmp/run 2>&1 </dev/null || { cat /tmp/run && return 1; }
}
within() { nsenter --target "$(cat "/run/$1.pid")" --net -- ip link show; }
same_view() { [ "$(within $pause)" = "$(within $envoy)" ] && [ "$(within $pause)" = "$(within $front)" ]; }

# as_in_the_article: what `ip link show` prints there, but for the task's own numbers.
as_in_the_article() {
    nsenter --target "$(cat /run/$pause.pid)" --net -- ip -json -details address |
        jq --exit-status --arg eni $eni '
        def byte: "0123456789abcdef" as $hex | $hex[(. / 16 | floor):][:1] + $hex[(. % 16):][:1];
        def mac: split(".") | map(tonumber | byte) | ["0a", "58"] + . | join(":");
        map({(.ifname): .}) | add as $links
        | ($links | keys) == ["ecs-eth0", "eth12", "lo"]
        and ($links.lo | .mtu == 65536 and .operstate == "UNKNOWN" and .flags == ["LOOPBACK", "UP", "LOWER_UP"])
        and ($links["ecs-eth0"] | .mtu == 1500 and .operstate == "UP" and .linkinfo.info_kind == "veth"
            and .flags == ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"] and .link_netnsid == 0
            and .address == ([.addr_info[] | select(.family == "inet").local] | first | mac))
        and ($links.eth12 | .mtu == 9001 and .operstate == "UP" and .address == $eni
            and .flags == ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"])'
}

topic "the task of the article, under runc"
pause=f731f6dbb81c envoy=7d7b7fbc30b9 front=dfdcb2acfc91
unplug eni
plug eni $eni ', "host_mtu": 9001'
ip link set "$(name_of $eni)" name eth12
check "the ENI is eth12, mtu 9001" home eth12 $eni 9001
pause_bundle $pause eth12
check "the pause container starts" run runc $pause
bundle $envoy ", \"path\": \"/proc/$(cat /run/$pause.pid)/ns/net\""
bundle $front ", \"path\": \"/proc/$(cat /run/$pause.pid)/ns/net\""
check "so does one application" run runc $envoy
check "and another" run runc $front
for id in $envoy $front $pause; do
    report "# container $id"
    within $id | while read -r line; do report "#   $line"; done
done
# Its state may follow its carrier a second later.
check "they see what is in the article" until_so as_in_the_article
check "all three the same" same_view
check "they reach the VPC" runc --root /run/runc exec $front /bin/busybox ping -c 1 -W 2 10.0.0.1
for id in $envoy $front $pause; do runc --root /run/runc delete --force $id; done
check "the task stops: the ENI is home" home eth12 $eni 9001
unplug eni
plug eni $eni

topic "a start that fails under crun"
own=nic1
ip link set "$(name_of $eni)" name $own
pause_bundle fails eth0 ', {"path": "/bin/false"}'
pause_bundle starts eth0
check "a later hook fails" refused "/bin/false" run crun fails
until_so came_home
check "poststop is not called" links "nic(\"$eni\").ifalias | startswith(\"awsvpc container=fails \")"
check "gc" $hook gc
check "the ENI is home" home $own
run crun fails
until_so came_home
check "the next start" run crun starts
check "has the ENI" [ -n "$(nsenter --target "$(cat /run/starts.pid)" --net -- ip -o link show eth0)" ]
crun --root /run/crun delete --force starts
check "and brings it home" home $own
