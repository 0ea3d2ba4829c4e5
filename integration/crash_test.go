//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// crashes are the ways in which a daemon is killed in the course of a change. Each starts a change
// to a policy and returns when the daemon is dead and everything else runs.
var crashes = []struct {
	name string
	kill func(t *testing.T, w *testnet.World, policy string)
}{
	{"before it sees the change", func(t *testing.T, w *testnet.World, policy string) {
		require.NoError(t, w.KillDaemon())
		require.NoError(t, w.ReplacePolicy(policy))
	}},
	{"before the bundle is sent", killAt(testnet.BeforeBundle)},
	{"within the bundle, before it is committed", killAt(testnet.BeforeCommit)},
	{"after the bundle, before its answer", killAt(testnet.AfterCommit)},
	{"while the switch hangs", func(t *testing.T, w *testnet.World, policy string) {
		was, err := w.Switch.Revision()
		require.NoError(t, err)
		goOn, err := w.Switch.HangVswitchd()
		require.NoError(t, err)
		require.NoError(t, w.ReplacePolicy(policy))
		require.NoError(t, w.Switch.AwaitRevision(was))
		require.NoError(t, w.KillDaemon())
		require.NoError(t, goOn())
	}},
	{"while the database hangs", func(t *testing.T, w *testnet.World, policy string) {
		before, err := w.Status()
		require.NoError(t, err)
		goOn, err := w.Switch.HangDatabase()
		require.NoError(t, err)
		require.NoError(t, w.ReplacePolicy(policy))
		// The policy is told to be in force only after the turn that waits now; that it was read is all
		// that can be seen.
		require.NoError(t, w.AwaitLogged("policy loaded", before.Policy.Digest))
		require.NoError(t, w.KillDaemon())
		require.NoError(t, goOn())
	}},
}

func killAt(m testnet.Moment) func(*testing.T, *testnet.World, string) {
	return func(t *testing.T, w *testnet.World, policy string) {
		w.KillAt(m)
		require.NoError(t, w.ReplacePolicy(policy))
		require.NoError(t, w.AwaitKilled())
	}
}

// however a daemon dies in the course of a revocation, and of changes after it, a revoked
// connection never lives again; and when it is admitted again, it goes on.
func TestR6_KilledInTheCourseOfARevocation(t *testing.T) {
	t.Parallel()
	rules := []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6), in("icmp", any4),
		in("icmpv6", any6), in("tcp 5000", any4), in("tcp 5000", any6)}
	unrelated := group{name: "unrelated", rules: []string{in("tcp 80", any4)}}
	a, b, c := vm("a", 11, "g"), vm("b", 21, "unrelated"), vm("c", 31)
	admitting := document([]group{{name: "g", rules: rules}, unrelated}, a, b, c)
	denying := document([]group{{name: "g", rules: []string{in("tcp 9", any4)}}, unrelated}, a, b, c)
	other := document([]group{{name: "g"}, {name: "unrelated"}}, a, b, c) // takes from others, too
	for _, crash := range crashes {
		t.Run(crash.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testnet.Spec{Policy: admitting, Outside: outside(), Daemon: daemon(t)})
			require.NoError(t, w.StopDaemon())
			start := func() {
				require.NoError(t, w.StartDaemonByProxy())
				require.NoError(t, w.AwaitProgrammed())
			}
			start()
			streams := everyStream(t, w, "client", "a")
			tcp := dial(t, w, "client", "a", 5000)
			flows(t, streams)

			crash.kill(t, w, denying)
			start()
			cut(t, w, streams, "client", "a")
			crash.kill(t, w, other)
			start()
			still(t, w, streams, "client", "a")
			require.NoError(t, w.SetPolicy(denying))
			still(t, w, streams, "client", "a")
			for _, c := range tcp {
				require.Error(t, c.Echo(300*time.Millisecond))
			}
			require.NoError(t, w.SetPolicy(admitting))
			flows(t, streams)
			logReceived(t, streams)
			orphans, err := w.Switch.Orphans()
			require.NoError(t, err)
			require.LessOrEqual(t, len(orphans), 1, "commands of dead daemons: %q", orphans)
		})
	}
}

// everyStream is push with a stream of pings in each family.
func everyStream(t *testing.T, w *testnet.World, client, server string) map[string]*testnet.Stream {
	t.Helper()
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, client, server, 5001)
	for _, f := range families {
		s, err := w.Pings(client, server, f)
		require.NoError(t, err)
		streams[fmt.Sprintf("the client pings, %s to %s, %s", client, server, f)] = s
	}
	return streams
}

// still asserts that of what was cut nothing arrives now.
func still(t *testing.T, w *testnet.World, streams map[string]*testnet.Stream, settlers ...string) {
	t.Helper()
	first, last := map[string]uint64{}, map[string]uint64{}
	for name, s := range streams {
		first[name] = s.Last() + 1
	}
	for name, s := range streams {
		last[name] = s.AwaitSent(50)
	}
	for _, settler := range settlers {
		require.NoError(t, w.AwaitForwarded(settler))
	}
	for name, s := range streams {
		require.Zero(t, s.Received(first[name], last[name]),
			"arrived after the cut of the stream where %s", name)
	}
}

// logReceived logs what was sent and what was received.
func logReceived(t *testing.T, streams map[string]*testnet.Stream) {
	t.Helper()
	for name, s := range streams {
		sent := s.Sent()
		t.Logf("%s: %d sent, %d received", name, sent, s.Received(1, sent))
	}
}
