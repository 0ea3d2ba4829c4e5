package bridge

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
)

// patience bounds every wait for a state in these tests.
const patience = 2 * time.Minute

// database is a private ovsdb-server without ovs-vswitchd.
func database(t *testing.T) *sandbox.OVS {
	t.Helper()
	return sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
}

// attach runs a Client for br-int until the test ends; it may not be connected yet.
func attach(t *testing.T, o *sandbox.OVS) *Client {
	t.Helper()
	return attachWith(t, Options{Endpoint: o.DB, Bridge: "br-int", DatapathType: "dummy"})
}

func attachWith(t *testing.T, opts Options) *Client {
	t.Helper()
	c, err := New(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		_, err := c.Snapshot()
		require.ErrorIs(t, err, ErrNotConnected)
	})
	return c
}

// connected is attach, and waits for the first complete state.
func connected(t *testing.T, o *sandbox.OVS) *Client {
	t.Helper()
	c := attach(t, o)
	await(t, c, func(Snapshot) bool { return true })
	return c
}

// await waits on Changed until a Snapshot satisfies ok.
func await(t *testing.T, c *Client, ok func(Snapshot) bool) Snapshot {
	t.Helper()
	deadline := time.After(patience)
	for {
		s, err := c.Snapshot()
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-c.Changed():
		case <-deadline:
			t.Fatalf("the state awaited does not come; last %+v, %v, %v", s, err, c.LastError())
		}
	}
}

// ensure calls Ensure with a deadline.
func ensure(t *testing.T, c *Client, d Desired) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Ensure(ctx, d)
}

// get is one column as ovs-vsctl prints it.
func get(o *sandbox.OVS, table, record, column string) string {
	return strings.TrimSpace(o.Vsctl("get", table, record, column))
}

func desiredPort(name string) DesiredPort {
	return DesiredPort{
		Name:     name,
		Type:     "dummy",
		Instance: "vm-" + name,
		MAC:      "02:00:00:00:00:01",
		Zone:     7,
		Epoch:    3,
	}
}
