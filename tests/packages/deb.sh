#!/bin/bash
# The Debian package in a box: installed, used by podman, upgraded, removed.
set -u -o pipefail
cd /box/packages && . /box/tests/lib.sh || { echo "this is for a box: see box.sh" >&2; exit 1; }
old=$(echo oci-awsvpc-hook_*.deb)
new=$(echo newer/oci-awsvpc-hook_*.deb)
config=/etc/oci-awsvpc-hook/config.toml
hooks=/usr/share/containers/oci/hooks.d

# What dpkg and the triggers of other packages write.
cat >/tmp/journals <<'E2'
\./var/lib/dpkg/.*
\./var/log/.*
\./var/cache/man/.*
\./var/cache/ldconfig/.*
\./etc/ld.so.cache
E2

make_rules
without=$(host_side)

step "Installed, removed, purged: nothing is left"
claim "it recommends what shows the rules" is "$(dpkg-deb -f "$old" Recommends)" nftables
claim "it needs no nft" is "$(dpkg-deb -f "$old" Depends)" "init-system-helpers (>= 1.54)"
claim "dpkg -i" dpkg -i "$old"
claim "dpkg --verify finds nothing changed" is "$(dpkg --verify oci-awsvpc-hook)" ""
for unit in $(dpkg -L oci-awsvpc-hook | sed -n 's,.*/systemd/system/,,p'); do
    grep -q '^\[Install\]' "/usr/lib/systemd/system/$unit" || continue
    claim "$unit is enabled" is "$(systemctl is-enabled "$unit")" enabled
done
claim "the manual has a page for the program" man -w 1 oci-awsvpc-hook
claim "the manual has a page for the runtime" man -w 1 oci-awsvpc-runtime
claim "the manual has a page for the configuration" man -w 5 oci-awsvpc-hook
claim "systemd finds nothing wrong in the units" is \
    "$(systemd-analyze verify --man=no /usr/lib/systemd/system/oci-awsvpc-hook-* 2>&1)" ""
claim "people find the program" oci-awsvpc-hook --version
claim "the runtime becomes a real one" grep -qE '^(runc|crun) version' <<<"$(oci-awsvpc-runtime --version)"
claim "the instance can be made ready" oci-awsvpc-hook host-setup
claim "it has rules and a bridge now" sh -c 'nft list ruleset | grep -q oci_awsvpc && ip link show ecs-bridge'
claim "dpkg -r" dpkg -r oci-awsvpc-hook
claim "the rules and the bridge are gone; others' rules are not" is "$(host_side)" "$without"
claim "only the configuration stays" is "$(changes /tmp/journals | grep -v '^./var/lib/systemd/\|^./etc/systemd/')" ".$config"
claim "dpkg -P" dpkg -P oci-awsvpc-hook
claim "no file is left, changed or missing" is "$(changes /tmp/journals)" ""
claim "no folder is left" is "$(folders /tmp/journals)" ""

step "A task under podman, with the package and nothing else"
make_instance
make_podman
claim "dpkg -i" dpkg -i "$old"
claim "podman run" start_task
claim "the task has its network" task_has_network
claim "the ENI has left the instance" cannot ip link show eth1
claim "it knows the VPC's name server" knows_names exec task
# shellcheck disable=SC2086 # words are what they are
claim "so does an application" knows_names run --rm --network container:task $app pause
before=$(network_of_task)
# The ENI is played by a veth here, which would die with the namespace; a real one goes home. So
# keep the namespace, by a mount, as containerd does.
ip netns attach task "$(podman inspect --format '{{.State.Pid}}' task)"

step "Containers that are not ours"
ip link add eth2 address 02:5a:a1:1a:43:43 type veth peer name eni2 netns router
claim "a pause container calls the hook twice: this way of counting sees it" is "$(calls podman run --rm \
    --network none --annotation com.amazonaws.ecs.container-name='~internal~ecs~pause' \
    --annotation com.amazonaws.ecs.eni.mac-address=02:5a:a1:1a:43:43 \
    --annotation com.amazonaws.ecs.eni.stay-down=true \
    --annotation com.amazonaws.ecs.eni.ipv4-addresses=10.0.0.6 pause true)" 2
