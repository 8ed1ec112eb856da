#!/bin/bash
# The RPM package in a box: installed, verified, upgraded, erased. The box has no RPM packages at all,
# so dependencies are not looked at; Debian's rpm wants to be told that it is meant.
set -u -o pipefail
cd /box/packages && . /box/tests/lib.sh || { echo "this is for a box: see box.sh" >&2; exit 1; }
old=$(echo oci-awsvpc-hook-*.rpm)
new=$(echo newer/oci-awsvpc-hook-*.rpm)
config=/etc/oci-awsvpc-hook/config.toml
hooks=/usr/share/containers/oci/hooks.d
rpm() { command rpm --force-debian "$@"; }

# What rpm itself writes.
cat >/tmp/journals <<'E2'
\./var/lib/rpm(/.*)?
\./root/\.rpmdb(/.*)?
\./var/log/.*
E2

step "What the package says of itself"
claim "the configuration is marked, and not replaced" \
    is "$(command rpm -qp --qf '[%{FILENAMES} %{FILEFLAGS:fflags}\n]' "$old" | grep "$config")" "$config cn"
claim "it needs a shell for its scripts, and nothing else" \
    is "$(command rpm -qp --requires "$old" | grep -v '^rpmlib(' | sort -u)" /bin/sh
claim "it recommends what shows the rules" is "$(command rpm -qp --recommends "$old")" nftables

step "Installed and erased: nothing is left"
claim "rpm -i" rpm -i --nodeps "$old"
claim "rpm -V finds nothing changed" rpm -V --nodeps oci-awsvpc-hook
for unit in $(rpm -ql oci-awsvpc-hook | sed -n 's,.*/systemd/system/,,p'); do
    grep -q '^\[Install\]' "/usr/lib/systemd/system/$unit" || continue
    claim "$unit is enabled" is "$(systemctl is-enabled "$unit")" enabled
done
claim "systemd finds nothing wrong in the units" is \
    "$(systemd-analyze verify --man=no /usr/lib/systemd/system/oci-awsvpc-hook-* 2>&1)" ""
claim "people find the program" oci-awsvpc-hook --version
make_rules
without=$(host_side)
claim "the instance can be made ready" oci-awsvpc-hook host-setup
claim "it has rules and a bridge now" sh -c 'nft list ruleset | grep -q oci_awsvpc && ip link show ecs-bridge'
claim "rpm -e" rpm -e oci-awsvpc-hook
claim "the rules and the bridge are gone; others' rules are not" is "$(host_side)" "$without"
claim "no file is left, changed or missing" is "$(changes /tmp/journals)" ""
claim "no folder is left" is "$(folders /tmp/journals)" ""

step "Upgraded and erased, with an edited configuration"
claim "rpm -i" rpm -i --nodeps "$old"
sed -i 's/^#deadline-seconds = 45/deadline-seconds = 44/' $config
edited=$(cat $config)
claim "rpm -V tells what was edited" is "$(rpm -V --nodeps oci-awsvpc-hook | grep -c "  c $config")" 1
systemctl disable oci-awsvpc-hook-gc.timer 2>/dev/null
claim "rpm -U" strace -f --seccomp-bpf -qq -e trace=openat,creat,rename,renameat,renameat2,link,linkat -o /tmp/rpm \
    rpm --force-debian -U --nodeps "$new"
claim "the edited configuration is kept" is "$(cat $config)" "$edited"
claim "the new one is beside it" [ -e $config.rpmnew ]
claim "what was disabled stays so" cannot systemctl is-enabled oci-awsvpc-hook-gc.timer
claim "podman never sees half a registration: the files are renamed into place" \
    grep -qE "rename.*oci-awsvpc-hook-prestart.json;[0-9a-f]+\".*oci-awsvpc-hook-prestart.json\"" /tmp/rpm
claim "and never written in place" cannot grep -E "(open|creat).*hook-[a-zA-Z]*\.json\".*O_(WRONLY|RDWR)" /tmp/rpm

step "A task under podman, with the package and nothing else"
make_instance
make_podman
claim "podman run" start_task
claim "the task has its network" task_has_network
claim "it knows the VPC's name server" knows_names exec task
# shellcheck disable=SC2086 # words are what they are
claim "so does an application" knows_names run --rm --network container:task $app pause
# Kept, so that the veth that plays the ENI does not die with it.
ip netns attach task "$(podman inspect --format '{{.State.Pid}}' task)"
before=$(network_of_task) host=$(host_side)
claim "rpm -e, while it runs" rpm -e oci-awsvpc-hook
claim "the rules and the bridge stay" is "$(host_side)" "$host"
claim "the task's network is untouched" is "$(network_of_task)" "$before"
claim "rpm -i" rpm -i --nodeps "$new"
claim "rpm -U, to the same" rpm -U --nodeps --replacepkgs "$new"
claim "the rules and the bridge stay" is "$(host_side)" "$host"
claim "podman rm" podman rm -f -t 0 task
claim "the ENI is home" ip link show eth1
claim "rpm -e" rpm -e oci-awsvpc-hook
claim "the rules and the bridge are gone" is "$(host_side)" "$without"
claim "the edited configuration is kept, as rpm keeps it" is "$(cat $config.rpmsave)" "$edited"
claim "no registration is left" cannot sh -c "ls $hooks/oci-awsvpc-hook-*"

verdict
