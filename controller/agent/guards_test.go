package agent_test

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
)

// fakeDevices are the host's, and what the kernel says if it cannot be asked.
type fakeDevices struct {
	mu    sync.Mutex
	list  []config.Device
	err   error
	asked int
}

func (f *fakeDevices) read() ([]config.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.list, f.err
}

func (f *fakeDevices) set(list []config.Device, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.err = list, err
}

// A port that is not known to be an instance's waits, and nothing of it is written; those that were
// taken stay, whatever becomes known of them later.
func TestDeviceIsJudgedWhenItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used := []config.Device{{Names: []string{"b"},
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}}}
		devices := &fakeDevices{}
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		w.Devices = devices.read
		w.Start()
		defer func() { w.Cancel() }()
		w.Settle()
		require.Equal(t, agent.PortApplied, w.Port("a").State)

		for _, c := range []struct {
			list []config.Device
			err  error
			says string
		}{{nil, errors.New("no netlink"), "is not known: no netlink"},
			{used, nil, "it has the address 198.51.100.1/24"}} {
			devices.set(c.list, c.err)
			w.Policy.Set(agenttest.File("a:", "b: 80"))
			w.Settle()
			require.Equal(t, agent.PortError, w.Port("b").State)
			require.Contains(t, w.Port("b").Reason, c.says)
			require.Contains(t, w.Port("b").Reason, "policy.yaml:")
			require.Zero(t, w.Database.Row("b"))
			require.Equal(t, agent.PortApplied, w.Port("a").State, "what it lost is in force")
			w.Pass(3 * time.Second)
		}
		devices.set(nil, nil)
		w.Pass(3 * time.Second)
		require.Equal(t, agent.PortApplied, w.Port("b").State, "it is judged again without a cause")
		w.InSync()

		devices.set(used, nil)
		w.Pass(2 * time.Minute)
		require.Equal(t, agent.PortApplied, w.Port("b").State)
		require.Contains(t, w.Ctl.Snapshot().Warnings[0], "it has the address 198.51.100.1/24")
		asked := devices.asked
		w.Policy.Set(agenttest.File("a: 81", "b: 80"))
		w.Settle()
		require.LessOrEqual(t, devices.asked, asked+1)
		w.Restart()
		require.Equal(t, agent.PortApplied, w.Port("b").State, "a restart takes nothing anew")
		w.InSync()
		w.Stop()
	})
}