# shellcheck disable=SC2086 # words are what they are
claim "an application calls it once" is "$(calls podman run --rm --network none $app pause true)" 1
claim "without annotations, the hook is never called" \
    is "$(calls podman run --rm --network none pause true)" 0
claim "with another value, the hook is never called" is "$(calls podman run --rm --network none \
    --annotation com.amazonaws.ecs.container-name='~internal~ecs~pause2' pause true)" 0
claim "with a key that is like ours, the hook is never called" is "$(calls podman run --rm --network none \
    --annotation com-amazonaws-ecs-container-name='~internal~ecs~pause' pause true)" 0

step "Upgraded, while the task runs"
sed -i 's/^#deadline-seconds = 45/deadline-seconds = 44/' $config
edited=$(cat $config)
host=$(host_side)
claim "the newer package ships another configuration" \
    cannot dpkg-deb --fsys-tarfile "$new" --to-stdout .$config
claim "dpkg -i, as unattended-upgrades does it" \
    strace -f --seccomp-bpf -qq -e trace=openat,creat,rename,renameat,renameat2,link,linkat -o /tmp/dpkg \
    dpkg --force-confold -i "$new"
claim "the edited configuration is kept" is "$(cat $config)" "$edited"
claim "the new one is beside it" [ -e $config.dpkg-dist ]
claim "podman never sees half a registration: the files are renamed into place" \
    grep -q "rename.*$hooks/oci-awsvpc-hook-prestart.json.dpkg-new.*$hooks/oci-awsvpc-hook-prestart.json\"" /tmp/dpkg
claim "and never written in place" cannot grep -E "(open|creat).*$hooks/[^\"]*\.json\".*O_(WRONLY|RDWR)" /tmp/dpkg
claim "the task's network is untouched" is "$(network_of_task)" "$before"
claim "so are the rules and the bridge" is "$(host_side)" "$host"
claim "the task still reaches the network" task_has_network

step "Removed, while the task runs"
claim "dpkg -r" dpkg -r oci-awsvpc-hook
claim "the rules and the bridge stay" is "$(host_side)" "$host"
claim "the task's network is untouched" is "$(network_of_task)" "$before"
claim "dpkg -i" dpkg --force-confold -i "$new"
claim "podman rm" podman rm -f -t 0 task
claim "the ENI is home, down, without a label" \
    sh -c "ip -o link show eth1 | grep -q $eni && ! ip -o link show eth1 | grep -q -e alias -e ,UP"
claim "nothing of the task is left on the bridge" is "$(ip -o link show type bridge_slave)" ""
ip netns delete task

step "Broken, it harms nobody else"
echo 'deadline-seconds =' >$config
claim "a malformed configuration: other containers start" podman run --rm --network none pause true
claim "and pause containers do not" cannot start_task
podman rm -f task >/dev/null 2>&1
printf '%s\n' "$edited" >$config
echo garbage >"$hook"
claim "a damaged binary: other containers start" podman run --rm --network none pause true
rm "$hook"
claim "a missing binary: other containers start" podman run --rm --network none pause true
claim "dpkg --verify tells" is "$(dpkg --verify oci-awsvpc-hook | grep -c "missing.*$hook")" 1
claim "dpkg -i repairs it" dpkg --force-confold -i "$new"
claim "a task starts again" start_task
claim "and has its network" task_has_network
podman rm -f -t 0 task >/dev/null

step "Removed"
claim "dpkg -r" dpkg -r oci-awsvpc-hook
claim "the rules and the bridge are gone" is "$(host_side)" "$without"
claim "no registration is left" cannot sh -c "ls $hooks/oci-awsvpc-hook-*"
claim "the edited configuration is" is "$(cat $config)" "$edited"
claim "containers start" podman run --rm --network none pause true
claim "dpkg -P" dpkg -P oci-awsvpc-hook
claim "nothing of the name is left" is "$(changes /tmp/journals | grep awsvpc)" ""
claim "nor a folder" is "$(folders /tmp/journals | grep awsvpc)" ""

verdict
