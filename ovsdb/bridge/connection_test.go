package bridge

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// lost waits until Snapshot refuses.
func lost(t *testing.T, c *Client) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if _, err := c.Snapshot(); err != nil {
			require.ErrorIs(t, err, ErrNotConnected)
			return
		}
		select {
		case <-c.Changed():
		case <-deadline:
			t.Fatal("the lost connection is not noticed")
		}
	}
}

func TestConnectionLostAndFound(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	d := Desired{Revision: 1, Ports: []DesiredPort{desiredPort("tap1")}}
	require.NoError(t, ensure(t, c, d))
	o.KillDB()
	lost(t, c)
	require.ErrorIs(t, ensure(t, c, d), ErrNotConnected)
	require.Error(t, c.LastError())
	o.StartDB()
	o.Vsctl("del-port", "tap1", "--", "add-port", "br-int", "tap2")
	s := await(t, c, func(s Snapshot) bool { _, there := s.Ports["tap2"]; return there })
	require.NotContains(t, s.Ports, "tap1", "no row of the old connection")
	require.NoError(t, ensure(t, c, d))
	require.Equal(t, "tap1\ntap2\n", o.Vsctl("list-ports", "br-int"))
}

func TestRunLeavesNoGoroutines(t *testing.T) {
	o := database(t)
	for range 10 {
		c, err := New(Options{Endpoint: o.DB, Bridge: "br-int"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		await(t, c, func(Snapshot) bool { return true })
		cancel()
		require.NoError(t, <-done)
	}
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		left := connectionGoroutines()
		if left == "" {
			return
		}
		require.True(t, time.Now().Before(deadline), "left behind:\n%s", left)
	}
}

// connectionGoroutines are the stacks of goroutines that serve a connection.
func connectionGoroutines() string {
	all := make([]byte, 1<<20)
	var found []string
	for _, stack := range strings.Split(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if strings.Contains(stack, "libovsdb") || strings.Contains(stack, "rpc2") ||
			strings.Contains(stack, "(*connection)") {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}

func TestBurstOfPorts(t *testing.T) {
	const count = 5000
	o := database(t)
	c := connected(t, o)
	args := []string{"add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy"}
	var d Desired
	for i := range count {
		name := fmt.Sprintf("tap%d", i)
		args = append(args, "--", "add-port", "br-int", name)
		d.Ports = append(d.Ports,
			DesiredPort{Name: name, Zone: uint16(i + 1), MAC: "02:00:00:00:00:01", Instance: "vm"})
	}
	o.Vsctl(args...)
	s := await(t, c, func(s Snapshot) bool { return s.Bridge })
	require.Len(t, s.Ports, count+1, "the whole transaction or nothing of it")
	d.Revision = 1
	require.NoError(t, ensure(t, c, d))
	require.NoError(t, ensure(t, c, d))
	require.Equal(t, uint64(1), c.Sent())
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.Equal(t, uint16(count), s.Ports[fmt.Sprintf("tap%d", count-1)].Zone)
}

// twoZones writes one number to two ports in one transaction.
func twoZones(v *view, zone uint16) []client.Operation {
	p := &planner{view: v}
	for _, name := range []string{"tap1", "tap2"} {
		change := newIDChange()
		change.set(v.ports[name].row.ExternalIDs, KeyZone, decimal(uint32(zone)))
		p.Mutate(name, vswitch.PortTable, v.ports[name].row.UUID, change.mutations("external_ids"))
	}
	bridge := newIDChange()
	bridge.set(v.bridge.ExternalIDs, KeyRevision, decimal(uint32(zone)))
	p.Mutate("revision", vswitch.BridgeTable, v.bridge.UUID, bridge.mutations("external_ids"))
	return p.Operations
}

func TestSnapshotNeverShowsHalfATransaction(t *testing.T) {
	o := database(t)
	writer, reader := connected(t, o), connected(t, o)
	require.NoError(t, ensure(t, writer, Desired{Revision: 1, Ports: []DesiredPort{
		{Name: "tap1", Zone: 1}, {Name: "tap2", Zone: 1}}}))
	await(t, reader, func(s Snapshot) bool { return s.Ports["tap2"].Zone == 1 })
	failed := make(chan error, 1)
	go func() { failed <- writeZones(t.Context(), writer, 600) }()
	seen := map[uint32]struct{}{}
	for running := true; running; {
		select {
		case err := <-failed:
			require.NoError(t, err)
			running = false
		default:
		}
		s, err := reader.Snapshot()
		require.NoError(t, err)
		require.Equal(t, s.Ports["tap1"].Zone, s.Ports["tap2"].Zone)
		require.Equal(t, uint32(s.Ports["tap1"].Zone), s.Revision)
		seen[s.Revision] = struct{}{}
	}
	require.Greater(t, len(seen), 100, "the reader must have looked while the writer wrote")
}

func writeZones(ctx context.Context, c *Client, count uint16) error {
	for zone := uint16(2); zone < count; zone++ {
		var ops []client.Operation
		err := c.Read(func(rows client.Rows) error {
			v, err := c.view(rows)
			ops = twoZones(v, zone)
			return err
		})
		if err == nil {
			err = send(ctx, c, ops)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestWaitsForNobody(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, c.Ensure(ctx, Desired{Revision: 1}), context.Canceled)
	require.NoError(t, ensure(t, c, Desired{Revision: 1}), "no ovs-vswitchd runs")
}
