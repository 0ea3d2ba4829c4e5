//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// pairPolicy is two instances that may talk UDP and TCP to each other and with everybody.
func pairPolicy(more ...machine) string {
	g := group{name: "g",
		rules: []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6), in("tcp 5000", any4),
			in("tcp 5000", any6)}}
	return document([]group{g}, append([]machine{vm("a", 11, "g"), vm("b", 21, "g")}, more...)...)
}

func pairWorld(t *testing.T, absent ...string) *testnet.World {
	t.Helper()
	return newWorld(t, testnet.Spec{Policy: pairPolicy(vm("late", 31, "g")), Outside: outside(),
		Daemon: daemon(t), Absent: absent})
}

// the bridge itself is closed, whatever the flows are.
func TestR8_ClosedBridge(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	mode, err := w.Switch.Run("ovs-vsctl", "get", "bridge", testnet.Bridge, "fail_mode")
	require.NoError(t, err)
	require.Equal(t, "secure", strings.TrimSpace(mode))

	t.Run("a port that no policy knows", func(t *testing.T) {
		stranger := testnet.Outsider("stranger", 77, "203.0.113.77", "2001:db8::77")
		stranger.Port = "tap-stranger"
		require.NoError(t, w.PlugStranger(stranger))
		for _, f := range families {
			nobody(t, w, "a", "stranger", w.Opening("stranger", "a", testnet.UDP(5000), f).Frame())
			nobody(t, w, "a", "stranger", w.Opening("stranger", "client", testnet.UDP(5000), f).Frame())
			receives(t, w, "a", w.Opening("a", "stranger", testnet.UDP(5000), f).Frame(), testnet.Beyond)
			receives(t, w, "a", w.Opening("a", "b", testnet.UDP(5000), f).Frame(), "b")
		}
		nobody(t, w, "a", "stranger", w.ARPRequest("stranger", "a").Frame())
		nobody(t, w, "a", "stranger", w.DHCPDiscover("stranger").Frame())
		require.NoError(t, w.Unplug("stranger"))
	})
	t.Run("without flows nothing passes, and they come back", func(t *testing.T) {
		before := programOf(t, w)
		_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", testnet.Bridge)
		require.NoError(t, err)
		awaitShape(t, w, before)
		require.NoError(t, w.Reaches("a", "b", testnet.UDP(5000), testnet.IPv4))
	})
}

// epochs are where a flow speaks of the epoch of a port, or is named by a hash that covers it.
var epochs = regexp.MustCompile(
	`cookie=0x[0-9a-f]+|ct_mark=0x[0-9a-f]+|set_field:0x[0-9a-f]+->reg2`)

// awaitShape waits until the bridge holds a program again that differs from another one in epochs
// at most: after somebody has changed flows, connections of the time before are judged anew.
func awaitShape(t *testing.T, w *testnet.World, program string) {
	t.Helper()
	shape := func(program string) string {
		lines := strings.Split(epochs.ReplaceAllString(program, "-"), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	want := shape(program)
	require.NoError(t, w.Switch.Until(func(out string) bool { return shape(out) == want },
		"ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows", testnet.Bridge))
}

// nobody asserts that a frame is received by nobody, where its sender cannot settle.
func nobody(t *testing.T, w *testnet.World, settler, from string, f testnet.Frame) {
	t.Helper()
	got, err := w.ReceiversBy(settler, from, f)
	require.NoError(t, err)
	require.Empty(t, got, "who receives, from %s: %s", from, f)
}

// a device that is not there yet holds nobody up, and passes as soon as it is programmed.
func TestR8_LatePort(t *testing.T) {
	t.Parallel()
	w := pairWorld(t, "late")
	s, err := w.Status()
	require.NoError(t, err)
	require.Contains(t, []string{"absent", "pending"}, s.Port("tap-late").State)
	require.NotEmpty(t, s.Port("tap-late").Reason)
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), f))
	}
	frame := w.Opening("client", "a", testnet.UDP(5000), testnet.IPv4)
	frame.To, frame.Dst = vm("late", 31).first(), vm("late", 31).mac()
	receives(t, w, "client", frame.Frame())

	require.NoError(t, w.Plug("late"))
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "late", testnet.TCP(5000), f))
		require.NoError(t, w.Reaches("late", "a", testnet.TCP(5000), f))
		admits(t, w, "client", "late", testnet.TCP(5001), f, false)
	}
}

// without an uplink the instances of the host still have each other.
func TestR8_MissingUplink(t *testing.T) {
	t.Parallel()
	w := pairWorld(t, testnet.Uplink)
	s, err := w.Status()
	require.NoError(t, err)
	require.NotEmpty(t, s.Port(testnet.Uplink).Reason)
	for _, f := range families {
		require.NoError(t, w.Reaches("a", "b", testnet.TCP(5000), f))
		admits(t, w, "a", "b", testnet.TCP(5001), f, false)
	}
	require.NoError(t, w.Plug(testnet.Uplink))
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), f))
		require.NoError(t, w.Reaches("a", "client", testnet.TCP(80), f))
		admits(t, w, "client", "a", testnet.TCP(5001), f, false)
	}
}

