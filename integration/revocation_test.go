//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// cutAfter is after how many packets at most a stream that nothing admits any more must have
// stopped, counted from the moment when the new policy is reported in force: as many as it sends in
// a second. Open vSwitch's own caches follow a change of flows "usually within one second".
const cutAfter = 500

// carriers are the streams of one connection that revocation must cut: each side alone.
var carriers = []struct {
	name string
	push func(w *testnet.World, client, server string, f testnet.Family, port uint16) (*testnet.Stream,
		error)
}{
	{"the client sends", (*testnet.World).PushFromClient},
	{"only the server sends", (*testnet.World).PushFromServer},
}

// push starts four streams of UDP between two hosts, on the port and the next: both families, each
// side alone.
func push(t *testing.T, w *testnet.World, streams map[string]*testnet.Stream, client, server string,
	port uint16) {
	t.Helper()
	for _, f := range families {
		for n, c := range carriers {
			s, err := c.push(w, client, server, f, port+uint16(n))
			require.NoError(t, err)
			streams[fmt.Sprintf("%s, %s to %s, %s", c.name, client, server, f)] = s
		}
	}
}

// dial opens a TCP connection of each family.
func dial(t *testing.T, w *testnet.World, client, server string,
	port uint16) (out []*testnet.Conn) {
	t.Helper()
	for _, f := range families {
		c, err := w.Open(client, server, testnet.TCP(port), f)
		require.NoError(t, err)
		out = append(out, c)
	}
	return out
}

// flows asserts that each stream arrives, if need be after Open vSwitch found its database again:
// it waits up to 8 s between two tries.
func flows(t *testing.T, streams map[string]*testnet.Stream) {
	t.Helper()
	for name, s := range streams {
		require.True(t, s.Await(s.Sent()+20, testnet.Slowed(patience)),
			"nothing arrives of the stream where %s", name)
	}
}

// complete asserts that no number is missing of what was sent until now.
func complete(t *testing.T, streams map[string]*testnet.Stream) {
	t.Helper()
	for name, s := range streams {
		last := s.AwaitSent(50)
		assert.True(t, s.Await(last, testnet.Slowed(patience)), "the stream where %s has stopped", name)
		assert.Empty(t, s.Missing(1, last), "lost of the stream where %s", name)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// toggling are streams that policies admit by turns, and what is known of them while none does.
type toggling struct {
	toggled map[string]*testnet.Stream
	// the first number of each that was sent after it was cut; none while it is admitted
	closed  map[string]uint64
	admits  bool // the present policy admits them
	checked int  // of them, sent while nothing admitted them
}

func newToggling() toggling {
	return toggling{toggled: map[string]*testnet.Stream{}, closed: map[string]uint64{}, admits: true}
}

// close takes notice of what is cut from now on, if nothing is admitted and that is news.
func (k *toggling) close(t *testing.T, w crowd) {
	if k.admits || len(k.closed) > 0 {
		return
	}
	cut(t, w, k.toggled, "client", "b")
	for name, s := range k.toggled {
		k.closed[name] = s.Last() + 1
	}
}

// reopen holds what is toggled against what was cut, before it may be admitted again.
func (k *toggling) reopen(t *testing.T) {
	for name, first := range k.closed {
		last := k.toggled[name].Sent()
		k.checked += int(last + 1 - first)
		require.Zero(t, k.toggled[name].Received(first, last), "passed against the policy: %s", name)
	}
	k.closed = map[string]uint64{}
}

// cut asserts that nothing arrives that is sent later than cutAfter packets from now; the settlers
// are those who send and can be heard.
func cut(t *testing.T, w crowd, streams map[string]*testnet.Stream, settlers ...string) {
	t.Helper()
	begin := map[string]uint64{}
	for name, s := range streams {
		begin[name] = s.Sent()
	}
	for name, s := range streams {
		for {
			first := s.Sent() + 1
			last := s.AwaitSent(50)
			for _, settler := range settlers {
				require.NoError(t, w.AwaitForwarded(settler))
			}
			arrived := s.Received(first, last)
			if arrived == 0 {
				break
			}
			require.Less(t, first, begin[name]+cutAfter, "%d of %d still arrive of the stream where %s",
				arrived, last-first+1, name)
		}
	}
}

// R-6 where the member itself goes: an instance that leaves the policy.
func TestR6_AnInstanceGoes(t *testing.T) {
	t.Parallel()
	g := group{name: "g", rules: []string{in("udp 5000-5010", "@h")}}
	a, b, far := vm("a", 11, "g"), vm("b", 21, "h"),
		vm("client", 31, "h").at("198.51.100.2", "2001:db8:2::2").on("hv2")
	groups := []group{g, {name: "h"}}
	w := newWorld(t, testnet.Spec{Policy: document(groups, a, b, far), Outside: outside(),
		Daemon: daemon(t)})
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "b", "a", 5000)
	push(t, w, streams, "client", "a", 5002)
	flows(t, streams)
	require.NoError(t, w.SetPolicyOnly(document(groups, a)))
	// b's port is nobody's now: it hears nothing, and nothing it says is heard.
	cut(t, w, streams, "a", "client")
	for _, f := range families {
		got, err := w.ReceiversBy("client", "b", w.Opening("b", "client", testnet.UDP(53), f).Frame())
		require.NoError(t, err)
		require.Empty(t, got)
		admits(t, w, "client", "a", testnet.UDP(5000), f, false)
	}
}

// a change is atomic. What both policies admit loses nothing, what neither admits never
// passes, however often they alternate.
func TestR7_Atomic(t *testing.T) {
	t.Parallel()
	a, b := vm("a", 11, "g"), vm("b", 21, "h")
	byNetwork := document([]group{
		{name: "g", rules: []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6),
			in("tcp 6000", "198.51.100.0/24")}}, {name: "h"},
	}, a, b)
	byGroup := document([]group{
		{name: "g", rules: []string{in("udp 4000-5010", "@h"), in("any", "203.0.113.21/32")}},
		{name: "h", external: []string{"198.51.100.0/24", "2001:db8:2::/48"}},
	}, a, b)
	w := newWorld(t, testnet.Spec{Policy: byNetwork, Outside: outside(), Daemon: daemon(t)})
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	flows(t, streams)
	for range 4 {
		for _, text := range []string{byGroup, byNetwork} {
			require.NoError(t, w.ReplacePolicy(text))
			for _, f := range families { // while the change goes on
				admits(t, w, "client", "a", testnet.UDP(6000), f, false)
				admits(t, w, "client", "b", testnet.UDP(5000), f, false)
			}
			require.NoError(t, w.AwaitProgrammed())
		}
	}
	complete(t, streams)
}

