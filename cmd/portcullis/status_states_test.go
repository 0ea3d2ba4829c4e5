package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// What a probe is told, by the first line and the exit code: all is well, or why it is not.
func TestStatusMeansWhatItSays(t *testing.T) {
	d := newDaemon(t)
	health := func() answer { return call(t, "status", "--health", "--config", d.settings) }
	got := health()
	require.Equal(t, 1, got.code)
	require.Empty(t, got.out)
	require.Contains(t, got.errOut, "unknown: the daemon does not answer: ")
	d.ready()
	d.settled()
	well := "in sync (2 of 2 ports in force)\n"
	require.Equal(t, answer{out: well}, health())

	d.writePolicy("bogus: 1\n")
	d.awaitStatus(func(s *api.Status) bool { return s.State == agent.StateDegraded })
	got = health()
	require.Equal(t, 1, got.code)
	require.Empty(t, got.errOut)
	require.Regexp(t, `^degraded \(2 of 2 ports in force\): the policy's files are not valid, the `+
		`last valid policy is in force: .*bogus.*\n$`, got.out)
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}} {
		require.Equal(t, 1, call(t, append(args, "--config", d.settings)...).code, args)
	}

	// a port that cannot be programmed is trouble, and nothing to wait for
	d.vs.Vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=dummy", "--",
		"add-port", "br-ex", "tap4")
	more := `  - {name: web-4, groups: [web], ports: [{name: tap4, mac: "02:00:00:00:00:14", ` +
		"addresses: [203.0.113.14]}]}\n"
	d.writePolicy(goodPolicy + more)
	got = call(t, "status", "--wait", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Empty(t, got.errOut, "the answer says it")
	why := "degraded (2 of 3 ports in force): port tap4: it is on bridge br-ex, not on br-int\n"
	require.Regexp(t, "^state: +"+regexp.QuoteMeta(strings.TrimSpace(why))+", since ", got.out)
	require.Equal(t, answer{out: why, code: 1}, health())
	d.vs.Vsctl("del-port", "tap4")
	d.settled()
	require.Equal(t, 0, health().code)
	d.stop(os.Interrupt)
}
