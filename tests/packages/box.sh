#!/bin/bash
# Runs a program on a copy of this machine that is thrown away: its own files (an overlay in memory),
# processes and network. What it installs is gone with it.
#
#   tests/packages/box.sh FOLDER PROGRAM [ARGUMENT...]
#
# FOLDER, with the packages, is at /box/packages inside, this folder at /box/tests. /box/before is the
# machine as it is, /box/changes what has been changed. Needs root.
set -eu

if [ "${BOXED:-}" != yes ]; then
    BOX=$(mktemp -d)
    export BOX BOXED=yes
    trap 'rmdir "$BOX"' EXIT
    unshare --mount --propagation private --net --pid --fork --kill-child -- "$0" "$@"
    exit
fi

packages=$(realpath "$1")
tests=$(realpath "$(dirname "$0")")
shift
mount -t tmpfs -o size=2g box "$BOX"
mkdir "$BOX/changes" "$BOX/work" "$BOX/root"
mount -t overlay -o "lowerdir=/,upperdir=$BOX/changes,workdir=$BOX/work" overlay "$BOX/root"
# What is below here is the box's own.
mkdir -p "$BOX/root/box"
mount -t tmpfs box "$BOX/root/box"
cd "$BOX/root"
mkdir box/packages box/tests box/before box/changes
mount --bind "$packages" box/packages
mount --bind "$tests" box/tests
mount --bind / box/before
mount --bind "$BOX/changes" box/changes
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
# crun does not take a hierarchy of both kinds.
! mountpoint -q sys/fs/cgroup/unified || umount sys/fs/cgroup/unified
mount -t tmpfs run run
mount -t tmpfs tmp tmp
pivot_root . .
umount -l .
cd /
ip link set lo up
exec "$@"
