//go:build integration

package births

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// atMost is how much longer a guest may be silent over a move than without Portcullis.
const atMost = 1.3

// moreBlocks is how many further blocks of moves are made where the medians are not close enough.
// All that was measured counts.
const moreBlocks = 4

// openMoved opens two hosts whose policies are files that only the hooks write, but for the groups
// and a neighbour on each; the guest runs at the first.
func openMoved(t *testing.T) *lab {
	t.Helper()
	l := openHosts(t)
	for _, host := range hosts {
		l.at(host, "mkdir -p /etc/portcullis/policy && cat >/etc/portcullis/portcullis.yaml <<X\n"+
			hostSettings(host, "policy")+"X\ncat >/etc/portcullis/policy/groups.yaml <<X\n"+movedGroups+"X")
		l.guard(host)
		l.at(host, "portcullis instance add peer "+peer(host))
	}
	l.placeGuests()
	return l
}

// peer are the arguments of an instance that is a neighbour at a host.
func peer(host string) string {
	n := number(host)
	return "--group moved --port name=tap-peer,mac=02:00:00:00:00:2" + n + ",address=203.0.113.2" + n
}

// placeGuests makes the neighbours and the guest, which boots at the first host.
func (l *lab) placeGuests() {
	l.t.Helper()
	for _, host := range hosts {
		l.at(host, "instance peer 2"+number(host)+"; await plugged tap-peer")
	}
	l.at(hosts[0], "guest web-1 11 11 moved && virsh -q start web-1 && booted web-1 0")
}

// silences are those of several moves, in milliseconds, by who was waiting.
type silences map[string][]int

func (s silences) add(m move) {
	for _, who := range []string{"pings", "to", "from"} {
		s[who] = append(s[who], m.outside[who].Silence)
	}
	s["neighbour"] = append(s["neighbour"], m.neighbour.Silence)
	s["nobody: it stood still"] = append(s["nobody: it stood still"], m.still)
}

