//go:build integration

package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// leavings are the ways in which a device goes away. Each returns when Open vSwitch and the daemon
// have both seen it, with what the status must say.
var leavings = []struct {
	name  string
	leave func(t *testing.T, w *testnet.World)
	told  string
}{
	{"the device and its row", func(t *testing.T, w *testnet.World) { // as libvirt does
		require.NoError(t, w.Unplug("late"))
		// A row that is made again before Open vSwitch has looked is no change to it, so the daemon must
		// not be too quick here.
		goOn, err := w.HangDaemon()
		require.NoError(t, err)
		_, err = w.Switch.Run("ovs-vsctl", "del-port", "tap-late")
		require.NoError(t, err)
		require.NoError(t, w.Switch.Until(
			func(ports string) bool { return !strings.Contains(ports, "(tap-late)") },
			"ovs-ofctl", "-O", "OpenFlow15", "dump-ports-desc", testnet.Bridge))
		require.NoError(t, goOn())
	}, "could not open network device tap-late (No such device)"},
	{"the device alone", func(t *testing.T, w *testnet.World) {
		require.NoError(t, w.Unplug("late"))
	}, "could not open network device tap-late (No such device)"},
	{"the device, and its row for a moment", func(t *testing.T, w *testnet.World) {
		require.NoError(t, w.Unplug("late"))
		_, err := w.AwaitStatus(
			func(s testnet.Status) bool {
				return strings.Contains(s.Port("tap-late").Reason, "No such device")
			})
		require.NoError(t, err)
		require.NoError(t, w.AwaitProgrammed()) // it speaks with nobody now
		was, err := w.Switch.Run("ovs-vsctl", "get", "Interface", "tap-late", "_uuid")
		require.NoError(t, err)
		goOn, err := w.Switch.HangVswitchd()
		require.NoError(t, err)
		_, err = w.Switch.Run("ovs-vsctl", "--no-wait", "del-port", "tap-late")
		require.NoError(t, err)
		require.NoError(t, w.Switch.Until(func(uuid string) bool { return uuid != was }, "ovs-vsctl",
			"--no-wait", "get", "Interface", "tap-late", "_uuid"))
		require.NoError(t, goOn())
		require.NoError(t, w.Switch.Until(func(number string) bool { return number != "[]\n" },
			"ovs-vsctl", "get", "Interface", "tap-late", "ofport"))
	}, "could not open network device tap-late (No such device)"},
}

// a device that goes and comes back: it is absent, Open vSwitch's word on it is told, which is
// no trouble, its zone stays its own, its permissions come back with it and no others, and nobody
// else loses a packet.
func TestR8_DeviceGoesAndComesBack(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	bystanders := everyPair(t, w)
	shots, from := map[string]testnet.Frame{}, map[string]string{}
	for _, f := range families {
		shots["denied, "+f.String()],
			from["denied, "+f.String()] = w.Opening("client", "late", testnet.UDP(6000), f).Frame(), "client"
		forged := w.Opening("b", "client", testnet.UDP(5000), f)
		forged.From = w.Host("late").Address(f)
		shots["forged, "+f.String()], from["forged, "+f.String()] = forged.Frame(), "b"
	}
	for _, c := range leavings {
		t.Run(c.name, func(t *testing.T) {
			was, err := w.AwaitStatus(
				func(s testnet.Status) bool { return s.Port("tap-late").State == "applied" })
			require.NoError(t, err)
			admitted := w.Opening("client", "late", testnet.UDP(5000), testnet.IPv4).Frame()
			b := fire(t, w, shots, from)
			c.leave(t, w)
			_, err = w.AwaitStatus(func(s testnet.Status) bool {
				return s.Port("tap-late").State == "absent" && s.State == "in sync" &&
					strings.Contains(s.Port("tap-late").Reason, c.told)
			})
			require.NoError(t, err)
			receives(t, w, "client", admitted)
			for _, f := range families {
				require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), f))
			}

			require.NoError(t, w.Plug("late"))
			now, err := w.Status()
			require.NoError(t, err)
			if c.name == "the device alone" { // else its row went, and its zone with it
				require.Equal(t, was.Port("tap-late").Zone, now.Port("tap-late").Zone)
			}
			for _, f := range families {
				require.NoError(t, w.Reaches("client", "late", testnet.TCP(5000), f))
				require.NoError(t, w.Reaches("late", "a", testnet.TCP(5000), f))
				admits(t, w, "client", "late", testnet.TCP(5001), f, false)
			}
			b.nothing(t, "client")
		})
	}
	complete(t, bystanders)
	logReceived(t, bystanders)
}

// A device that somebody has set down passes nothing, whatever its flows say: its port stays in
// force and the host in sync, and the status names the device, the uplink's too, until it is up.
func TestDeviceThatIsSetDown(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	for _, device := range []string{"tap-late", testnet.Uplink} {
		link, err := w.Switch.Namespace.Links.LinkByName(device)
		require.NoError(t, err)
		require.NoError(t, w.Switch.Namespace.Links.LinkSetDown(link))
		s, err := w.AwaitStatus(func(s testnet.Status) bool { return s.Port(device).Reason != "" })
		require.NoError(t, err)
		require.Equal(t, "in sync", s.State)
		require.Equal(t, "its device is set down, nothing passes: ip link set "+device+" up",
			s.Port(device).Reason)
		require.NoError(t, w.Switch.Namespace.Links.LinkSetUp(link))
		_, err = w.AwaitStatus(func(s testnet.Status) bool { return s.Port(device).Reason == "" })
		require.NoError(t, err)
		require.NoError(t, w.Reaches("client", "late", testnet.TCP(5000), testnet.IPv4))
	}
}
