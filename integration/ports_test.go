//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// portPolicy is a, whom everybody may reach and who may reach everybody, and c, who may neither;
// both groups also have others.
func portPolicy(machines ...machine) string {
	open := []string{in("any", any4), in("any", any6)}
	return document([]group{{name: "open", rules: open},
		{name: "closed", rules: []string{out("tcp 9", any4)}}}, machines...)
}

var portA, portB, portC = vm("a", 11, "open"), vm("b", 21, "open"), vm("c", 31, "closed")

// crowd is who sends and receives, in a world or a fleet.
type crowd interface {
	Host(name string) *testnet.Host
	Inject(from string, frames ...testnet.Frame) (testnet.Token, error)
	Saw(from string, t testnet.Token) []string
	AwaitForwarded(from string) error
}

// barrage sends frames all the time, until it is ended.
type barrage struct {
	w     crowd
	shots map[string]testnet.Frame // by what they are
	from  map[string]string
	// the senders as they are now: a host that comes back is another one
	guns   map[string]*testnet.Host
	tokens map[string]testnet.Token
	spared map[string]string // who may see a shot, by its name
	sent   atomic.Int64
	end    func()
}

// fire starts a barrage of marked frames, each named and sent by somebody.
func fire(t *testing.T, w crowd, shots map[string]testnet.Frame,
	from map[string]string) *barrage {
	t.Helper()
	b := &barrage{w: w, shots: shots, from: from, guns: map[string]*testnet.Host{},
		tokens: map[string]testnet.Token{}}
	stop, done := make(chan struct{}), make(chan struct{})
	b.end = sync.OnceFunc(func() { close(stop); <-done })
	t.Cleanup(b.end)
	for name := range shots {
		token, err := w.Inject(from[name])
		require.NoError(t, err)
		b.tokens[name], b.guns[name] = token, w.Host(from[name])
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			for name, f := range shots {
				if b.guns[name].Send(f.Marked(b.tokens[name])) == nil {
					b.sent.Add(1)
				}
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return b
}

// nothing ends the barrage and asserts that nobody has seen any of it.
func (b *barrage) nothing(t *testing.T, settler string) {
	t.Helper()
	b.end()
	require.NoError(t, b.w.AwaitForwarded(settler))
	for name, token := range b.tokens {
		saw := slices.DeleteFunc(b.w.Saw(b.from[name], token),
			func(who string) bool { return who == b.spared[name] })
		assert.Empty(t, saw, "who saw: %s", name)
	}
	require.False(t, t.Failed())
	t.Logf("of %d denied packets 0 passed", b.sent.Load())
}

// denied are frames by which c would profit from a's permissions: its own words, and its own name.
func denied(w *testnet.World) (shots map[string]testnet.Frame, from map[string]string) {
	shots, from = map[string]testnet.Frame{}, map[string]string{}
	for _, f := range families {
		shots["c speaks, "+f.String()],
			from["c speaks, "+f.String()] = w.Opening("c", "client", testnet.UDP(5000), f).Frame(), "c"
		shots["c speaks to b, "+f.String()],
			from["c speaks to b, "+f.String()] = w.Opening("c", "b", testnet.UDP(5000), f).Frame(), "c"
		shots["c is spoken to, "+f.String()],
			from["c is spoken to, "+f.String()] = w.Opening("client", "c", testnet.UDP(5000), f).Frame(),
			"client"
	}
	return shots, from
}

func ofportOf(t *testing.T, w *testnet.World, port string) uint32 {
	t.Helper()
	s, err := w.AwaitStatus(func(s testnet.Status) bool { return s.Port(port).State == "applied" })
	require.NoError(t, err)
	return s.Port(port).OFPort
}

// No port ever gets another's permissions, whatever becomes of port numbers; and who is not meant
// loses nothing.
func TestPortNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: portPolicy(portA, portB, portC), Outside: outside(),
		Daemon: daemon(t)})
	bystanders := map[string]*testnet.Stream{}
	push(t, w, bystanders, "client", "b", 5002)
	flows(t, bystanders)
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	flows(t, streams)
	vsctl := func(t *testing.T, args ...string) {
		_, err := w.Switch.Run("ovs-vsctl", args...)
		require.NoError(t, err)
	}
	for _, c := range []struct {
		name   string
		reuse  bool // a number that was another port's a moment ago is asked for by name
		change func(t *testing.T)
	}{
		{"a port gets a new number", false, func(t *testing.T) {
			was := ofportOf(t, w, "tap-a")
			vsctl(t, "set", "Interface", "tap-a", fmt.Sprintf("ofport_request=%d", was+100))
			_, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.Port("tap-a").OFPort == was+100 && s.Port("tap-a").State == "applied"
			})
			require.NoError(t, err)
		}},
		{"two ports change numbers", true, func(t *testing.T) {
			a, c := ofportOf(t, w, "tap-a"), ofportOf(t, w, "tap-c")
			vsctl(t, "set", "Interface", "tap-a", fmt.Sprintf("ofport_request=%d", c), "--", "set",
				"Interface", "tap-c", fmt.Sprintf("ofport_request=%d", a))
			_, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.Port("tap-c").OFPort == a && s.Port("tap-a").State == "applied" &&
					s.Port("tap-c").State == "applied"
			})
			require.NoError(t, err)
		}},
		{"a port is deleted and its number used again at once", true, func(t *testing.T) {
			a := ofportOf(t, w, "tap-a")
			vsctl(t, "del-port", "tap-a", "--", "set", "Interface", "tap-c",
				fmt.Sprintf("ofport_request=%d", a))
			_, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.Port("tap-c").OFPort == a && s.Port("tap-a").State == "applied" &&
					s.Port("tap-c").State == "applied"
			})
			require.NoError(t, err)
		}},
		{"a port is deleted and added in one transaction", false, func(t *testing.T) {
			vsctl(t, "del-port", "tap-a", "--", "add-port", testnet.Bridge, "tap-a")
			require.NoError(t, w.AwaitProgrammed())
		}},
		{"a port is deleted", false, func(t *testing.T) { // it is the policy's: it is made again
			vsctl(t, "del-port", "tap-a")
			require.NoError(t, w.AwaitProgrammed())
		}},
		{"all ports are deleted and added", false, func(t *testing.T) {
			var args []string
			for _, p := range []string{"tap-a", "tap-c"} {
				args = append(args, "--", "del-port", p, "--", "add-port", testnet.Bridge, p)
			}
			vsctl(t, args[1:]...)
			require.NoError(t, w.AwaitProgrammed())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shots, from := denied(w)
			b := fire(t, w, shots, from)
			forged := w.Opening("a", "client", testnet.UDP(5000), testnet.IPv4).Frame()
			meant := w.Opening("client", "a", testnet.UDP(5000), testnet.IPv4).Frame()
			swap := fire(t, w, map[string]testnet.Frame{"forged": forged, "meant for a": meant},
				map[string]string{"forged": "c", "meant for a": "client"})
			c.change(t)
			require.NoError(t, w.AwaitProgrammed())
			flows(t, streams)
			b.nothing(t, "client")
			swap.end()
			asA, ofA := w.Host("client").Capture.Bears(swap.tokens["forged"]),
				w.Host("c").Capture.Bears(swap.tokens["meant for a"])
			t.Logf("c forges a: %t; c hears what is meant for a: %t", asA, ofA)
			if !c.reuse {
				require.False(t, asA || ofA)
			}
			admits(t, w, "client", "c", testnet.UDP(5000), testnet.IPv4, false)
			require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), testnet.IPv6))
		})
	}
	complete(t, bystanders)
	logReceived(t, bystanders)
}

