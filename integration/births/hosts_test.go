//go:build integration

package births

// Two hosts in the lab, each with an Open vSwitch, a libvirtd and a daemon of its own, behind one
// learning bridge, and a guest that moves between them while it runs.

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hosts are those of the lab; the guest begins at the first. number says a host's address for
// management, 192.0.2.NUMBER.
var hosts = []string{"hv1", "hv2"}

func number(host string) string { return strings.TrimPrefix(host, "hv") }

// hostsScript has functions for tests of two hosts.
const hostsScript = `
machine hv1 1 && machine hv2 2
at() { on "$1" eval ". \"$ROOT/integration/births/testdata/libvirt.sh\"; $2"; } # HOST SCRIPT
probe() { # NAME COMMAND …: speaks to the guest, until it is ended
    mkfifo "$1.end" && "${@:2}" <>"$1.end" >"$1.probe" 2>"$1.errors" &
}
probed() { grep -q ready "$1.probe"; }
told() { # NAME: ends it, and prints what came back
    echo end >"$1.end"
    spoken() { tail -n 1 "$1.probe" | grep '^{'; }
    await spoken "$1" && tail -n 1 "$1.probe" || { cat "$1.errors"; return 1; }
}
`

const movedGroups = `groups:
  - name: moved
    rules:
      - {direction: ingress, protocol: icmp, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: 7, cidr: 0.0.0.0/0}
`

// hostSettings are those of a host with the policy in a place.
func hostSettings(host, place string) string {
	return fmt.Sprintf("host: %s\nuplinks: [eth1]\ngateways: [203.0.113.1]\npolicy: %s\n", host, place)
}

// openHosts opens the lab with two hosts, on each of which libvirtd runs and the files of the guest
// are. Daemons do not run yet.
func openHosts(t *testing.T) *lab {
	t.Helper()
	l := openLab(t, "libvirtd", "virsh", "qemu-system-x86_64", "busybox", "dpkg-deb")
	files := guestFiles(t)
	l.run(hostsScript)
	for _, host := range hosts {
		l.at(host, fmt.Sprintf("mkdir /run/lab/guest && cp -L %s/* /run/lab/guest && libvirt_start", files))
		l.autopsy += fmt.Sprintf("\non %s eval 'hostname; tail -n 25 daemon.log libvirtd.log; "+
			"portcullis status; ovs-vsctl show; virsh list --all; ls /etc/portcullis/policy'", host)
	}
	l.run("watch_frames() { ip netns exec outside python3 " +
		"\"$ROOT/integration/births/testdata/frames.py\" eth0 >outside.frames & }; watch_frames")
	return l
}

// at runs a script on a host, with the functions of testdata/libvirt.sh.
func (l *lab) at(host, script string) string {
	l.t.Helper()
	return l.run(atScript(host, script))
}

func atScript(host, script string) string {
	return "at " + host + " '" + strings.ReplaceAll(script, "'", `'\''`) + "'"
}

// guard starts the daemon of a host.
func (l *lab) guard(host string) {
	l.t.Helper()
	l.at(host, `portcullis run >>daemon.log 2>&1 & echo $! >daemon.pid
await portcullis status --wait
ovs-vsctl --may-exist add-port br-int eth1
await uplinked eth1`)
}

// unguard ends the daemon of a host, whose switch forwards as if nobody had programmed it.
func (l *lab) unguard(host string) {
	l.t.Helper()
	l.at(host, `kill $(cat daemon.pid)
ended() { ! kill -0 $(cat daemon.pid); }
await ended
ovs-ofctl -O OpenFlow15 del-flows br-int
ovs-ofctl -O OpenFlow15 add-flow br-int actions=NORMAL`)
}

// stream is what testdata/probe.py tells of one.
type stream struct {
	Sent, Lost, Silence, Passed int
	Alive                       bool
}

// move is what one live migration did to those who speak to the guest.
type move struct {
	outside   map[string]stream // pings, to, from, attempts
	neighbour stream            // pings of an instance of the target
	still     int               // how long the guest stood still, says QEMU, in milliseconds
	took      time.Duration     // of virsh migrate
	rarp, arp int               // frames by which it was announced, outside
	tried     int               // frames to the port of the attempts, at the taps of both hosts
	sought    int               // and to the port that is admitted
}

func (m move) String() string {
	text := fmt.Sprintf("in %s, %d ms of them still; ", m.took.Round(time.Millisecond), m.still)
	for _, who := range []string{"pings", "to", "from"} {
		s := m.outside[who]
		text += fmt.Sprintf("%s: %d sent, %d lost, silent for %d ms; ", who, s.Sent, s.Lost, s.Silence)
	}
	return text + fmt.Sprintf("a neighbour's pings: %d sent, %d lost, silent for %d ms; attempts: %d, "+
		"of which %d passed, %d frames; %d RARP, %d gratuitous ARP", m.neighbour.Sent, m.neighbour.Lost,
		m.neighbour.Silence, m.outside["attempts"].Sent, m.outside["attempts"].Passed, m.tried, m.rarp,
		m.arp)
}

