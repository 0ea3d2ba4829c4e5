# Incus of Debian 13 in the lab: its daemon in a root file system of that release, over which what it
# writes is laid, with the network, the processes and the Open vSwitch of the lab. Sourced by the tests
# of this package.

# incus_start starts the daemon, in the root file system: FOLDER.
incus_start() {
    local one
    mkdir -p /run/lab/incus/upper /run/lab/incus/work /run/lab/incus/root
    mount -t overlay -o "lowerdir=$1,upperdir=/run/lab/incus/upper,workdir=/run/lab/incus/work" \
        overlay /run/lab/incus/root
    cp "$(command -v portcullis)" "$ROOT/cmd/portcullis/package/hooks/incus" /run/lab/incus/root/usr/local/bin/
    mv /run/lab/incus/root/usr/local/bin/incus /run/lab/incus/root/usr/local/bin/follower
    # pivot_root and no chroot, or what is to run within an instance would run outside.
    cat >/run/lab/incus/pivot <<'X'
set -eu
cd /run/lab/incus/root
mkdir -p old proc sys dev run etc/portcullis
mount --rbind /proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t tmpfs cgroup sys/fs/cgroup
for one in devices memory pids freezer; do
    mkdir "sys/fs/cgroup/$one"
    mount -t cgroup -o "$one" cgroup "sys/fs/cgroup/$one"
done
mount -t tmpfs run run
mkdir run/openvswitch run/portcullis run/incus
mount --bind /run/openvswitch run/openvswitch
mount --bind /run/portcullis run/portcullis
mount --bind /etc/portcullis etc/portcullis
pivot_root . old
umount -l /old
export PATH=/usr/libexec/incus:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root INCUS_SOCKET=/run/incus/unix.socket
exec incusd --group root
X
    unshare --mount --propagation private bash /run/lab/incus/pivot >incusd.log 2>&1 &
    echo $! >/run/lab/incus/pid
    await in_incus incus query /1.0
    image
    in_incus incus storage create default dir
    in_incus incus profile device add default root disk path=/ pool=default
}

# in_incus runs a command where the daemon runs.
in_incus() {
    nsenter --target "$(cat /run/lab/incus/pid)" --mount env HOME=/root \
        INCUS_SOCKET=/run/incus/unix.socket PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# image makes an image of busybox: its first process sets nothing of its network.
image() {
    in_incus sh -euc 'mkdir -p /tmp/image/rootfs/bin /tmp/image/rootfs/sbin /tmp/image/rootfs/dev \
    /tmp/image/rootfs/proc /tmp/image/rootfs/sys /tmp/image/rootfs/etc /tmp/image/rootfs/root /tmp/image/rootfs/tmp
cd /tmp/image
cp /bin/busybox rootfs/bin/
for one in sh sleep; do ln -s busybox rootfs/bin/$one; done
printf "#!/bin/sh\ntrap exit PWR TERM\nwhile true; do sleep 1; done\n" >rootfs/sbin/init
chmod 755 rootfs/sbin/init
printf "architecture: x86_64\ncreation_date: 1\n" >metadata.yaml
tar -czf ../bb.tar.gz metadata.yaml rootfs
incus image import /tmp/bb.tar.gz --alias bb'
}

# container makes an instance: NAME MAC-BYTE ADDRESS-BYTE GROUPS; or with p2p as a fifth argument one
# whose device Portcullis is to plug in.
container() {
    local how=(nictype=bridged parent=br-int)
    [ "${5-}" != p2p ] || how=(nictype=p2p)
    in_incus incus init --quiet bb "$1" -c security.privileged=true -c "user.portcullis.groups=$4" &&
        in_incus incus config device add "$1" eth0 nic "${how[@]}" \
            "host_name=tap-$1" "hwaddr=02:00:00:00:00:$2" "user.portcullis.addresses=203.0.113.$3"
}

# addressed gives an instance that has been started its address, and leaves checksums to nobody:
# NAME ADDRESS-BYTE.
addressed() {
    inside "$1" ethtool --offload eth0 tx off >/dev/null
    inside "$1" ip link set lo up
    inside "$1" ip link set eth0 up
    inside "$1" ip address add "203.0.113.$2/24" dev eth0
    inside "$1" ip route add default via 203.0.113.1
}

inside() { nsenter --target "$(process "$1")" --net "${@:2}"; }
process() {
    in_incus incus query "/1.0/instances/$1/state" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}

# listen has an instance listen on a port of TCP.
listen() {
    inside "$1" python3 -m http.server "$2" >/dev/null 2>&1 &
    listening() { inside "$1" ss -Hltn "sport = :$2" | grep -q .; }
    await listening "$1" "$2"
}

fetch() {
    inside "$1" python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' "$2" "$3"
}