// A device that is late is absent, which is no trouble: Open vSwitch's own words say why it is not
// there, and it is taken as soon as it is. One that cannot be taken is trouble, and named first.
func TestAbsentPortIsNoTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: portPolicy(portA, portB, portC), Outside: outside(),
		Daemon: daemon(t), Absent: []string{"c"}})
	s, err := w.AwaitStatus(func(s testnet.Status) bool { return s.Port("tap-c").State == "absent" })
	require.NoError(t, err)
	require.Equal(t, "in sync", s.State)
	out, err := w.Portcullis("status", "--health")
	require.NoError(t, err)
	require.Equal(t, "in sync (2 of 2 ports in force, 1 absent)\n", out)
	require.Contains(t, s.Port("tap-c").Reason, "could not open network device tap-c (No such device)")
	require.Zero(t, s.Port("tap-c").OFPort)
	require.NoError(t, w.Plug("c"))
	require.NoError(t, w.Reaches("c", "a", testnet.TCP(9), testnet.IPv4))
	admits(t, w, "c", "a", testnet.UDP(5000), testnet.IPv4, false)
}

// A port that somebody else made is adopted: what he wrote stays, also when the policy knows it no
// more; then it passes nothing.
func TestAdoptedPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: portPolicy(portA, portB), Outside: outside(),
		Daemon: daemon(t)})
	spec := testnet.Outsider("late", 0, "203.0.113.41", "2001:db8::41")
	late := vm("late", 41, "open")
	spec.Port, spec.MAC = "tap-late", late.mac()
	require.NoError(t, w.PlugStranger(spec))
	_, err := w.Switch.Run("ovs-vsctl", "set", "Interface", "tap-late", "external_ids:iface-id=6f2a",
		`external_ids:attached-mac="02:00:00:00:00:29"`, "external_ids:iface-status=active")
	require.NoError(t, err)
	before := ids(t, w)
	frame := w.Opening("late", "client", testnet.UDP(5000), testnet.IPv4).Frame()
	nobody(t, w, "a", "late", frame)

	require.NoError(t, w.SetPolicy(portPolicy(portA, portB, late)))
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "late", testnet.TCP(5000), f))
		require.NoError(t, w.Reaches("late", "a", testnet.TCP(5000), f))
	}
	require.Subset(t, ids(t, w), before)
	require.NoError(t, w.SetPolicy(portPolicy(portA, portB)))
	nobody(t, w, "a", "late", frame)
	require.Equal(t, before, ids(t, w))
	forget(t, w)
	require.NoError(t, w.SetPolicy(portPolicy(portA, portB, late)))
	require.NoError(t, w.Reaches("late", "a", testnet.TCP(5000), testnet.IPv4))
	_, err = w.Switch.Run("ovs-vsctl", "del-port", "tap-late")
	require.NoError(t, err)
}

