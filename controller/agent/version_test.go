package agent_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
)

// Flows in hardware are warned of for as long as they may be there.
func TestOffloadIsWarnedOf(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		require.Empty(t, w.Ctl.Snapshot().Warnings)
		for _, isOn := range []bool{true, false} {
			w.Database.Edit(func(f *agenttest.Database) { f.Snap.Offload = isOn })
			w.Pass(time.Minute)
			if said := w.Ctl.Snapshot().Warnings; isOn {
				require.Len(t, said, 1)
				require.Contains(t, said[0], "other_config:hw-offload of Open_vSwitch is true")
			} else {
				require.Empty(t, said)
			}
		}
	})
}

// What the start scripts have recorded is the version; without it Open vSwitch is asked, each time
// before it is listened to, and also when it cannot be.
func TestVersionThatNobodyRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		var asked atomic.Int64
		var says atomic.Value
		says.Store("2.15.0")
		w.Version = func(ctx context.Context) (string, error) {
			asked.Add(1)
			version := says.Load().(string)
			if version == "" {
				<-ctx.Done() // it hangs
				return "", ctx.Err()
			}
			return version, nil
		}
		told := func(version string, isWarned bool) {
			s := w.Ctl.Snapshot()
			require.Equal(t, version, s.OVS)
			require.Equal(t, isWarned, len(s.OVSWarnings) > 0, s.OVSWarnings)
		}
		w.Database.Snap.OVSVersion = ""
		w.Sw.Stop()
		w.Start()
		defer func() { w.Cancel() }()
		w.Pass(time.Minute)
		require.False(t, w.Ctl.Snapshot().SwitchConnected)
		told("2.15.0", true)
		says.Store("2.14.0")
		for before := asked.Load(); asked.Load() == before; {
			w.Pass(time.Millisecond)
		}
		told("2.14.0", true) // at once, though nothing else has changed

		says.Store("4.0.0")
		w.Sw.Start()
		w.Pass(time.Minute)
		told("4.0.0", false)

		before := asked.Load()
		w.Pass(time.Hour)
		require.Equal(t, before, asked.Load(), "once for each time that it is there")

		w.Sw.Stop()
		w.Pass(time.Minute)
		told("4.0.0", false)
		says.Store("")
		w.Sw.Start()
		w.Pass(time.Minute)
		require.True(t, w.Ctl.Snapshot().SwitchConnected, "nothing waits for a version")

		w.Database.Edit(func(f *agenttest.Database) { f.Snap.OVSVersion = "3.1.0" })
		w.Pass(time.Minute)
		told("3.1.0", true)
		w.Stop()
	})
}
