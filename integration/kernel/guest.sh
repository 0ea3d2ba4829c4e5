#!/usr/bin/env bash
# Runs a command as the virtual machine's only task: prepares what a booted machine has, with Open vSwitch's kernel datapath, and
# switches the machine off. The status of the command is left in /run/shared/status.
#
#   guest.sh FOLDER-OF-image.sh COMMAND [ARGUMENT...]
set -uo pipefail

image=$1
shift
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw

# ovs-vswitchd 3.1 that starts in a machine's first ten seconds never has threads for the packets that its kernel datapath hands up.
first_start=11

prepare() {
    mkdir -p /dev/pts /dev/shm /lib/modules
    mount -t devpts devpts /dev/pts
    mount -t tmpfs -o mode=1777 shm /dev/shm
    ln -sfn /proc/self/fd /dev/fd
    ln -sfn "$image/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
    ip link set lo up
    modprobe -a openvswitch nf_conntrack veth tun || return
    while read -r uptime _ </proc/uptime && [ "${uptime%.*}" -lt $first_start ]; do sleep 0.2; done
    echo "kernel: $(uname -srv), up ${uptime}s, $(modinfo -F filename openvswitch), $(ovs-vswitchd --version | head -n 1)"
}

prepare && "$@"
echo $? >/run/shared/status.part
mv /run/shared/status.part /run/shared/status
echo o >/proc/sysrq-trigger
sleep 60
