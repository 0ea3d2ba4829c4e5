package sandbox_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
)

func addDummyBridge(o *sandbox.OVS) {
	o.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy",
		"fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15")
}

func TestInstancesDoNotSeeEachOther(t *testing.T) {
	a := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	b := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	addDummyBridge(a)
	addDummyBridge(b)
	a.Ofctl("add-flow", "br-int", "priority=7,actions=drop")
	require.Contains(t, a.Ofctl("dump-flows", "br-int"), "priority=7")
	require.NotContains(t, b.Ofctl("dump-flows", "br-int"), "priority=7")
	require.NotEmpty(t, a.Appctl("version"))
	require.Equal(t, "unix:"+a.Dir+"/br-int.mgmt", a.Mgmt("br-int"))
}

func TestDatabaseOutlivesItsServer(t *testing.T) {
	o := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy, Daemons: sandbox.DatabaseOnly})
	addDummyBridge(o) // does not wait for an ovs-vswitchd that is not there
	o.KillDB()
	o.StartDB()
	require.Equal(t, "br-int\n", o.Vsctl("list-br"))
}

func TestVswitchdLosesItsFlowsOverARestart(t *testing.T) {
	o := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	addDummyBridge(o)
	o.Ofctl("add-flow", "br-int", "priority=7,actions=drop")
	pid := o.VswitchdPID()
	o.StopVswitchd()
	require.Zero(t, o.VswitchdPID())
	o.StartVswitchd()
	require.NotEqual(t, pid, o.VswitchdPID())
	require.NotContains(t, o.Ofctl("dump-flows", "br-int"), "priority=7")
}

func TestNothingIsLeftBehind(t *testing.T) {
	var dir string
	var pids []int
	t.Run("instance", func(t *testing.T) {
		o := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
		dir, pids = o.Dir, []int{o.VswitchdPID(), pidOf(t, o.Dir+"/ovsdb-server.pid")}
	})
	require.NoDirExists(t, dir)
	for _, pid := range pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	}
}

func TestEnvironmentOfTheTestStaysAsItWas(t *testing.T) {
	before := strings.Join(os.Environ(), "\n")
	sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	require.Equal(t, before, strings.Join(os.Environ(), "\n"))
}

func pidOf(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}

// recorder is a test that notes how it was ended instead of ending.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                     {}
func (r *recorder) Skipf(f string, args ...any) { r.skipped = fmt.Sprintf(f, args...) }
func (r *recorder) Fatalf(f string, args ...any) {
	r.failed = fmt.Sprintf(f, args...)
}

func TestAMissingOpenVSwitchIsNeverSilent(t *testing.T) {
	for name, c := range map[string]struct {
		ci, required string
		fails        bool
	}{
		"at home":  {"", "", false},
		"CI":       {"true", "", true},
		"required": {"", "1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			t.Setenv("PORTCULLIS_REQUIRE_OVS", c.required)
			t.Setenv("PATH", t.TempDir())
			r := &recorder{TB: t}
			sandbox.Require(r)
			if c.fails {
				require.Contains(t, r.failed, "ovsdb-server is not installed")
				require.Empty(t, r.skipped)
				return
			}
			require.Contains(t, r.skipped, "SKIPPED, NOT TESTED: ovsdb-server is not installed")
			require.Empty(t, r.failed)
		})
	}
}