// forget has the datapath forget its flows. What was dropped above left one for all IPv4 from the
// port, beside those of its connections before. When all of them are to change, Open vSwitch's
// userspace datapath may change the wide one instead of a narrow one, which then keeps dropping for
// as long as it is used (docs/operations.md).
func forget(t *testing.T, w *testnet.World) {
	t.Helper()
	_, err := w.Switch.Appctl("revalidator/purge")
	require.NoError(t, err)
}

// ids are the external_ids of tap-late.
func ids(t *testing.T, w *testnet.World) []string {
	t.Helper()
	out, err := w.Switch.Run("ovs-vsctl", "get", "Interface", "tap-late", "external_ids")
	require.NoError(t, err)
	return strings.Split(strings.Trim(strings.TrimSpace(out), "{}"), ", ")
}

// An instance with another MAC, and one that runs on another host now, leave nothing behind.
func TestInstanceChangesAndMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: portPolicy(portA, portB, portC), Outside: outside(),
		Daemon: daemon(t)})
	streams, bystanders := map[string]*testnet.Stream{}, map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, bystanders, "client", "b", 5002)
	flows(t, streams)
	flows(t, bystanders)
	other := portA
	other.number = 12
	t.Run("its MAC changes", func(t *testing.T) {
		require.NoError(t, w.SetPolicy(portPolicy(other, portB, portC)))
		cut(t, w, streams, "client", "b")
		frame := w.Opening("a", "client", testnet.UDP(5000), testnet.IPv4)
		nobody(t, w, "b", "a", frame.Frame())
		frame.Src = other.mac()
		got, err := w.ReceiversBy("b", "a", frame.Frame())
		require.NoError(t, err)
		require.Equal(t, []string{testnet.Beyond}, got)
		require.NoError(t, w.SetPolicy(portPolicy(portA, portB, portC)))
		flows(t, streams)
	})
	t.Run("it moves to another host", func(t *testing.T) {
		require.NoError(t, w.SetPolicy(portPolicy(portA.on("hv2"), portB, portC)))
		cut(t, w, streams, "client", "b")
		nobody(t, w, "b", "a", w.Opening("a", "client", testnet.UDP(5000), testnet.IPv4).Frame())
		require.NotContains(t, programOf(t, w), "reg1=0x1,nw_dst=203.0.113.11")
		got, err := w.Receivers("b", w.Opening("b", "a", testnet.UDP(5000), testnet.IPv4).Frame())
		require.NoError(t, err)
		require.Equal(t, []string{testnet.Beyond}, got, "it is beyond the uplink now")
		require.NoError(t, w.SetPolicy(portPolicy(portA, portB, portC)))
		flows(t, streams)
	})
	complete(t, bystanders)
	logReceived(t, bystanders)
}
