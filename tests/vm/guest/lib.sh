# What every topic needs: checks, and NICs that come and go.

report() { echo "$*" >/dev/ttyS1; }
stty -F /dev/ttyS1 raw -echo
checks=0

# bail_out TEXT: nothing more can be tried.
bail_out() {
    report "Bail out! $*"
    poweroff -f
}

# topic TEXT: what the next checks are about.
topic() { report "# $* ($(cut -d . -f 1 /proc/uptime) s)"; }

# check TEXT COMMAND...: a test; what a failed one printed is shown.
check() {
    local text=$1
    checks=$((checks + 1))
    shift
    if "$@" >/tmp/check 2>&1; then
        report "ok $checks - $text"
        return
    fi
    {
        echo "not ok $checks - $text"
        echo "$*"
        tail -n 20 /tmp/check
        ip -brief address
    } | sed '2,$ s/^/#   /' >/dev/ttyS1
}

not() { ! "$@"; }

# until_so COMMAND...: waits for it, for at most twenty seconds.
until_so() {
    local begin now
    read -r begin _ </proc/uptime
    now=$begin
    while [ ${now%.*} -le $((${begin%.*} + 20)) ]; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.01
        read -r now _ </proc/uptime
    done
    return 1
}

# says TEXT: /tmp/error is one line, with this in it.
says() { [ "$(wc -l </tmp/error)" -eq 1 ] && grep "$1" /tmp/error; }

# Milliseconds, since whenever.
now() { date +%s%3N; }

# median NUMBER...
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# links FILTER [IP-OPTION...]: whether jq's filter holds for all links with their addresses.
links() {
    local filter=$1
    shift
    ip "$@" -json -details address | jq --exit-status "
        def nic(mac): .[] | select((.permaddr // .address) == mac);
        def up: .flags | index(\"UP\") != null;
        def inet: [.addr_info[] | select(.scope == \"global\") | \"\(.local)/\(.prefixlen)\"];
        $filter" || { echo "not so: $filter" && return 1; }
}

# The name of the NIC with a MAC address, its permanent one if a task changed the other.
name_of() {
    ip -o link | sed -n "s/^[0-9]*: \([^:@]*\).*\(link\/ether\|permaddr\) $1.*/\1/p"
}
present() { [ -n "$(name_of "$1")" ]; }
present_as() { [ "$(name_of $eni)" = "$1" ]; }
absent() { [ -z "$(name_of "$1")" ]; }

# qemu itself, by its machine protocol (QMP): requests and answers are lines of JSON.
until_so [ -e /dev/vport0p1 ]
exec 3<>/dev/vport0p1
cat <&3 >/run/qmp &

# qmp COMMAND ARGUMENTS: asks qemu, and waits for its answer.
qmp() {
    local request
    read -r request </proc/sys/kernel/random/uuid
    echo "{\"execute\": \"$1\", \"id\": \"$request\", \"arguments\": {$2}}" >&3
    until_so grep "\"id\": \"$request\"" /run/qmp
    grep "\"id\": \"$request\"" /run/qmp | not grep '"error"'
}
qmp qmp_capabilities '' || bail_out "qemu does not answer"

# attach NAME MAC [PROPERTIES]: plugs in a NIC, on the hub that is the subnet.
attach() {
    qmp netdev_add "\"type\": \"hubport\", \"hubid\": 1, \"id\": \"net-$1\"" &&
        qmp device_add "\"driver\": \"virtio-net-pci\", \"id\": \"$1\", \"netdev\": \"net-$1\", \"mac\": \"$2\"${3:-}"
}

# plug NAME MAC [PROPERTIES]: the same, and waits until it is there.
plug() { attach "$@" && until_so present "$2"; }

# unplug NAME: until qemu says that the guest has let go of it.
unplug() {
    local before
    before=$(wc -l </run/qmp)
    qmp device_del "\"id\": \"$1\"" && until_so deleted "$1" "$before" &&
        qmp netdev_del "\"id\": \"net-$1\""
}
deleted() { tail -n +"$2" /run/qmp | grep "\"DEVICE_DELETED\".*\"device\": \"$1\""; }

# carrier NAME true|false: what the NIC is connected to, on or off.
carrier() { qmp set_link "\"name\": \"$1\", \"up\": $2"; }
