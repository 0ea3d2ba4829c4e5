//go:build integration

package integration

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// Whatever numbers somebody writes into the rows of the database: a permission that is taken stops
// in that turn, and what is still admitted loses nothing. So it is with those of a clock that has
// gone back since.
func TestNumbersThatCannotBeOurs(t *testing.T) {
	t.Parallel()
	const top = "4294967295"
	ahead := strconv.FormatInt(time.Now().Add(10*365*24*time.Hour).Unix(), 10)
	for _, c := range []struct {
		name, revision, epoch, zone string // "" = it is left as it is
		restart                     bool
	}{
		{name: "the epochs of the ports", epoch: top},
		{name: "the revision of the bridge", revision: top},
		{name: "both, and the daemon starts", revision: top, epoch: top, restart: true},
		{name: "those of a clock that went back, and the daemon starts", revision: ahead, epoch: ahead,
			restart: true},
		{name: "no numbers", revision: "1e9", epoch: "-1", zone: "0x1"},
		{name: "no numbers, and the daemon starts", revision: "", epoch: "99999999999", zone: "65536",
			restart: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			admits := portPolicy(portA, portB)
			w := newWorld(t, testnet.Spec{Policy: admits, Outside: outside(), Daemon: daemon(t)})
			lost, kept := map[string]*testnet.Stream{}, map[string]*testnet.Stream{}
			push(t, w, lost, "client", "a", 5000)
			push(t, w, kept, "client", "b", 5002)
			flows(t, lost)
			flows(t, kept)
			if c.restart {
				require.NoError(t, w.StopDaemon())
			}
			writeNumbers(t, w, c.revision, c.epoch, c.zone)
			if c.restart {
				require.NoError(t, w.StartDaemon())
			}
			closed := portA
			closed.groups = []string{"closed"}
			require.NoError(t, w.SetPolicyOnly(portPolicy(closed, portB)))
			cut(t, w, lost, "client", "a")
			complete(t, kept)
			s, err := w.AwaitStatus(func(testnet.Status) bool { return true })
			require.NoError(t, err)
			for _, p := range s.Ports {
				require.Less(t, int64(p.Epoch), time.Now().Add(time.Hour).Unix(), p.Name)
			}
			require.NoError(t, w.SetPolicy(admits))
			flows(t, lost)
			logReceived(t, kept)
		})
	}
}

// writeNumbers writes numbers beside ours, as somebody else would; "" = none.
func writeNumbers(t *testing.T, w *testnet.World, revision, epoch, zone string) {
	t.Helper()
	var args []string
	set := func(table, row, key, value string) {
		if value != "" {
			args = append(args, "--", "set", table, row, fmt.Sprintf("external_ids:%s=%q", key, value))
		}
	}
	set("Bridge", testnet.Bridge, "portcullis-revision", revision)
	for _, port := range []string{"tap-a", "tap-b"} {
		set("Port", port, "portcullis-epoch", epoch)
		set("Port", port, "portcullis-zone", zone)
	}
	_, err := w.Switch.Run("ovs-vsctl", args[1:]...)
	require.NoError(t, err)
}

// The database loses all that we wrote while Open vSwitch still knows the connections: a permission
// that the policy has lost meanwhile does not live on in them, and what it still has loses nothing.
func TestDatabaseLostWhileConnectionsAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: portPolicy(portA, portB), Outside: outside(),
		Daemon: daemon(t)})
	lost, kept := map[string]*testnet.Stream{}, map[string]*testnet.Stream{}
	push(t, w, lost, "client", "a", 5000)
	push(t, w, kept, "client", "b", 5002)
	flows(t, lost)
	flows(t, kept)
	require.NoError(t, w.KillDaemon())
	args := []string{"remove", "Bridge", testnet.Bridge, "external_ids", "portcullis-revision"}
	for _, port := range []string{"tap-a", "tap-b"} {
		for _, key := range []string{"epoch", "zone"} {
			args = append(args, "--", "remove", "Port", port, "external_ids", "portcullis-"+key)
		}
	}
	_, err := w.Switch.Run("ovs-vsctl", args...)
	require.NoError(t, err)
	closed := portA
	closed.groups = []string{"closed"}
	require.NoError(t, w.ReplacePolicy(portPolicy(closed, portB)))
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	cut(t, w, lost, "client", "a")
	completeBut(t, kept, 3)
}

// completeBut is complete, but for what is between the two halves of the pipeline while a port's
// zone moves: few numbers, one after the other.
func completeBut(t *testing.T, streams map[string]*testnet.Stream, few int) {
	t.Helper()
	for name, s := range streams {
		last := s.AwaitSent(50)
		require.True(t, s.Await(last, testnet.Slowed(patience)), "the stream where %s has stopped",
			name)
		missing := s.Missing(1, last)
		require.LessOrEqual(t, len(missing), few, "lost of the stream where %s: %v", name, missing)
		if n := len(missing); n > 0 {
			require.EqualValues(t, n-1, missing[n-1]-missing[0], "%s: %v", name, missing)
		}
	}
}