// what does not concern a port does not touch its traffic: other groups, descriptions, other
// instances.
func TestR7_NoBlink(t *testing.T) {
	t.Parallel()
	g := group{name: "g",
		rules: []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6), in("udp 5000-5010", "@g")}}
	a, b := vm("a", 11, "g"), vm("b", 21, "g")
	changes := []string{
		document([]group{g, {name: "unrelated",
			rules: []string{in("tcp 80", any4), out("tcp 443", any6)}}}, a, b, vm("c", 31, "unrelated")),
		document([]group{g, {name: "unrelated", rules: []string{in("tcp 80", "@g")},
			external: []string{"192.0.2.0/24"}}}, a, b, vm("c", 31, "unrelated")),
		document([]group{g, {name: "unrelated"}}, a, b, vm("c", 31, "unrelated")),
		document([]group{{name: "before"}, g, {name: "unrelated"}}, a, b, vm("c", 31),
			vm("far", 77, "unrelated").on("hv2")),
		document([]group{g}, a, b, vm("c", 31)),
		// more than before
		document([]group{{name: g.name, rules: append([]string{in("tcp 22", any4)}, g.rules...)}}, a, b,
			vm("c", 31)),
		document([]group{g}, a, b, vm("c", 31)), // of the own rules, one that admits something else goes
		document([]group{g}, b, a, vm("c", 31)),
		document([]group{g}, a, b, vm("c", 31)),
	}
	w := newWorld(t, testnet.Spec{Policy: changes[len(changes)-1], Outside: outside(),
		Daemon: daemon(t)})
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	tcp := dial(t, w, "a", "client", 443)
	flows(t, streams)
	for _, text := range changes {
		require.NoError(t, w.SetPolicy(text))
		for _, c := range tcp {
			require.NoError(t, c.Echo(testnet.Slowed(patience)))
		}
	}
	complete(t, streams)
}

// patience bounds what is expected to happen at once on a busy machine.
const patience = time.Minute
