#!/usr/bin/env bash
# Opens a shell on a small machine of its own, for the tutorial and the how-tos:
#
#   bash lab.sh          as root; `exit` ends it
#
# That machine has a network, processes, a name, /etc, /run and /var/lib of its own, and an Open
# vSwitch that forwards in userspace. Nothing in it reaches the network, the Open vSwitch or the
# settings of the machine around it, and with `exit` all of it is gone. It has one network card,
# eth1; beyond that are a router, 203.0.113.1, and behind the router an office, 198.51.100.7. The
# namespace `outside` plays both.
#
# In its shell:
#
#   instance NAME BYTE       makes a machine with MAC 02:00:00:00:00:BYTE and address 203.0.113.BYTE
#   remove NAME              takes a machine away
#   announce NAME            has it make itself known to switches, as machines do when they start
#   serve NAME PORT          has it listen on a port of TCP, where it counts for who connects
#   try FROM ADDRESS PORT [SOURCE]    says whether FROM can connect there, from an address of its own
#   hold FROM ADDRESS PORT   opens a connection that stays, and writes what comes to the file ticks
#   lives                    says whether something that is sent from now on still comes
#   silent                   the opposite, for await
#   await COMMAND …          tries until the command succeeds, for 30 seconds at most
#   plugged DEVICE           whether this device is a port that is in force, and is up
#   uplinked DEVICE          whether Portcullis uses this uplink, and all is in force
#
# For a fleet it may have further hosts in it, each with a network, processes, a name, files and an
# Open vSwitch of its own. Their eth0 are on one network for management, and their eth1 where the
# lab's own eth1 leads to.
#
#   machine NAME NUMBER      makes a host, whose address for management is 192.0.2.NUMBER
#   on NAME COMMAND …        runs a command, or one of the functions above, on a host

