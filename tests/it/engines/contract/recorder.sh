#!/bin/busybox sh
# A hook that writes down how it is called, into /run/record/NAME, and then does what it is told.
#
#   recorder NAME [fail|hang]
# Before anything else, and without a child: a shell that waits for one blocks signals itself.
signals=
while read -r line; do
    case $line in SigBlk*) signals=$line ;; esac
done <"/proc/$$/status"
b=/bin/busybox
into=/run/record/$1
$b mkdir -p "$into"
echo "$1" >>/run/record/calls
$b cat >"$into/state"
echo "$signals" >"$into/signals"
$b readlink "/proc/$$/cwd" >"$into/cwd"
$b tr '\0' '\n' <"/proc/$$/environ" >"$into/environ"
# (A shell redirects itself before it forks.)
fds=
for fd in 1 2; do fds="$fds $fd=$($b readlink "/proc/$$/fd/$fd")"; done
for fd in 3 4 5 6 7 8 9; do [ ! -e "/proc/$$/fd/$fd" ] || fds="$fds $fd"; done
echo "$fds" >"$into/fds"
pid=$($b sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$into/state")
$b nsenter -t "${pid:-0}" -n $b cat /proc/sys/net/ipv4/ip_forward >"$into/forward" 2>&1
echo "words of the hook"
echo "words of the hook" >&2
case ${2:-} in
fail) exit 1 ;;
hang) $b sleep 5 ;;
esac
