//go:build integration

package births

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// onlyBirths skips a test of guests without KVM, which boot slowly, but by make test-births.
func onlyBirths(t *testing.T) {
	t.Helper()
	if os.Getenv("BIRTHS_ROUNDS") == "" {
		t.Skip("guests without KVM boot slowly: make test-births runs it")
	}
}

// openLibvirt opens a lab whose daemon has settings; before is a script that runs before it starts.
func openLibvirt(t *testing.T, settings, before string) *lab {
	t.Helper()
	l := openLab(t, "libvirtd", "virsh", "qemu-system-x86_64", "busybox", "dpkg-deb")
	files := guestFiles(t)
	l.run(fmt.Sprintf("mkdir /run/lab/guest && cp -L %s/* /run/lab/guest", files))
	l.write("/run/lab/home/groups.yaml", tierGroups)
	l.run(before)
	l.start(settings, tierGroups)
	l.run(`. "$ROOT/integration/births/testdata/libvirt.sh"; libvirt_start`)
	l.run("record tap-web-1 web-1 record")
	return l
}

// starts is how often a guest is started where a budget is held: by the median.
const starts = 5

// budget is how soon a port is in force once its tap device is there.
const budget = time.Second

// startsInTime starts web-1 several times, prints how long after its tap device its port was in
// force each time, and holds the median against the budget. web-1 runs at the end.
func (l *lab) startsInTime() {
	l.t.Helper()
	for n := range starts {
		if n > 0 {
			l.run("virsh -q destroy web-1")
			l.recorded("port none")
		}
		l.run("virsh -q start web-1")
		l.recorded("port applied")
	}
	took := l.delays()
	l.t.Logf("in force after its tap device was there: %v", took)
	require.Len(l.t, took, starts)
	slices.Sort(took)
	require.Less(l.t, took[starts/2], budget, "the median of %v", took)
}

// recorded waits until the last that is recorded of the port is something.
func (l *lab) recorded(what string) {
	l.t.Helper()
	l.run(fmt.Sprintf(`last_port() { [[ $(grep port record | tail -n 1) == *" %s" ]]; }; await last_port`,
		what))
}

// delays are the times from each appearance of a device to the moment when its port is in force.
func (l *lab) delays() (out []time.Duration) {
	l.t.Helper()
	there := -1
	for _, line := range strings.Split(l.run("cat record"), "\n") {
		at, what, _ := strings.Cut(line, " ")
		ms, err := strconv.Atoi(at)
		switch {
		case what == "device there":
			require.NoError(l.t, err)
			there = ms
		case what == "port applied" && there >= 0:
			require.NoError(l.t, err)
			out = append(out, time.Duration(ms-there)*time.Millisecond)
			there = -1
		}
	}
	return out
}

// frames counts the lines of a file that watch_frames writes which fit an extended expression.
func (l *lab) frames(file, expression string) int {
	l.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(l.run(fmt.Sprintf("grep -cE '%s' %s || true", expression,
		file))))
	require.NoError(l.t, err)
	return n
}

// Guests that libvirt starts and the hook puts into the policy, with two lines of metadata: reached
// as the groups say and not otherwise, forged, reset, with a second card, cloned, destroyed.
func TestLibvirt(t *testing.T) {
	onlyBirths(t)
	t.Parallel()
	l := openLibvirt(t, lxcSettings, "")
	l.run("guest web-1 11 11 web")
	l.startsInTime()
	require.Contains(t, l.run("cat /etc/portcullis/policy/web-1.yaml"), "groups: [web]")
	l.run("booted web-1 0")
	l.reaches("outside", "203.0.113.11", 80, true)
	l.reaches("outside", "203.0.113.11", 22, false)
	l.step("forged", l.forgedMAC)
	l.step("a card that is plugged in", l.secondCard)
	l.step("a clone with the MAC of the first", func() {
		l.run("guest clone 11 14 web")
		out := l.refused("virsh -q start clone 2>&1")
		require.Contains(l.t, out, "52:54:00:00:00:11 is the MAC of the port")
		require.Contains(l.t, out, "/etc/portcullis/policy/web-1.yaml:")
		require.Equal(l.t, "shut off\n", l.run("virsh -q domstate clone | head -n 1"))
		l.refused("ls /etc/portcullis/policy/clone.yaml || ip link show tap-clone")
	})
	l.step("a group that there is not", func() {
		l.run("guest typo 15 15 wbe")
		require.Contains(l.t, l.refused("virsh -q start typo 2>&1"), `there is no group "wbe"`)
	})
	l.step("reset", l.reset)
	l.step("destroyed", func() {
		l.run("virsh -q destroy web-1 && ! test -e /etc/portcullis/policy/web-1.yaml")
		require.Equal(l.t, "shut off\n", l.run("virsh -q domstate web-1 | head -n 1"))
		l.refused("ip link show tap-web-1")
		l.run("await portcullis status --wait")
		require.NotContains(l.t, l.run("portcullis status"), "tap-web-1 ")
		l.reaches("outside", "203.0.113.11", 80, false)
	})
}