// a policy that is not valid never replaces one that is.
func TestR8_InvalidPolicy(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	flows(t, streams)
	before := programOf(t, w)
	good := pairPolicy(vm("late", 31, "g"))
	for name, c := range map[string]struct{ text, says string }{
		"not YAML":         {"groups: [", "policy.yaml:"},
		"empty":            {"", ""},
		"unknown key":      {good + "extra: 1\n", "extra"},
		"unknown group":    {pairPolicy(vm("late", 31, "gg")), "gg"},
		"a MAC twice":      {pairPolicy(vm("late", 11, "g").at("203.0.113.31")), "02:00:00:00:00:0b"},
		"an address twice": {pairPolicy(vm("late", 31, "g").at("203.0.113.11")), "203.0.113.11"},
		"port 0":           {strings.Replace(good, "ports: 5000,", "ports: 0,", 1), "port"},
		"half a file":      {good[:len(good)-40], ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.SetPolicyOnly(c.text)
			if name == "empty" && err == nil {
				t.Skip("an empty file is a policy without groups and instances")
			}
			require.ErrorContains(t, err, c.says)
			s, err := w.Status()
			require.NoError(t, err)
			require.NotEmpty(t, s.Policy.Errors)
			require.Equal(t, before, programOf(t, w))
		})
		require.NoError(t, w.SetPolicyOnly(good))
	}
	complete(t, streams)
}

// the flows outlive the daemon: stopped or crashed, the last policy goes on, and a start that
// finds nothing changed changes nothing.
func TestR8_Restart(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	tcp := dial(t, w, "client", "a", 5000)
	flows(t, streams)
	before := programOf(t, w)
	was, err := w.Status()
	require.NoError(t, err)

	for name, end := range map[string]func() error{"stopped": w.StopDaemon, "crashed": w.KillDaemon} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, end())
			require.Equal(t, before, programOf(t, w))
			for _, f := range families { // no daemon runs now
				require.NoError(t, w.Reaches("client", "b", testnet.TCP(5000), f))
				admits(t, w, "client", "b", testnet.TCP(5001), f, false)
			}
			require.NoError(t, w.StartDaemon())
			require.NoError(t, w.AwaitProgrammed())
			require.Equal(t, before, programOf(t, w))
			now, err := w.Status()
			require.NoError(t, err)
			require.Zero(t, now.Apply.Adds+now.Apply.Deletes, "flow mods of a start with nothing changed")
			require.Equal(t, was.Ports, now.Ports)
			for _, c := range tcp {
				require.NoError(t, c.Echo(testnet.Slowed(patience)))
			}
		})
	}
	complete(t, streams)

	t.Run("the policy changed meanwhile", func(t *testing.T) {
		require.NoError(t, w.StopDaemon())
		closed := document([]group{
			{name: "g", rules: []string{in("tcp 5000", any4), in("tcp 5000", any6)}}}, vm("a", 11, "g"),
			vm("b", 21, "g"), vm("late", 31, "g"))
		require.NoError(t, w.ReplacePolicy(closed))
		require.NoError(t, w.StartDaemon())
		require.NoError(t, w.AwaitProgrammed())
		cut(t, w, streams, "a", "client", "b")
		for _, c := range tcp { // still admitted
			require.NoError(t, c.Echo(testnet.Slowed(patience)))
		}
	})
}

// a start with a policy that is not valid changes nothing either: the last one that was in
// force is, or, if none is kept, the flows stay as they are.
func TestR8_StartWithInvalidPolicy(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	before := programOf(t, w)
	require.NoError(t, w.StopDaemon())
	require.NoError(t, w.ReplacePolicy("groups: {}"))
	require.NoError(t, w.StartDaemon())
	s, err := w.AwaitStatus(func(s testnet.Status) bool { return s.State == "degraded" })
	require.NoError(t, err)
	require.Equal(t, 1, s.Policy.Kept.Generation)
	require.Zero(t, s.Apply.Adds+s.Apply.Deletes)
	require.Equal(t, before, programOf(t, w))
	require.NoError(t, w.StopDaemon())
	require.NoError(t, os.RemoveAll(filepath.Join(w.Dir, "portcullis.state")))
	if w.StartDaemon() == nil {
		require.Error(t, w.AwaitDaemonEnd())
	}
	require.Equal(t, before, programOf(t, w))
	require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), testnet.IPv4))
	require.NoError(t, w.ReplacePolicy(pairPolicy(vm("late", 31, "g"))))
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	require.Equal(t, before, programOf(t, w))
}

// when Open vSwitch itself restarts, nothing passes that the policy does not admit, and the
// flows return unaided.
func TestR8_SwitchRestart(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), testnet.IPv4))
	before := programOf(t, w)
	denied := w.Opening("client", "a", testnet.UDP(6000), testnet.IPv4).Frame()
	token, err := w.Inject("client", denied)
	require.NoError(t, err)

	require.NoError(t, w.Switch.RestartVswitchd(func() error {
		for range 20 {
			if err := w.Host("client").Send(denied.Marked(token)); err != nil {
				return err
			}
		}
		return nil
	}))
	up := time.Now()
	awaitShape(t, w, before)
	t.Logf("the flows were back %s after ovs-vswitchd", time.Since(up).Round(time.Millisecond))
	require.NoError(t, w.AwaitProgrammed())
	require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), testnet.IPv4))
	require.NoError(t, w.ReachesWith("client", "a", testnet.UDP(5005), testnet.IPv4, 4000),
		"fragments are shown with their ports again")
	require.Empty(t, w.Saw("client", token))
}