// The ports of the guest that are attempted: one where nobody denies anything, and one that nobody
// has ever reached, so that no connection of before is answered there.
const openPort, deniedPort = 22, 23

// virshMigrate is the command by which a guest moves to a host.
func virshMigrate(to string) string {
	return fmt.Sprintf("virsh -q migrate --live web-1 qemu+tcp://192.0.2.%s/system tcp://192.0.2.%[1]s",
		number(to))
}

// probes has somebody outside, and an instance of each host, speak to the guest at a host; a port
// of it is attempted.
func (l *lab) probes(host string, attempted int) {
	l.t.Helper()
	l.run(fmt.Sprintf(`rm -f *.probe *.end
script=$ROOT/integration/births/testdata/probe.py
probe outside ip netns exec outside python3 $script 203.0.113.11 %d
listens_there() { grep -q listening outside.probe; }
await listens_there`, attempted))
	// The guest opens a connection of its own, on which it speaks and gives back what it hears.
	l.at(host, `inside web-1 "netstat -ltn | grep -q :23"
inside web-1 'killall nc 2>/dev/null; nc -ll -p 7 -e cat & echo "(while :; do echo tick; usleep 200000; done) & exec cat" >/both
nc 203.0.113.1 5000 -e sh /both >/dev/null 2>&1 </dev/null &'`)
	for _, host := range hosts {
		l.run(fmt.Sprintf(`probe peer-%s on %[1]s ip netns exec peer python3 $script 203.0.113.11
await probed peer-%[1]s`, host))
		l.at(host, `python3 "$ROOT/integration/births/testdata/frames.py" tap-web-1 out >out.frames 2>&1 &
echo $! >frames.pid
await grep -q listening out.frames`)
	}
	l.run("await probed outside")
}

// report ends the probes, and returns what they tell of the last move, to a host.
func (l *lab) report(to string, attempted int) (m move) {
	l.t.Helper()
	require.NoError(l.t, json.Unmarshal([]byte(l.run("told outside")), &m.outside))
	for _, host := range hosts {
		var peer map[string]stream
		require.NoError(l.t, json.Unmarshal([]byte(l.run("told peer-"+host)), &peer))
		if host == to {
			m.neighbour = peer["pings"]
		}
		require.True(l.t, peer["pings"].Alive, "the neighbour at %s", host)
		l.at(host, "kill $(cat frames.pid)")
		for expression, count := range map[string]*int{
			fmt.Sprintf("tcp/%d$", attempted): &m.tried, "tcp/7$": &m.sought} {
			n, err := strconv.Atoi(strings.TrimSpace(l.at(host, "grep -cE '"+expression+
				"' out.frames || true")))
			require.NoError(l.t, err)
			*count += n
		}
	}
	return m
}

// migrate moves the guest once, and says what it did.
func (l *lab) migrate(from, to string, attempted int) move {
	l.t.Helper()
	l.probes(from, attempted)
	l.run("cp outside.frames before.frames")
	// Slowly, so that it runs at the one and is expected at the other for some seconds.
	l.at(from, "virsh -q migrate-setspeed web-1 8")
	began := time.Now()
	l.at(from, virshMigrate(to))
	took := time.Since(began)
	require.Contains(l.t, l.at(to, "virsh -q domstate web-1"), "running")
	m := l.report(to, attempted)
	m.took = took
	still := l.at(to, "virsh -q domjobinfo web-1 --completed | sed -n 's/^Total downtime: *\\([0-9]*\\) .*/\\1/p'")
	_, err := fmt.Sscan(still, &m.still)
	require.NoError(l.t, err, still)
	l.at(to, `is_long() { [ "$(cat /sys/class/net/tap-web-1/tx_queue_len)" = 1000 ]; }; await is_long`)
	m.rarp = l.announced("rarp")
	m.arp = l.announced("gratuitous")
	return m
}

// announced counts the frames by which the guest was announced outside since the last move.
func (l *lab) announced(kind string) int {
	l.t.Helper()
	count := func(file string) int { return l.frames(file, " 52:54:00:00:00:11 .* "+kind+"$") }
	return count("outside.frames") - count("before.frames")
}

// moves is how often the guest moves each way, with and without Portcullis: MIGRATIONS.
func moves(t *testing.T) int {
	text := os.Getenv("MIGRATIONS")
	if text == "" {
		t.Skip("guests without KVM move slowly: make test-migration runs it")
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}