lab_outside() {
    local missing=() pair
    if [ "$(id -u)" != 0 ]; then
        echo "lab.sh: only root may make network namespaces: sudo bash $1" >&2
        return 1
    fi
    # command:package
    for pair in unshare:util-linux ip:iproute2 ethtool:ethtool python3:python3 \
        pgrep:procps \
        ovsdb-server:openvswitch-switch ovs-vswitchd:openvswitch-switch; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    if [ ${#missing[@]} != 0 ]; then
        echo "lab.sh: some programs are missing: apt-get install ${missing[*]}" >&2
        return 1
    fi
    if ! command -v portcullis >/dev/null; then
        echo "lab.sh: there is no command portcullis: install its package first" >&2
        return 1
    fi
    LAB_STAGE=machine exec unshare --mount --net --uts --ipc --pid --fork --kill-child \
        --mount-proc --propagation private bash "$1"
}

# lab_machine makes the machine; it is its first process. Nobody else sees what it mounts.
lab_machine() {
    set -eu -o pipefail
    lab_files lab "$(<"$1")"
    cd /run/lab/home
    lab_switch
    lab_wire outside eth1 02:00:00:00:00:01
    ip -n outside address add 203.0.113.1/24 dev eth0
    ip -n outside address add 198.51.100.7/24 dev eth0
    # The switch forwards in userspace; all other settings are those of the pages.
    export PORTCULLIS_DATAPATH_TYPE=netdev HOME=/run/lab/home LAB_STAGE=shell
    unset HISTFILE OVS_RUNDIR OVS_DBDIR OVS_LOGDIR OVS_SYSCONFDIR
    if [ -t 0 ]; then
        echo "This is the lab: a machine within this one. \`exit\` ends it, and nothing of it stays."
        exec bash --rcfile /run/lab/functions
    fi
    BASH_ENV=/run/lab/functions exec bash
}

# lab_files gives a machine its own files and a name, and keeps these functions in them: NAME TEXT.
lab_files() {
    mount -t tmpfs lab /run
    mkdir -p /run/lab/home /run/openvswitch /run/lock
    cp -a /etc /run/lab/etc
    mount --bind /run/lab/etc /etc
    rm -rf /etc/portcullis /etc/openvswitch
    mkdir /etc/portcullis /etc/openvswitch
    mount -t tmpfs lab /var/lib
    mkdir /var/lib/dhcp /var/lib/misc /var/lib/portcullis
    hostname "$1"
    ip link set lo up
    printf '%s\n' "$2" >/run/lab/functions
}

# lab_switch starts the machine's Open vSwitch.
lab_switch() {
    ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
    ovsdb-server --remote=punix:/run/openvswitch/db.sock --pidfile --detach \
        -vconsole:off --log-file=/run/lab/ovsdb-server.log
    ovs-vsctl --no-wait init
    ovs-vswitchd --disable-system -vconsole:off --pidfile --detach \
        --log-file=/run/lab/ovs-vswitchd.log
}

# lab_wire makes a namespace with a device eth0, whose other end is here: NAMESPACE DEVICE MAC.
lab_wire() {
    # It is made up, and not set up afterwards: Open vSwitch may be waiting for it, and writes the
    # flags that it reads of a new device back a moment later.
    ip netns add "$1" && ip link add "$2" up type veth peer name eth0 netns "$1" address "$3" || return
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 up
    # Userspace forwarding takes frames as they are, and veth leaves checksums to a network card.
    ip netns exec "$1" ethtool --offload eth0 tx off >/dev/null
}

instance() {
    lab_wire "$1" "tap-$1" "02:00:00:00:00:$2" || return
    ip -n "$1" address add "203.0.113.$2/24" dev eth0
    ip -n "$1" route add default via 203.0.113.1
}

remove() { ip link delete "tap-$1" && ip netns delete "$1"; }

announce() {
    ip netns exec "$1" python3 -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("203.0.113.1", 9))'
}

await() {
    local end=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then
            echo "lab: after 30 seconds this still fails: $*" >&2
            "$@" >&2
            return 1
        fi
        sleep 0.1
    done
}

listens() { ip netns exec "$1" ss -Hltn "sport = :$2" | grep -q .; }

serve() {
    ip netns exec "$1" python3 -c '
import socket, socketserver, sys, time
class Clock(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            self.request.sendall(b"%d\n" % time.time_ns())
            time.sleep(0.05)
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # and IPv4
    allow_reuse_address = True
    daemon_threads = True
Server(("::", int(sys.argv[1])), Clock).serve_forever()' "$2" >>"/run/lab/$1.log" 2>&1 &
    await listens "$1" "$2"
}

try() {
    ip netns exec "$1" python3 -c '
import errno, socket, sys
name, address, port, source = sys.argv[1:5]
who = f"{name} as {source}" if source else name
try:
    socket.create_connection((address, int(port)), 3, (source, 0) if source else None)
    print(f"{who} reaches {address} port {port}")
except (socket.timeout, TimeoutError, ConnectionResetError):
    print(f"{who} does NOT reach {address} port {port}")
except OSError as e:
    if e.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        sys.exit(f"try: {who} to {address} port {port}: {e}")
    print(f"{who} does NOT reach {address} port {port}")' "$1" "$2" "$3" "${4:-}"
}

hold() {
    ip netns exec "$1" python3 -c '
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while data := connection.recv(4096):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()' "$2" "$3" >ticks &
    await test -s ticks
}

# What comes is the time at which it was sent: what was on its way already does not count.
lives() {
    local asked end=$((SECONDS + 3))
    asked=$(date +%s%N)
    while ((SECONDS < end)); do
        if tail -n 2 ticks | awk -v asked="$asked" '$1 > asked { found = 1 } END { exit !found }'; then
            echo "it lives"
            return
        fi
        sleep 0.1
    done
    echo "it stands still"
    return 1
}

silent() { ! lives; }

# plugged knows by its index that the device is the one that Open vSwitch has, and not one of the
# same name before it. A device that Open vSwitch has set down is set up again.
plugged() {
    local index
    index=$(ip -o link show "$1" | cut -d : -f 1) || return
    if [ "$(ovs-vsctl --bare get Interface "$1" ifindex)" != "$index" ]; then
        echo "Open vSwitch does not have the device $1 yet" >&2
        return 1
    fi
    portcullis status -o json "${@:2}" | python3 -c '
import json, sys
ports = [p for p in json.load(sys.stdin)["ports"] if sys.argv[1] == p.get("interface", p["name"])]
told = [p["state"] + ": " + p["reason"] if p.get("reason") else p["state"] for p in ports]
sys.exit(0 if told == ["applied"] else f"{sys.argv[1]} is {told}")' "$1" && return
    ip link set "$1" up
    return 1
}

uplinked() {
    portcullis status -o json "${@:2}" | python3 -c '
import json, sys
known = [u for u in json.load(sys.stdin)["uplinks"] if u["name"] == sys.argv[1] and u.get("ofport")]
sys.exit(0 if known else f"{sys.argv[1]} is no port of the bridge yet")' "$1" &&
        portcullis status --wait "${@:2}" >/dev/null
}

# machine makes a host within the lab.
machine() {
    local parent pid wire
    if ! ip link show management >/dev/null 2>&1; then
        ip link add management type bridge && ip link set management up || return
        ip link add cable type bridge && ip link set cable up || return
        ip link set eth1 master cable || return
    fi
    LAB_STAGE=host unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc \
        --propagation private bash /run/lab/functions "$1" >"/run/lab/$1.log" 2>&1 &
    parent=$!
    await pgrep --parent "$parent" || return
    pid=$(pgrep --parent "$parent")
    echo "$pid" >"/run/lab/$1.pid"
    for wire in eth0:management eth1:cable; do
        ip link add "$1-${wire%:*}" type veth peer name "${wire%:*}" netns "$pid" || return
        ip link set "$1-${wire%:*}" up master "${wire#*:}" || return
        nsenter --target "$pid" --net ip link set "${wire%:*}" up
        nsenter --target "$pid" --net ethtool --offload "${wire%:*}" tx off >/dev/null
    done
    nsenter --target "$pid" --net ip address add "192.0.2.$2/24" dev eth0
    await on "$1" ovs-vsctl show
}

# lab_host is the first process of such a host.
lab_host() {
    set -eu -o pipefail
    lab_files "$1" "$(</run/lab/functions)"
    lab_switch
    # Whoever ends a process waits until it is reaped, which falls to the first one: not to sleep.
    sleep infinity &
    wait
}

on() {
    local pid
    if ! pid=$(cat "/run/lab/$1.pid" 2>/dev/null); then
        echo "lab: there is no host $1" >&2
        return 1
    fi
    LAB_STAGE=shell BASH_ENV=/run/lab/functions nsenter --target "$pid" --mount --net --uts --ipc \
        --pid -- bash -c 'cd; "$@"' on "${@:2}"
}

case ${LAB_STAGE:-outside} in
outside) lab_outside "${BASH_SOURCE[0]}" ;;
machine) lab_machine "${BASH_SOURCE[0]}" ;;
host) lab_host "$1" ;;
shell)
    unset BASH_ENV LAB_STAGE
    PS1='lab# '
    ;;
esac
