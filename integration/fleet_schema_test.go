//go:build integration

package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The upgrade of a fleet from a former schema, and from the program of that time, with traffic.

// formerSchema is the schema 0.1.0, as it was.
func formerSchema(t *testing.T) string {
	t.Helper()
	name, err := filepath.Abs("../ovsdb/policydb/testdata/0.1.0.ovsschema")
	require.NoError(t, err)
	return name
}

// formerCommit is of the last program that knows the schema 0.1.0 alone.
const formerCommit = "0b0fc6da166ff68c0a08a2a8ef04cc2d9aeff4b9"

// formerProgram builds the program of that time.
func formerProgram(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: without Go there is no former program")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "source.tar")
	out, err := exec.Command("git", "-C", "..", "archive", "--output", source,
		formerCommit).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: the history has no commit %s: %s", formerCommit, out)
	}
	out, err = exec.Command("tar", "--extract", "--directory", dir, "--file", source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	name := filepath.Join(dir, "former")
	build := exec.Command(tool, "build", "-trimpath", "-o", name, "./cmd/portcullis")
	build.Dir = dir
	out, err = build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

// crossing are streams between the two hosts of upgradeWorld, both ways.
func crossing(t *testing.T, l *fleetlab.Lab) map[string]*testnet.Stream {
	t.Helper()
	streams := map[string]*testnet.Stream{}
	for _, f := range families {
		for _, way := range [][2]string{{"b", "a"}, {"a", "b"}} {
			s, err := l.PushFromClient(way[0], way[1], f, 5000)
			require.NoError(t, err)
			streams[fmt.Sprintf("%s to %s, %s", way[0], way[1], f)] = s
		}
	}
	return streams
}

// awaitDigest waits until a generation is in force on a host. Former programs tell it in the digest
// alone.
func awaitDigest(t *testing.T, m *fleetlab.Machine, generation int) {
	t.Helper()
	require.NoError(t, m.AwaitStatus(fmt.Sprintf("generation %d is in force", generation),
		func(s *api.Status) bool {
			return strings.HasPrefix(s.Policy.Digest, fmt.Sprintf("generation %d ", generation)) &&
				s.State == agent.StateInSync
		}))
}

// awaitWords waits until the status has some words about the policy.
func awaitWords(t *testing.T, m *fleetlab.Machine, words ...string) {
	t.Helper()
	require.NoError(t, m.AwaitStatus(fmt.Sprintf("it says %q", words), func(s *api.Status) bool {
		text := fmt.Sprint(s.Policy.Errors, s.Policy.Warnings)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}))
}

// changeRows is what a writer of the former schema does: another port for the rule of the change.
func changeRows(t *testing.T, l *fleetlab.Lab, from, to int) {
	t.Helper()
	_, err := l.Members[0].Run("ovsdb-client", "--timeout=10", "transact", l.Members[0].Socket(),
		fmt.Sprintf(`["Portcullis",{"op":"update","table":"Rule","where":[["ports","==","%d"]],`+
			`"row":{"ports":"%d"}},{"op":"mutate","table":"Global","where":[],`+
			`"mutations":[["generation","+=",1]]}]`, from, to))
	require.NoError(t, err)
}

// A database of a former schema is followed, and changes in it are; its upgrade under traffic, and
// daemons that are restarted before and after it, cost no packet.
func TestFleet_UpgradeOfTheSchema(t *testing.T) {
	t.Parallel()
	l := newFleet(t, fleetlab.Options{Members: 3, Hosts: 2, HasRelay: true, HasTLS: true,
		Schema: formerSchema(t),
		Policy: upgradeWorld(in("udp 5101", "@g"))})
	streams := crossing(t, l)
	lacking := []string{"schema 0.1.0", "Group.shared", "portcullis db upgrade"}
	for _, m := range l.Machines {
		awaitWords(t, m, lacking...)
	}
	changeRows(t, l, 5101, 5102)
	require.NoError(t, l.AwaitGeneration(2))
	awaitAdmitted(t, l, 5102)
	require.NoError(t, l.Machines[0].KillDaemon())
	require.NoError(t, l.Machines[0].StartDaemon())
	awaitWords(t, l.Machines[0], lacking...)

	_, err := l.Apply(upgradeWorld(in("udp 5103", "@g")))
	require.ErrorContains(t, err, "the schema 0.1.0")
	require.ErrorContains(t, err, "portcullis db upgrade")
	said, err := l.Portcullis("db", "upgrade", "--db", l.Writers())
	require.NoError(t, err)
	require.Contains(t, said, "done: from the schema 0.1.0 to ")
	for _, m := range l.Machines {
		require.NoError(t, m.AwaitStatus("it lacks nothing", func(s *api.Status) bool {
			return s.Policy.Database.Standing == policydb.Current && len(s.Policy.Warnings) == 0
		}))
	}
	awaitAdmitted(t, l, 5102)
	for n, m := range l.Machines {
		require.NoError(t, m.StopDaemon())
		require.NoError(t, m.StartDaemon())
		generation, err := l.Apply(upgradeWorld(in(fmt.Sprint("udp ", 5103+n), "@g")))
		require.NoError(t, err)
		require.NoError(t, l.AwaitGeneration(generation))
		awaitAdmitted(t, l, uint16(5103+n))
	}
	complete(t, streams)
	logReceived(t, streams)
}

// A host whose program is a former one, which does not understand the new schema, goes on with what
// it has in force, or has kept, and says why, whether it runs while the schema becomes the new one
// or is put back afterwards; the present one takes over from it, and no packet is lost.
func TestFleet_UpgradeOfTheProgramAndBack(t *testing.T) {
	t.Parallel()
	former, present := formerProgram(t), daemon(t)
	l := newFleet(t, fleetlab.Options{Members: 1, Hosts: 2, Schema: formerSchema(t),
		Policy: upgradeWorld(in("udp 5101", "@g"))})
	streams := crossing(t, l)
	hv1, hv2 := l.Machines[0], l.Machines[1]
	run(t, hv1, former, hv1.StopDaemon)
	awaitDigest(t, hv1, 1)
	changeRows(t, l, 5101, 5102)
	awaitDigest(t, hv1, 2)
	awaitDigest(t, hv2, 2)
	awaitAdmitted(t, l, 5102)

	_, err := l.Portcullis("db", "upgrade", "--db", l.Writers())
	require.NoError(t, err)
	awaitWords(t, hv1, "generation 2 stays in force", "stale")
	third, err := l.Apply(upgradeWorld(in("udp 5103", "@g")))
	require.NoError(t, err)
	awaitDigest(t, hv2, third)
	awaitAdmitted(t, l, 5102)
	run(t, hv1, former, hv1.KillDaemon)
	awaitKept(t, hv1)
	awaitAdmitted(t, l, 5102)
	run(t, hv1, present, hv1.StopDaemon)
	awaitDigest(t, hv1, third)
	awaitAdmitted(t, l, 5103)

	backAndForth(t, l, former, present)
	complete(t, streams)
	logReceived(t, streams)
}

// backAndForth puts former daemons back under a schema that they do not understand, and then
// present ones again: hv1 has a policy that its former daemon has kept, hv2 has none.
func backAndForth(t *testing.T, l *fleetlab.Lab, former, present string) {
	t.Helper()
	hv1, hv2 := l.Machines[0], l.Machines[1]
	run(t, hv1, former, hv1.StopDaemon)
	awaitKept(t, hv1)
	require.NoError(t, hv2.StopDaemon())
	hv2.UseProgram(former)
	_ = hv2.StartDaemon() // it may have ended already
	require.ErrorContains(t, hv2.AwaitStatus("it ends", func(*api.Status) bool { return false }),
		"no kept policy can be run instead")
	require.Contains(t, hv2.Log(), "stopped; the flows stay")
	passes, err := l.Admits("a", "b", testnet.UDP(5103), testnet.IPv4)
	require.NoError(t, err)
	require.True(t, passes, "what is on the switch stays")
	generation, err := l.Apply(upgradeWorld(in("udp 5104", "@g")))
	require.NoError(t, err)
	for _, m := range l.Machines {
		run(t, m, present, m.StopDaemon)
		awaitDigest(t, m, generation)
	}
	awaitAdmitted(t, l, 5104)
}

// run has a program take the place of the host's daemon.
func run(t *testing.T, m *fleetlab.Machine, program string, end func() error) {
	t.Helper()
	require.NoError(t, end())
	m.UseProgram(program)
	require.NoError(t, m.StartDaemon())
}

// awaitKept waits until a former daemon that does not understand the database has the generation in
// force that it has kept, and says why.
func awaitKept(t *testing.T, m *fleetlab.Machine) {
	t.Helper()
	require.NoError(t, m.AwaitStatus("what was kept is in force", func(s *api.Status) bool {
		return s.State == agent.StateDegraded && s.Policy.Kept.Generation == 2 &&
			strings.HasPrefix(s.Policy.Digest, "generation 2 ") &&
			strings.Contains(s.Summary, "interface: Wrong type")
	}))
}
