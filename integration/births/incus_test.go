//go:build integration

package births

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// openIncus opens a lab in which Incus and its follower run. INCUS_ROOT is a root file system of a
// release of Debian that has Incus: `make test-incus` makes it.
func openIncus(t *testing.T) *lab {
	t.Helper()
	root := os.Getenv("INCUS_ROOT")
	if root == "" {
		t.Skip("Incus is in no package of the release that tests run on: make test-incus runs it")
	}
	l := openLab(t)
	l.start(lxcSettings, tierGroups)
	l.autopsy += "; tail -n 30 incusd.log follower.log; in_incus incus list"
	l.run(`. "$ROOT/integration/births/testdata/incus.sh"; incus_start ` + root)
	l.run(`in_incus sh /usr/local/bin/follower >follower.log 2>&1 &
follows() { pgrep -f 'incus monitor'; }
await follows`)
	return l
}

// Instances of Incus whose NICs and groups stand in its own configuration: the follower puts them
// into the policy when they start. Reached as the groups say and not otherwise, restarted, with a
// second card, forged, cloned, deleted.
func TestIncus(t *testing.T) {
	l := openIncus(t)
	l.run("container web-1 11 11 web && container db-1 12 12 db && in_incus incus start web-1 db-1")
	l.awaits("tap-web-1", "applied")
	l.awaits("tap-db-1", "applied")
	require.Contains(t, l.run("cat /etc/portcullis/policy/web-1.yaml"), "groups: [web]")
	l.run("addressed web-1 11; addressed db-1 12; for port in 80 22; do listen web-1 $port; done; listen db-1 3306")
	l.reaches("outside", "203.0.113.11", 80, true)
	l.reaches("outside", "203.0.113.11", 22, false)
	l.run("fetch web-1 203.0.113.12 3306")
	l.refused("fetch db-1 203.0.113.11 22")
	l.reaches("outside", "203.0.113.12", 3306, false)
	l.step("restarted", func() {
		row := l.run("ovs-vsctl get Interface tap-web-1 _uuid")
		l.run("in_incus incus restart --force web-1")
		l.awaits("tap-web-1", "applied")
		require.NotEqual(l.t, row, l.run("ovs-vsctl get Interface tap-web-1 _uuid"), "it has a row anew")
		l.run("addressed web-1 11; for port in 80 22; do listen web-1 $port; done")
		l.reaches("outside", "203.0.113.11", 80, true)
		l.reaches("outside", "203.0.113.11", 22, false)
	})
	l.step("forged", l.forgedInIncus)
	l.step("a second card", l.secondCardOfIncus)
	l.step("a clone with the MAC of the first", func() {
		out := l.refused("container clone 11 14 web 2>&1")
		require.Contains(l.t, out, `MAC address "02:00:00:00:00:11" already defined`, "Incus says so itself")
		l.run("in_incus incus delete clone")
		l.run("container clone 11 14 web p2p && in_incus incus start clone && addressed clone 14")
		l.run("told() { grep -q '02:00:00:00:00:11 is the MAC of the port' follower.log; }; await told")
		l.refused("ls /etc/portcullis/policy/clone.yaml")
		require.NotContains(l.t, l.run("ovs-vsctl list-ports br-int"), "tap-clone")
		l.refused("inside clone busybox ping -c 2 -W 1 203.0.113.1")
		l.reaches("outside", "203.0.113.11", 80, true)
		l.run("in_incus incus delete --force clone")
	})
	l.step("plugged in by Portcullis", func() {
		l.run("container web-2 16 16 web p2p && in_incus incus start web-2")
		l.awaits("tap-web-2", "applied")
		l.run("addressed web-2 16; for port in 80 22; do listen web-2 $port; done")
		l.reaches("outside", "203.0.113.16", 80, true)
		l.reaches("outside", "203.0.113.16", 22, false)
		l.run("fetch web-2 203.0.113.12 3306")
	})
	l.step("the follower loses Incus", func() {
		l.run("container late 18 18 web; kill $(pgrep -f 'incus monitor') && in_incus incus start late")
		l.awaits("tap-late", "applied")
		l.run("await follows; in_incus incus stop --force late")
		l.run("gone() { ! test -e /etc/portcullis/policy/late.yaml; }; await gone")
	})
	l.step("a group that there is not", func() {
		l.run("container typo 15 15 wbe && in_incus incus start typo")
		l.run(`told() { grep -q 'there is no group "wbe"' follower.log; }; await told`)
		l.refused("ls /etc/portcullis/policy/typo.yaml")
	})
	l.step("deleted", func() {
		l.run("in_incus incus delete --force web-1")
		l.run("gone() { ! test -e /etc/portcullis/policy/web-1.yaml; }; await gone")
		l.run("await portcullis status --wait")
		require.NotContains(l.t, l.run("portcullis status"), "tap-web-1")
		l.reaches("outside", "203.0.113.11", 80, false)
	})
}

// forgedInIncus has web-1 speak with a MAC of nobody: what its device gets is counted, and leaves
// it nowhere.
func (l *lab) forgedInIncus() {
	l.t.Helper()
	l.run(`frames=$ROOT/integration/births/testdata/frames.py
python3 $frames tap-web-1 >tap.frames 2>&1 &
ip netns exec outside python3 $frames eth0 >outside.frames 2>&1 &
inside db-1 python3 $frames eth0 >peer.frames 2>&1 &
for one in tap outside peer; do await grep -q listening $one.frames; done
speaks() { inside web-1 ip neigh flush dev eth0; inside web-1 busybox ping -c 2 -W 1 203.0.113.1 >/dev/null; }`)
	const honest, forged = " 02:00:00:00:00:11 ", " 02:00:00:00:00:77 "
	l.run("speaks && fetch web-1 203.0.113.12 3306")
	for _, file := range []string{"tap.frames", "outside.frames", "peer.frames"} {
		require.Positive(l.t, l.frames(file, honest), "its own MAC, at %s", file)
	}
	l.run("inside web-1 ip link set eth0 address 02:00:00:00:00:77")
	l.refused("speaks")
	l.refused("fetch web-1 203.0.113.12 3306")
	l.t.Logf("%d frames with a forged MAC", l.frames("tap.frames", forged))
	require.Positive(l.t, l.frames("tap.frames", forged))
	require.Zero(l.t, l.frames("outside.frames", forged))
	require.Zero(l.t, l.frames("peer.frames", forged))
	l.run("inside web-1 ip link set eth0 address 02:00:00:00:00:11; await speaks")
}

// secondCardOfIncus plugs a card into an instance that runs, and out again.
func (l *lab) secondCardOfIncus() {
	l.t.Helper()
	l.run(`in_incus incus config device add web-1 eth1 nic nictype=bridged parent=br-int \
host_name=tap-web-1b hwaddr=02:00:00:00:00:13 user.portcullis.addresses=203.0.113.13`)
	l.awaits("tap-web-1b", "applied")
	l.run(`inside web-1 ethtool --offload eth1 tx off >/dev/null; inside web-1 ip link set eth1 up
inside web-1 ip address add 203.0.113.13/32 dev eth1
inside web-1 ip route add 203.0.113.1 dev eth1 src 203.0.113.13`)
	l.run(`reached() { try outside 203.0.113.13 80 | grep -q 'outside reaches'; }; await reached`)
	l.reaches("outside", "203.0.113.13", 22, false)
	l.run("in_incus incus config device remove web-1 eth1")
	l.run("gone() { ! portcullis status | grep -q tap-web-1b; }; await gone")
	l.run("await fetch web-1 203.0.113.12 3306")
}
