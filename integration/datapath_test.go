//go:build integration

package integration

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// Where the datapaths differ, each does what docs/operations.md says of it.

// Without ovs-vswitchd the kernel's datapath goes on with what it knows; the userspace datapath is
// gone with it. Neither passes anything that was denied, nor anything new: not even the questions
// of hosts that look for each other's MAC again. (That is why only clients are looked at: they have
// just asked.)
func TestDatapath_WithoutVswitchd(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	flows(t, streams)
	clients := maps.Clone(streams)
	maps.DeleteFunc(clients,
		func(name string, _ *testnet.Stream) bool {
			return strings.HasPrefix(name, "only the server sends")
		})
	before := programOf(t, w)
	require.NoError(t, w.Switch.StopVswitchd(syscall.SIGKILL))

	goesOn := testnet.ChosenDatapath() == testnet.Kernel
	patience := map[bool]time.Duration{true: time.Minute, false: 500 * time.Millisecond}[goesOn]
	for name, s := range clients {
		// What was on its way may still arrive.
		last := s.AwaitSent(20) + 100
		require.Equal(t, goesOn, s.Await(last, testnet.Slowed(patience)),
			"goes on: the stream where %s", name)
	}
	denied, err := w.Inject("client",
		w.Opening("client", "a", testnet.UDP(6000), testnet.IPv4).Frame())
	require.NoError(t, err)
	fresh, err := w.Inject("client", w.Opening("client", "b", testnet.TCP(5000), testnet.IPv4).Frame())
	require.NoError(t, err)
	for _, s := range streams {
		s.AwaitSent(100)
	}
	require.Empty(t, w.Saw("client", denied))
	require.Empty(t, w.Saw("client", fresh))

	require.NoError(t, w.Switch.StartVswitchd())
	awaitShape(t, w, before)
	require.NoError(t, w.AwaitProgrammed())
	if !goesOn { // the connections are forgotten: what only the server sends is no reply to anything
		streams = clients
	}
	flows(t, streams)
	require.NoError(t, w.Reaches("client", "b", testnet.TCP(5000), testnet.IPv4))
	admits(t, w, "client", "a", testnet.UDP(6000), testnet.IPv4, false)
	require.Empty(t, w.Saw("client", denied))
}

// The kernel's datapath puts fragments together before it judges them, so that no part of a denied
// datagram passes. (Of the userspace datapath this is said of the first part only: see
// TestR2_Fragments.)
func TestDatapath_FragmentsOfADeniedPort(t *testing.T) {
	t.Parallel()
	if testnet.ChosenDatapath() != testnet.Kernel {
		t.Skip("this is about the kernel's datapath")
	}
	w := newWorld(t, testnet.Spec{Policy: pairPolicy(), Settings: unlimited, Outside: outside(),
		Daemon: daemon(t)})
	id := uint16(400)
	for _, f := range families {
		for name, order := range orders {
			t.Run(fmt.Sprintf("%s, %s", f, name), func(t *testing.T) {
				for _, size := range []int{64, 1288, 1440} {
					id++
					denied, twin := w.Opening("client", "a", testnet.UDP(6000), f),
						w.Opening("client", "a", testnet.UDP(5000), f)
					denied.ID, twin.ID = id, id+100
					receivesFragments(t, w, "client", denied, 3000, size, order)
					receivesFragments(t, w, "client", twin, 3000, size, order, "a")
				}
			})
		}
	}
}

// Flows that Open vSwitch hands on to tc are warned of for as long as it may; of where this suite
// runs with them, that they are there.
func TestDatapath_OffloadIsWarnedOf(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	for _, isOn := range []bool{testnet.IsOffloaded(), true, false} {
		_, err := w.Switch.Run("ovs-vsctl", "set", "Open_vSwitch", ".",
			fmt.Sprintf("other_config:hw-offload=%t", isOn))
		require.NoError(t, err)
		_, err = w.AwaitStatus(func(s testnet.Status) bool {
			return strings.Contains(strings.Join(s.Warnings, "\n"), "hw-offload") == isOn
		})
		require.NoError(t, err)
	}
	if testnet.IsOffloaded() {
		require.NoError(t, w.Reaches("client", "b", testnet.TCP(5000), testnet.IPv4))
		isThere := func(flows string) bool { return strings.Contains(flows, "actions:") }
		require.NoError(t, w.Switch.Until(isThere, "ovs-appctl", "-t",
			filepath.Join(w.Switch.Dir, "ovs-vswitchd.ctl"), "dpctl/dump-flows", "type=offloaded"))
	}
}
