package client

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// patience bounds every wait for a state in these tests.
const patience = 2 * time.Minute

// database is a private ovsdb-server without ovs-vswitchd.
func database(t *testing.T) *sandbox.OVS {
	t.Helper()
	return sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
}

// newClient makes a Client of Open vSwitch's database.
func newClient(t *testing.T, endpoint string, lock *Lock) *Client {
	t.Helper()
	model, err := vswitch.FullDatabaseModel()
	require.NoError(t, err)
	return New(Options{Endpoint: endpoint, Model: model, Name: "test", Lock: lock})
}

// running is a Client that runs, and how its Run ended.
type running struct {
	*Client
	ended chan error
	stop  context.CancelFunc
}

// start runs a Client until the test ends.
func start(t *testing.T, c *Client) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := running{c, make(chan error, 1), cancel}
	go func() { r.ended <- c.Run(ctx); close(r.ended) }()
	t.Cleanup(func() { cancel(); <-r.ended })
	return r
}

// await waits on Changed until the rows, or why there are none, are as wanted.
func await(t *testing.T, c *Client, ok func(Rows, error) bool) {
	t.Helper()
	for deadline := time.After(patience); ; {
		found := false
		err := c.Read(func(r Rows) error { found = ok(r, nil); return nil })
		if found || err != nil && ok(nil, err) {
			return
		}
		select {
		case <-c.Changed():
		case <-deadline:
			t.Fatalf("the state awaited does not come; last %v, %v", err, c.LastError())
		}
	}
}

func isThere(_ Rows, err error) bool { return err == nil }
func isLost(_ Rows, err error) bool  { return errors.Is(err, ErrNotConnected) }

// comment is a transaction that changes nothing.
func comment() []Operation {
	return []Operation{
		{
			About: "comment",
			Op:    libovsdb.Operation{Op: libovsdb.OperationComment, Comment: new(string)},
		},
	}
}

// write sends a transaction, whatever the rows are.
func write(t *testing.T, c *Client) error {
	t.Helper()
	ops := comment()
	return c.Update(t.Context(), func(Rows) ([]Operation, error) {
		now := ops
		ops = nil
		return now, nil
	})
}

func TestNothingWorksBeforeTheConnection(t *testing.T) {
	c := newClient(t, "unix:/nonexistent/db.sock", nil)
	require.ErrorIs(t, c.Read(func(Rows) error { return nil }), ErrNotConnected)
	require.ErrorIs(t, write(t, c), ErrNotConnected)
	require.ErrorIs(t, c.LastError(), ErrNotConnected)
}

func TestRunRefusesEndpointsItCannotMean(t *testing.T) {
	for _, endpoint := range []string{"", "db.sock", "unix:", "unix:db.sock", "unix:/a?b",
		"unix:/a#b", "unix:/a%41",
		"tcp:", "tcp://h:1", "ssl:h:1", "ptcp:1", "%zz"} {
		require.ErrorContains(t, newClient(t, endpoint, nil).Run(t.Context()), "OVSDB endpoint", endpoint)
	}
	for _, endpoint := range []string{"unix:/var/run/openvswitch/db.sock", "tcp:127.0.0.1:6640",
		"tcp:[::1]:6640"} {
		require.NoError(t, checkEndpoint(endpoint))
	}
}

func TestRunKeepsTryingUntilTheServerIsThere(t *testing.T) {
	o := database(t)
	o.StopDB()
	log, hook := logtest.NewNullLogger()
	c := newClient(t, o.DB, nil)
	c.opts.Log = logrus.NewEntry(log)
	start(t, c)
	<-c.Changed()
	require.ErrorContains(t, c.LastError(), "db.sock")
	await(t, c, isLost)
	o.StartDB()
	await(t, c, func(rows Rows, err error) bool { return len(rows[vswitch.OpenvSwitchTable]) == 1 })
	require.NoError(t, c.LastError())
	require.Len(t, hook.AllEntries(), 2, "one warning however many attempts, then connected")
}

func TestServerThatStopsAnsweringIsLeft(t *testing.T) {
	o := database(t)
	c := newClient(t, o.DB, nil)
	c.timing.probe, c.timing.answer = 20*time.Millisecond, 200*time.Millisecond
	start(t, c)
	await(t, c, isThere)
	require.NoError(t, syscall.Kill(o.DBPID(), syscall.SIGSTOP))
	await(t, c, isLost)
	require.NoError(t, syscall.Kill(o.DBPID(), syscall.SIGCONT))
	await(t, c, isThere)
}

// Of several servers one may be stuck: it accepts connections, and answers nothing. Who is in a
// hurry does not wait for it, whichever it comes to first.
func TestAStuckServerIsLeftForAnother(t *testing.T) {
	o := database(t)
	stuck, err := net.Listen("unix", filepath.Join(t.TempDir(), "stuck"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = stuck.Close() })
	model, err := vswitch.FullDatabaseModel()
	require.NoError(t, err)
	for range 8 { // each has an order of its own
		c := New(Options{Endpoint: "unix:" + stuck.Addr().String() + "," + o.DB, Model: model,
			Name: "test", Patience: 100 * time.Millisecond})
		began := time.Now()
		start(t, c)
		await(t, c, isThere)
		require.Less(t, time.Since(began), defaultTiming().greet/2)
	}
	c := New(Options{Endpoint: o.DB, Model: model, Name: "test", Patience: time.Millisecond})
	require.Equal(t, defaultTiming(), c.timing, "there is no other to go to")
}

