//go:build integration

package births

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guest is a machine behind a real tap device: as long as it runs it answers ARP and pings for one
// address, with one MAC: NAME MAC ADDRESS.
const guest = `
import fcntl, os, socket, struct, sys
name, mac, address = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), socket.inet_aton(sys.argv[3])
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1002))  # IFF_TAP, IFF_NO_PI
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", 0xffff - total)
os.system(f"ip link set {name} up")
open(f"/run/lab/{name}.up", "w").close()
while True:
    frame = os.read(tap, 65536)
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == address:
        os.write(tap, frame[6:12] + mac + frame[12:20] + b"\0\2" + mac + address + frame[22:32])
    elif frame[12:14] == b"\x08\0" and frame[30:34] == address and frame[23] == 1 and frame[34] == 8:
        echo = b"\0\0\0\0" + frame[38:]
        if len(echo) % 2 == 0:
            echo = b"\0\0" + checksum(echo) + echo[4:]
            os.write(tap, frame[6:12] + mac + frame[12:26] + frame[30:34] + frame[26:30] + echo)
`

// proxmox are the commands of tap_plug and of the script at a machine's end (pve-common,
// PVE::Network), and what starts and stops a machine around them.
const proxmox = `
plug() { ovs-vsctl --if-exists del-port "$1"; ovs-vsctl -- add-port vmbr1 "$1"; }
boot() {
    python3 guest.py "$1" "$2" "$3" >"$1.out" 2>&1 &
    echo $! >"/run/lab/$1.pid"
    await test -e "/run/lab/$1.up"
}
halt() {
    kill "$(cat "/run/lab/$1.pid")"
    rm "/run/lab/$1.up"
    gone() { ! ip link show "$1"; }
    await gone "$1"
    ovs-vsctl --if-exists del-port "$1"
}
answers() { ip netns exec outside busybox ping -q -c 1 -W 1 "$1"; }
`

const proxmoxSettings = `bridge: vmbr1
uplinks: [eth1]
gateways: [203.0.113.1]
policy: policy
`

const pingable = `groups:
  - name: web
    rules:
      - {direction: ingress, protocol: icmp, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
`

const vm100 = `instances:
  - name: vm100
    groups: [web]
    ports: [{name: tap100i0, mac: "02:00:00:00:00:11", addresses: [203.0.113.11]}]
`

// rounds is how often each of three machines is plugged in: BIRTHS_ROUNDS, or a few times.
func rounds(t *testing.T) int {
	text := os.Getenv("BIRTHS_ROUNDS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

func openProxmox(t *testing.T, settings string) *lab {
	l := openLab(t, "busybox")
	l.write("/run/lab/home/guest.py", guest)
	l.run(proxmox)
	l.start(settings, pingable)
	l.write("/etc/portcullis/policy/vm100.yaml", vm100)
	l.awaits("tap100i0", "absent")
	return l
}

// Proxmox takes the row of a device away and adds it, without asking whether it is there. Machines
// that are in the policy before they start do start, each time, and are in force each time.
func TestProxmox_PlugsInWhatThePolicyHas(t *testing.T) {
	t.Parallel()
	l := openProxmox(t, proxmoxSettings)
	require.Empty(t, l.run("ovs-vsctl list-ports vmbr1 | grep tap || true"),
		"nobody has plugged it in")
	for range 3 {
		l.run("boot tap100i0 02:00:00:00:00:11 203.0.113.11; plug tap100i0")
		l.run("await answers 203.0.113.11")
		// another card, tag or bridge: both commands while the machine runs
		l.run(fmt.Sprintf("(for n in $(seq %d); do plug tap100i0 || exit; done)", rounds(t)))
		l.run("await answers 203.0.113.11")
		l.run("halt tap100i0")
		l.awaits("tap100i0", "absent")
		require.Empty(t, l.run("ovs-vsctl list-ports vmbr1 | grep tap || true"))
	}
	status := l.run("portcullis status")
	require.Contains(t, status, "in sync")
	require.Contains(t, status, "nobody has added the device tap100i0 to the bridge")
}

// What such a device says in another's name, and a device that no policy has, pass nothing.
func TestProxmox_ForgedAndUnknown(t *testing.T) {
	t.Parallel()
	l := openProxmox(t, proxmoxSettings)
	mute := func(mac, address, device string) {
		l.run(fmt.Sprintf("boot %s %s %s; plug %[1]s", device, mac, address))
		l.run("await portcullis status --wait")
		l.refused("answers " + address)
		l.run("halt " + device)
	}
	mute("02:00:00:00:00:12", "203.0.113.11", "tap100i0") // its MAC is another's
	mute("02:00:00:00:00:11", "203.0.113.12", "tap100i0") // its address is
	mute("02:00:00:00:00:13", "203.0.113.13", "tap999i0") // not in the policy
	l.run("boot tap100i0 02:00:00:00:00:11 203.0.113.11; plug tap100i0; await answers 203.0.113.11")
	l.write("/etc/portcullis/policy/vm100.yaml", "instances: []\n")
	l.run("await portcullis status --wait")
	l.refused("answers 203.0.113.11")
	require.Contains(t, l.run("ovs-vsctl list-ports vmbr1"), "tap100i0",
		"a port that others made is not removed")
}

// Told that nobody else plugs anything in, Portcullis does it, and is in the way of Proxmox: that
// the commands succeed is by the setting, and by nothing else.
func TestProxmox_NeedsTheSetting(t *testing.T) {
	t.Parallel()
	l := openProxmox(t, proxmoxSettings+"plugged_by_others: []\n")
	require.Contains(t, l.run("ovs-vsctl list-ports vmbr1"), "tap100i0")
	l.run("boot tap100i0 02:00:00:00:00:11 203.0.113.11; await answers 203.0.113.11")
	out := l.refused("(for n in $(seq 20); do plug tap100i0 || exit; sleep 0.1; done) 2>&1")
	require.True(t, strings.Contains(out, "already exists"), out)
}
