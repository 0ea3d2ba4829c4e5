package policydb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// patience bounds every wait for a state in these tests.
const patience = time.Minute

// server is a private ovsdb-server with an empty policy database.
func server(t testing.TB) *sandbox.OVS {
	t.Helper()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(Name, Schema)
	return o
}

// attach runs a Client until the test ends, and waits for its first state.
func attach(t testing.TB, endpoint string) *Client {
	t.Helper()
	c, err := New(Options{Endpoint: endpoint})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	await(t, c, func() bool {
		_, _, err := c.Policy()
		return err == nil
	})
	return c
}

// follow runs a Follower until stop or the test ends, and waits until Load knows whether there is a
// policy.
func follow(t testing.TB, opts FollowOptions) (f *Follower, stop func()) {
	t.Helper()
	f = NewFollower(opts)
	f.timing.interval = 10 * time.Millisecond
	stop = run(t, f)
	_, _, _ = f.Load()
	return f, stop
}

// run runs a Follower until stop or the test ends.
func run(t testing.TB, f *Follower) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// await waits on Changed until something holds.
func await(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, c interface{ Changed() <-chan struct{} }, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-c.Changed():
		case <-deadline:
			t.Fatalf("the state awaited does not come")
		}
	}
}

var requests int

// by is a change with an ID of its own.
func by(who string) Change {
	requests++
	return Change{ID: fmt.Sprintf("%s-%d", who, requests), At: time.UnixMilli(1_700_000_000_000),
		By: who, From: "a test"}
}

// put writes a whole policy.
func put(t testing.TB, c *Client, p *policy.Policy) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	generation, err := c.Change(ctx, by("put"), func(*policy.Policy) (*policy.Policy, string,
		error) {
		return p, "all of it", nil
	})
	require.NoError(t, err)
	return generation
}

// small is a policy of two groups that name each other, and two instances.
func small() *policy.Policy {
	return &policy.Policy{
		Groups: []*policy.Group{
			{Name: "db", Rules: []policy.Rule{policytest.Rule("ingress tcp 3306", "web")}},
			{Name: "web", Description: "the front", Rules: []policy.Rule{
				policytest.Rule("ingress tcp 80", "0.0.0.0/0"),
				policytest.Rule("egress tcp 3306", "db")}},
		},
		Instances: []*policy.Instance{
			{Name: "db-1", Host: "hv2", Groups: []string{"db"}, Ports: []policy.Port{{Name: "tap2",
				MAC: policytest.MAC(2), Addresses: policytest.Nets("10.0.0.2")}}},
			{Name: "web-1", Host: "hv1", Groups: []string{"web"}, Ports: []policy.Port{{Name: "tap1",
				MAC: policytest.MAC(1), Addresses: policytest.Nets("10.0.0.1", "2001:db8::1")}}},
		},
	}
}

// transact is what somebody else writes, with the stock tool.
func transact(o *sandbox.OVS, operations ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return o.Exec(ctx, "ovsdb-client", "transact", o.DB,
		fmt.Sprintf(`["%s",%s]`, Name, strings.Join(operations, ",")))
}