func TestRunEndsWhileTheServerIsSilent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	r := start(t, newClient(t, "unix:"+path, nil))
	conn, err := listener.Accept()
	require.NoError(t, err)
	defer conn.Close()
	r.stop()
	require.NoError(t, <-r.ended)
}

// Rows come, change and go as the database says: what is read is what a connection made anew reads.
func TestRowsFollowTheDatabase(t *testing.T) {
	o := database(t)
	c := newClient(t, o.DB, nil)
	start(t, c)
	await(t, c, isThere)
	bridges := func(rows Rows) map[string][]string {
		out := map[string][]string{}
		for _, b := range Table[*vswitch.Bridge](rows, vswitch.BridgeTable) {
			out[b.Name] = []string{}
			for _, uuid := range b.Ports {
				p, ok := Row[*vswitch.Port](rows, vswitch.PortTable, uuid)
				require.True(t, ok, "a reference into the void")
				out[b.Name] = append(out[b.Name], p.Name+" "+p.ExternalIDs["a"]+p.ExternalIDs["b"])
			}
		}
		return out
	}
	for _, change := range []struct {
		args []string
		want map[string]int // ports by bridge
	}{
		{[]string{"add-br", "br0", "--", "add-port", "br0", "tap1", "--", "add-br", "br1"},
			map[string]int{"br0": 2, "br1": 1}},
		{[]string{"set", "Port", "tap1", "external_ids:a=1", "external_ids:b=2"},
			map[string]int{"br0": 2, "br1": 1}},
		{[]string{"remove", "Port", "tap1", "external_ids", "a", "--", "add-port", "br1", "tap2"},
			map[string]int{"br0": 2, "br1": 2}},
		{[]string{"del-port", "tap1", "--", "add-port", "br0", "tap3"},
			map[string]int{"br0": 2, "br1": 2}},
		{[]string{"del-br", "br1"}, map[string]int{"br0": 2}},
	} {
		o.Vsctl(change.args...)
		again := newClient(t, o.DB, nil)
		r := start(t, again)
		var want map[string][]string
		await(t, again, func(rows Rows, err error) bool { want = bridges(rows); return err == nil })
		r.stop()
		require.Len(t, want, len(change.want))
		for name, ports := range change.want {
			require.Len(t, want[name], ports)
		}
		require.NoError(t, write(t, c)) // updates come before the answer
		require.NoError(t, c.Read(func(rows Rows) error {
			got := bridges(rows)
			require.Len(t, got, len(want))
			for name := range want {
				require.ElementsMatch(t, want[name], got[name])
			}
			return nil
		}))
	}
}

// An update that does not fit the rows ends the connection, and changes nothing.
func TestUpdatesThatDoNotFitEndTheConnection(t *testing.T) {
	for name, update := range map[string]string{
		"of a row that is not there": `{"Bridge":{"00000000-0000-0000-0000-000000000001":{"modify":{"name":"br1"}}}}`,
		"of a gone row":              `{"Bridge":{"00000000-0000-0000-0000-000000000001":{"delete":null}}}`,
		"of a table of nobody's":     `{"Nobody":{"00000000-0000-0000-0000-000000000001":{"insert":{"name":"br1"}}}}`,
		"of a wrong type":            `{"Bridge":{"00000000-0000-0000-0000-000000000001":{"insert":{"name":7}}}}`,
		"of no update":               `7`,
	} {
		t.Run(name, func(t *testing.T) {
			o := database(t)
			c := newClient(t, o.DB, nil)
			start(t, c)
			await(t, c, isThere)
			s, err := c.session()
			require.NoError(t, err)
			require.Error(t, s.update([]byte(`["rows",`+update+`]`)))
			require.Empty(t, s.rows[vswitch.BridgeTable])
			require.Error(
				t,
				s.conn.dispatch(
					message{Method: "update2", Params: []byte(`["rows",` + update + `]`)},
				),
			)
		})
	}
}

func TestResultErrors(t *testing.T) {
	ops := []Operation{{About: "a"}, {About: "b"}}
	ok := libovsdb.OperationResult{}
	bad := libovsdb.OperationResult{Error: "constraint violation", Details: "why"}
	require.NoError(t, resultError([]libovsdb.OperationResult{ok, ok}, ops))
	require.EqualError(t, resultError([]libovsdb.OperationResult{ok, bad}, ops),
		"b: constraint violation: why")
	require.EqualError(t, resultError([]libovsdb.OperationResult{ok, ok, bad}, ops),
		"commit: constraint violation: why")
	require.EqualError(t, resultError([]libovsdb.OperationResult{ok}, ops),
		"the server answered 1 of 2 operations")
}

// Of several servers any will do: one that is not there, or has gone, is left for another.
func TestAnyServerWillDo(t *testing.T) {
	servers := map[string]*sandbox.OVS{}
	endpoints := "unix:/nonexistent/db.sock"
	for range 2 {
		o := database(t)
		servers[o.DB] = o
		endpoints += "," + o.DB
	}
	c := newClient(t, endpoints, nil)
	start(t, c)
	connected := func() string {
		endpoint := ""
		await(t, c, func(Rows, error) bool {
			s, err := c.session()
			if err == nil {
				endpoint = s.endpoint
			}
			return err == nil
		})
		return endpoint
	}
	for range 3 {
		at := connected()
		servers[at].KillDB()
		await(t, c, func(Rows, error) bool {
			s, err := c.session()
			return err == nil && s.endpoint != at
		})
		require.NoError(t, write(t, c))
		servers[at].StartDB()
	}
}