// forgedMAC has the guest speak to a neighbour and to the network with its own MAC and with that of
// nobody: what its tap device gets is what leaves it, or nothing of it.
func (l *lab) forgedMAC() {
	l.t.Helper()
	l.run(`instance peer 21
portcullis instance add peer --group web --port name=tap-peer,mac=02:00:00:00:00:21,address=203.0.113.21 --wait
serve peer 80
watch_frames - tap-web-1 tap.frames
watch_frames outside eth0 outside.frames
watch_frames peer eth0 peer.frames
speaks() { # asks for both neighbours' MACs anew, and says whether either answers
    inside web-1 'ip neigh flush dev eth0; nc -w 2 203.0.113.21 80 </dev/null | head -n 1 | grep -q .; a=$?
ping -c 3 -W 1 203.0.113.1 >/dev/null; [ $a = 0 ] || [ $? = 0 ]'
}`)
	const honest, forged = " 52:54:00:00:00:11 ", " 52:54:00:00:00:77 "
	l.run("speaks")
	for _, file := range []string{"tap.frames", "outside.frames", "peer.frames"} {
		require.Positive(l.t, l.frames(file, honest), "its own MAC, at %s", file)
	}
	l.run("inside web-1 'ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:77; " +
		"ip link set eth0 up; ip route add default via 203.0.113.1'")
	l.refused("speaks")
	said := l.frames("tap.frames", forged)
	l.t.Logf("%d frames with a forged MAC", said)
	require.Positive(l.t, said, "the guest did speak with a forged MAC")
	require.Zero(l.t, l.frames("outside.frames", forged))
	require.Zero(l.t, l.frames("peer.frames", forged))
	before := l.frames("outside.frames", honest)
	l.run("inside web-1 'ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:11; " +
		"ip link set eth0 up; ip route add default via 203.0.113.1'; await speaks")
	require.Greater(l.t, l.frames("outside.frames", honest), before, "and is heard again")
	require.Zero(l.t, l.frames("outside.frames", forged))
	require.Zero(l.t, l.frames("peer.frames", forged))
	l.run("remove peer; portcullis instance remove peer --wait")
}

// secondCard plugs a card into the guest that runs, and out again; libvirt and the guest have it.
func (l *lab) secondCard() {
	l.t.Helper()
	l.run("portcullis instance add web-1b --group web " +
		"--port name=tap-web-1b,mac=52:54:00:00:00:13,address=203.0.113.13 --wait")
	l.run(`sed -n '/<interface/,/<\/interface/p' web-1.xml | sed 's/:11/:13/; s/tap-web-1/tap-web-1b/' >card.xml
virsh -q attach-device web-1 card.xml --live`)
	l.awaits("tap-web-1b", "applied")
	require.Contains(l.t, l.run("virsh -q domiflist web-1"), "52:54:00:00:00:13")
	l.run(`await inside web-1 'ip link set eth1 up'
inside web-1 'ip address add 203.0.113.13/32 dev eth1; ip route add 203.0.113.1 dev eth1 src 203.0.113.13'`)
	l.run(`reached() { try outside 203.0.113.13 80 | grep -q 'outside reaches'; }; await reached`)
	l.reaches("outside", "203.0.113.13", 22, false)
	l.run("virsh -q detach-device web-1 card.xml --live")
	l.awaits("tap-web-1b", "absent")
	l.run("gone() { ! inside web-1 'ip link show eth1'; }; await gone")
	require.NotContains(l.t, l.run("virsh -q domiflist web-1"), "52:54:00:00:00:13")
	l.run("portcullis instance remove web-1b --wait")
	l.run("inside web-1 'ip route del 203.0.113.1 2>/dev/null; ping -c 1 203.0.113.1'")
}

// reset starts the guest anew, from inside and from outside: its process and its port stay.
func (l *lab) reset() {
	l.t.Helper()
	for _, how := range []string{"inside web-1 'reboot -f &'", "virsh -q reset web-1"} {
		port := l.run("pgrep qemu; ovs-vsctl get Interface tap-web-1 ofport")
		l.run("before=$(boots web-1); " + how + "; booted web-1 $before")
		require.Equal(l.t, port, l.run("pgrep qemu; ovs-vsctl get Interface tap-web-1 ofport"), how)
		l.reaches("outside", "203.0.113.11", 80, true)
		l.reaches("outside", "203.0.113.11", 22, false)
	}
}

// The same with a policy database, and a start without a daemon: mute until it is back.
func TestLibvirt_Database(t *testing.T) {
	onlyBirths(t)
	t.Parallel()
	l := openLibvirt(t, "host: hv1\n"+strings.Replace(lxcSettings, "policy: policy",
		"policy: ovsdb:unix:/var/lib/portcullis/db/db.sock", 1), `
portcullis db init --dir /var/lib/portcullis/db
portcullis db run --dir /var/lib/portcullis/db >db.log 2>&1 &
export PORTCULLIS_DB=unix:/var/lib/portcullis/db/db.sock
await portcullis db status && portcullis apply groups.yaml --yes
unset PORTCULLIS_DB`)
	l.run("guest web-1 11 11 web")
	l.startsInTime()
	require.Regexp(t, `web-1 +hv1 +web`, l.run("portcullis instance list"))
	l.run("booted web-1 0")
	l.reaches("outside", "203.0.113.11", 80, true)
	l.reaches("outside", "203.0.113.11", 22, false)
	l.run("virsh -q destroy web-1")
	require.NotContains(t, l.run("portcullis instance list"), "web-1")

	l.run("kill $(pgrep -f 'portcullis run') && before=$(boots web-1) && virsh -q start web-1")
	l.run("booted web-1 $before")
	l.run("watch_frames - tap-web-1 tap.frames && watch_frames outside eth0 outside.frames")
	l.refused("inside web-1 'ping -c 3 -W 1 203.0.113.1 >/dev/null'")
	l.reaches("outside", "203.0.113.11", 80, false)
	require.Positive(t, l.frames("tap.frames", " 52:54:00:00:00:11 "))
	require.Zero(t, l.frames("outside.frames", " 52:54:00:00:00:11 "))
	l.run("portcullis run >>portcullis.log 2>&1 & await portcullis status --wait")
	l.run("await inside web-1 'ping -c 1 -W 1 203.0.113.1'")
	l.reaches("outside", "203.0.113.11", 80, true)
	require.Positive(t, l.frames("outside.frames", " 52:54:00:00:00:11 "))
}