func median(list []int) int {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// thereAndBack moves the guest twice, with Portcullis or without, and says how long it was silent.
func (l *lab) thereAndBack(s silences, attempted int, check func(move)) {
	l.t.Helper()
	for n, from := range hosts {
		m := l.migrate(from, hosts[1-n], attempted)
		l.t.Logf("%s → %s %s", from, hosts[1-n], m)
		for who, one := range m.outside {
			require.True(l.t, one.Alive || who == "attempts", "%s does not hear from it any more", who)
		}
		check(m)
		s.add(m)
	}
}

// A guest moves between two hosts whose policies are files that the hooks alone write. Connections
// of both directions live; nothing that is denied passes; it is silent hardly longer than without
// Portcullis; and it is announced.
func TestMigration(t *testing.T) {
	n := moves(t)
	l := openMoved(t)
	with, without := silences{}, silences{}
	for block := 0; block < n || block < n+moreBlocks && tooLong(with, without) != ""; block++ {
		for _, host := range hosts {
			l.unguard(host)
		}
		l.thereAndBack(without, openPort, func(m move) {
			require.Positive(t, m.outside["attempts"].Passed, "nobody denies anything")
			require.Positive(t, m.tried)
		})
		for _, host := range hosts {
			l.guard(host)
		}
		l.thereAndBack(with, deniedPort, func(m move) {
			require.Zero(t, m.outside["attempts"].Passed)
			require.Zero(t, m.tried, "frames to a port that is denied, at its tap devices")
			require.Positive(t, m.sought, "while those to another one are seen there")
			require.Positive(t, m.rarp, "RARP that is seen outside")
			require.Positive(t, m.arp, "gratuitous ARP that is seen outside")
		})
	}
	for who := range with {
		t.Logf("silence of %s over %d moves each, in ms: with Portcullis %v, median %d; without %v, "+
			"median %d", who, len(with[who]), with[who], median(with[who]), without[who], median(without[who]))
	}
	require.Empty(t, tooLong(with, without))
	l.step("states", l.states)
	l.step("announced", l.announces)
	l.step("given up", l.givenUp)
	l.step("refused", l.refusedByTarget)
}

// tooLong says who waits too long, "" if nobody does.
func tooLong(with, without silences) string {
	for who, list := range with {
		if strings.HasPrefix(who, "nobody") {
			continue
		}
		if m, bound := median(list), atMost*float64(median(without[who])); float64(m) > bound {
			return fmt.Sprintf("%s: a median of %d ms, more than %.0f ms", who, m, bound)
		}
	}
	return ""
}

// states moves the guest once more, there and back, and looks what is told of it.
func (l *lab) states() {
	l.t.Helper()
	for n, from := range hosts {
		l.at(hosts[1], "[ -e record ] || record tap-web-1 web-1 record")
		l.at(from, virshMigrate(hosts[1-n]))
	}
	l.statesOf(hosts[1])
}

// statesOf checks what was told of the guest at a host to which it has moved, and left again: it
// was expected before it had a device, in force then, and not there afterwards.
func (l *lab) statesOf(host string) {
	l.t.Helper()
	l.at(host, `is_gone() { [[ $(grep port record | tail -n 1) == *"port none" ]]; }; await is_gone`)
	var states []string
	for _, line := range strings.Split(strings.TrimSpace(l.at(host, "cat record")), "\n") {
		_, what, _ := strings.Cut(line, " ")
		states = append(states, what)
	}
	said := strings.Join(states, ", ")
	l.t.Logf("%s: %s", host, said)
	require.Regexp(l.t, "port standby, device there, (port pending, )?port applied, .*device gone, ", said)
	require.NotContains(l.t, said, "port error")
	require.NotContains(l.t, l.at(host, "ovs-vsctl list-ports br-int; ls -R /etc/portcullis"),
		"web-1")
}

// announces has QEMU announce the guest where it is: the network hears it, and no instance does.
func (l *lab) announces() {
	l.t.Helper()
	l.run("cp outside.frames before.frames")
	l.at("hv1", `python3 "$ROOT/integration/births/testdata/frames.py" tap-peer out >peer.frames 2>&1 &
await grep -q listening peer.frames
virsh -q qemu-monitor-command web-1 --hmp announce_self`)
	l.run(`heard() { [ $(grep -cE " 52:54:00:00:00:11 .* $1\$" outside.frames) -gt \
$(grep -cE " 52:54:00:00:00:11 .* $1\$" before.frames) ]; }
await heard rarp; await heard gratuitous`)
	l.t.Logf("announced outside by %d RARP and %d gratuitous ARP", l.announced("rarp"),
		l.announced("gratuitous"))
	require.Equal(l.t, "0\n", l.at("hv1", "grep -c rarp peer.frames || true"))
}

// givenUp begins a move and takes it back when the target has the guest's device: the guest goes on
// where it was, nothing is lost that anybody notices, and the target keeps nothing.
func (l *lab) givenUp() {
	l.t.Helper()
	l.probes("hv1", deniedPort)
	l.at("hv1", "virsh -q migrate-setspeed web-1 1")
	l.at("hv1", virshMigrate("hv2")+` >move.out 2>&1 & echo $! >move.pid`)
	l.at("hv2", `is_applied() { [[ $(grep port record | tail -n 1) == *"port applied" ]]; }; await is_applied`)
	l.at("hv2", `is_short() { [ "$(cat /sys/class/net/tap-web-1/tx_queue_len)" = 32 ]; }; await is_short`)
	l.at("hv1", `virsh -q domjobabort web-1
ended() { ! kill -0 $(cat move.pid); }
await ended`)
	require.Contains(l.t, l.at("hv1", "cat move.out"), "abort")
	require.Contains(l.t, l.at("hv1", "virsh -q domstate web-1"), "running")
	m := l.report("hv2", deniedPort)
	l.t.Logf("a move that is given up: %s", m)
	for who, one := range m.outside {
		require.True(l.t, one.Alive || who == "attempts", who)
	}
	require.Zero(l.t, m.outside["attempts"].Passed+m.tried)
	l.statesOf("hv2")
	require.Regexp(l.t, "tap-web-1 +web-1 +applied", l.at("hv1", "portcullis status"))
}

// refusedByTarget moves the guest to a host that has its MAC for another machine.
func (l *lab) refusedByTarget() {
	l.t.Helper()
	l.at("hv2", "portcullis instance add thief --group moved --port "+
		"name=tap-thief,mac=52:54:00:00:00:11,address=203.0.113.99 --wait")
	l.probes("hv1", deniedPort)
	out := l.refused(atScript("hv1", virshMigrate("hv2")+" 2>&1"))
	require.Contains(l.t, out, "52:54:00:00:00:11 is the MAC of the port")
	require.Contains(l.t, l.at("hv1", "virsh -q domstate web-1"), "running")
	m := l.report("hv2", deniedPort)
	require.True(l.t, m.outside["to"].Alive && m.outside["from"].Alive && m.outside["pings"].Alive)
	require.Zero(l.t, m.outside["attempts"].Passed+m.tried)
	l.refused(atScript("hv2", "ls /etc/portcullis/policy/web-1.yaml || ip link show tap-web-1"))
}

// databaseScript makes a policy database on the first host, which the hosts reach with
// certificates: daemons read, hooks write.
const databaseScript = `
on hv1 portcullis db init --dir /var/lib/portcullis/db --tls --name member-1 \
    --listen pssl:6641:192.0.2.1 --writers pssl:6642:192.0.2.1
on hv1 portcullis db run --dir /var/lib/portcullis/db >db.log 2>&1 &
on hv1 await portcullis db status --db unix:/var/lib/portcullis/db/db.sock
on hv1 portcullis db certificate hooks --for writer --dir /var/lib/portcullis/db
for host in hv1 hv2; do
    on hv1 portcullis db certificate $host --dir /var/lib/portcullis/db
    on hv1 tar -C /var/lib/portcullis/db/issued -c $host hooks | on $host tar -C /etc/portcullis -x
    on $host tee /etc/portcullis/portcullis.yaml >/dev/null <<END
host: $host
uplinks: [eth1]
gateways: [203.0.113.1]
policy: ovsdb:ssl:192.0.2.1:6641
policy_tls: {ca: $host/ca.pem, certificate: $host/certificate.pem, key: $host/key.pem}
END
    on $host tee /etc/libvirt/hooks/qemu.d/portcullis >/dev/null <<END
#!/bin/sh
export PORTCULLIS_DB=ssl:192.0.2.1:6642 PORTCULLIS_DB_TLS=/etc/portcullis/hooks
exec portcullis hook libvirt "\$@"
END
done
`

// The same with a policy database that both hosts follow, and to which the hooks write.
func TestMigration_Database(t *testing.T) {
	moves(t)
	l := openHosts(t)
	l.run(databaseScript)
	policy := movedGroups + "instances:\n"
	for _, host := range hosts {
		n := number(host)
		policy += fmt.Sprintf("  - {name: peer-%s, host: hv%[1]s, groups: [moved], ports: [{name: tap-peer, "+
			"mac: \"02:00:00:00:00:2%[1]s\", addresses: [203.0.113.2%[1]s]}]}\n", n)
	}
	l.at("hv1", "cat >policy.yaml <<X\n"+policy+"X\nportcullis apply -f policy.yaml --yes "+
		"--db unix:/var/lib/portcullis/db/db.sock")
	for _, host := range hosts {
		l.guard(host)
	}
	l.placeGuests()
	for _, host := range hosts {
		l.at(host, "record tap-web-1 web-1 record")
	}
	l.thereAndBack(silences{}, deniedPort, func(m move) {
		require.Zero(t, m.outside["attempts"].Passed+m.tried)
		require.Positive(t, m.sought)
		require.Positive(t, m.rarp)
		require.Positive(t, m.arp)
	})
	l.statesOf("hv2")
	// It is elsewhere from the moment when its device goes until the hooks' change is here, too: which
	// of the two is first is theirs.
	states := l.at("hv1", "cut -d ' ' -f 2- record | paste -sd ,")
	t.Logf("hv1: %s", states)
	require.Regexp(t, "device gone,(port absent,)?(port elsewhere,)?port none,", states)
	require.NotContains(t, states, "port error")
	require.Regexp(t, `(?m)^web-1 +hv1 `, l.at("hv1", "portcullis instance list"))
	l.step("given up", l.givenUp)
	require.Regexp(t, `(?m)^web-1 +hv1 `, l.at("hv1", "portcullis instance list"))
}
