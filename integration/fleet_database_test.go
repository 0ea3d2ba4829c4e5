//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A database that goes takes nothing away, not even from a daemon that starts without it; when it
// is back with fifty changes they are one bundle, and no packet is lost that was admitted before
// and after. What was revoked meanwhile stops.
func TestFleet_ADatabaseThatIsGoneLosesNoPacket(t *testing.T) {
	t.Parallel()
	l := newFleet(t, fleetlab.Options{Members: 1, Hosts: 2, Outside: outside(),
		Policy: document([]group{{name: "web"}, {name: "db", rules: []string{in("udp 5001", "@web"),
			in("tcp 3306", "@web")}}},
			vm("web-1", 11, "web").on("hv1"), vm("db-2", 22, "db").on("hv2"))})
	stream, err := l.PushFromClient("web-1", "db-2", testnet.IPv4, 5001)
	require.NoError(t, err)
	first := stream.AwaitSent(50)
	server, near, far := l.Members[0], l.Machine("hv1"), l.Machine("hv2")
	stale := func(m *fleetlab.Machine, standing policydb.Standing) {
		require.NoError(t, m.AwaitStatus(string(standing), func(s *api.Status) bool {
			return s.Policy.Database.Standing == standing
		}))
	}
	require.NoError(t, server.Kill())
	stale(near, policydb.Stale)
	stale(far, policydb.Stale)
	require.NoError(t, near.KillDaemon())
	require.NoError(t, near.StartDaemon())
	stale(near, policydb.Cold)
	require.NoError(t, l.Reaches("web-1", "db-2", testnet.TCP(3306), testnet.IPv4))

	require.NoError(t, far.CutFrom(server.Node))
	require.NoError(t, server.Start())
	before, err := far.Status()
	require.NoError(t, err)
	generation := revise(t, server.Socket(), 50)
	require.NoError(t, near.AwaitGeneration(generation))
	require.NoError(t, l.Reaches("web-1", "db-2", testnet.TCP(3306), testnet.IPv4),
		"db-2 has not heard of it")
	require.NoError(t, far.JoinWith(server.Node))
	require.NoError(t, far.AwaitGeneration(generation))
	after, err := far.Status()
	require.NoError(t, err)
	require.Equal(t, before.Counters.Applies+1, after.Counters.Applies, "one bundle")
	passes, err := l.Admits("web-1", "db-2", testnet.TCP(3306), testnet.IPv4)
	require.NoError(t, err)
	require.False(t, passes, "it was revoked")
	require.NoError(t, l.Reaches("web-1", "db-2", testnet.TCP(4050), testnet.IPv4))
	last := stream.AwaitSent(50)
	require.True(t, stream.Await(last, 10*time.Second))
	require.Empty(t, stream.Missing(first, last))
}

// revise makes so many changes of the one rule of db for tcp, each of which takes back the one
// before.
func revise(t *testing.T, endpoint string, n int) (generation int) {
	t.Helper()
	c, err := policydb.New(policydb.Options{Endpoint: endpoint})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	running, stop := context.WithCancel(context.Background())
	go func() { done <- c.Run(running) }()
	for k := range n {
		generation, err = c.Change(ctx, policydb.Change{ID: fmt.Sprintf("%s %d", t.Name(), k),
			At: time.Now(), By: "a test"},
			func(p *policy.Policy) (*policy.Policy, string, error) {
				next := p.Clone()
				for _, g := range next.Groups {
					if g.Name == "db" {
						g.Rules = []policy.Rule{policytest.Rule("ingress udp 5001", "web"),
							policytest.Rule(fmt.Sprintf("ingress tcp %d", 4001+k), "web")}
					}
				}
				return next, "revised", nil
			})
		require.NoError(t, err)
	}
	stop()
	require.NoError(t, <-done)
	return generation
}
