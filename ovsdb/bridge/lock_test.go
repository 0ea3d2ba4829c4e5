package bridge

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/ovstest"
)

// keeper is a Client that keeps br-int, and how its Run ended.
type keeper struct {
	*Client
	ended chan error
	stop  context.CancelFunc
}

// keep runs a Client that keeps the bridge until the test ends. patience is how long it waits for another one at the start.
func keep(t *testing.T, o *ovstest.OVS, daemon string, patience time.Duration) keeper {
	t.Helper()
	c := New(Options{Endpoint: o.DB, Bridge: "br-int", DatapathType: "dummy", Daemon: daemon})
	c.timing.patience, c.timing.maxPause, c.timing.probe = patience, 50*time.Millisecond, 50*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	k := keeper{c, make(chan error, 1), cancel}
	go func() { k.ended <- c.Run(ctx); close(k.ended) }()
	t.Cleanup(func() { cancel(); <-k.ended })
	return k
}

const never = time.Hour

func TestTheSecondDaemonRefuses(t *testing.T) {
	o := database(t)
	first := keep(t, o, "pid 1 on hv1", never)
	await(t, first.Client, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, first.Client, Desired{Revision: 1}))

	second := keep(t, o, "pid 2 on hv1", time.Millisecond)
	err := <-second.ended
	require.EqualError(t, err, "the bridge br-int is kept by another daemon: pid 1 on hv1; two would undo each other's flows")
	_, err = second.Snapshot()
	require.ErrorAs(t, err, new(*HeldError))
	require.ErrorAs(t, ensure(t, second.Client, Desired{Revision: 2}), new(*HeldError))
	require.NoError(t, ensure(t, first.Client, Desired{Revision: 3}), "the first one goes on")

	other := New(Options{Endpoint: o.DB, Bridge: "br_int", DatapathType: "dummy", Daemon: "pid 3 on hv1"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	await(t, other, func(Snapshot) bool { return true }) // another bridge is nobody's business
	cancel()
	require.NoError(t, <-done)
}

func TestTheNextDaemonWaitsForTheLastToEnd(t *testing.T) {
	o := database(t)
	first := keep(t, o, "pid 1 on hv1", never)
	await(t, first.Client, func(Snapshot) bool { return true })
	second := keep(t, o, "pid 2 on hv1", never)
	require.Eventually(t, func() bool { _, ok := second.LastError().(*HeldError); return ok }, patience, time.Millisecond)
	first.stop()
	await(t, second.Client, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, second.Client, Desired{Revision: 1}))
	require.Equal(t, `"pid 2 on hv1"`, get(o, "Bridge", "br-int", "external_ids:portcullis-daemon"))
}

func TestTheLockComesBackWithTheDatabase(t *testing.T) {
	o := database(t)
	first := keep(t, o, "pid 1 on hv1", never)
	await(t, first.Client, func(Snapshot) bool { return true })
	o.KillDB()
	lost(t, first.Client)
	o.StartDB()
	await(t, first.Client, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, first.Client, Desired{Revision: 1}))
	require.ErrorAs(t, <-keep(t, o, "pid 2 on hv1", time.Millisecond).ended, new(*HeldError))
}

// A lock that somebody took by force is lost at once, and nothing is written any more, until it is free again.
func TestAStolenLockEndsTheWriting(t *testing.T) {
	o := database(t)
	first := keep(t, o, "pid 1 on hv1", time.Millisecond)
	await(t, first.Client, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, first.Client, Desired{Revision: 1}))
	session, _ := first.current()

	thief := exec.Command("ovsdb-client", "steal", o.DB, lockName("br-int"))
	require.NoError(t, thief.Start())
	require.Eventually(t, func() bool { _, ok := first.LastError().(*HeldError); return ok }, patience, time.Millisecond)
	require.ErrorAs(t, ensure(t, first.Client, Desired{Revision: 2}), new(*HeldError))
	require.Error(t, session.transact(t.Context(), []operation{{about: "nothing"}}))
	require.Equal(t, `"1"`, get(o, "Bridge", "br-int", "external_ids:portcullis-revision"))
	select {
	case err := <-first.ended:
		t.Fatalf("a daemon that kept the bridge waits, and does not end: %v", err)
	default:
	}
	require.NoError(t, thief.Process.Signal(syscall.SIGTERM))
	_ = thief.Wait()
	await(t, first.Client, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, first.Client, Desired{Revision: 3}))
}

// What the notification of a theft is too late for, the database itself refuses.
func TestATransactionWithoutTheLockIsRefused(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-int")
	w, err := dial(t.Context(), o.DB, lockName("br-int"))
	require.NoError(t, err)
	defer w.end(errClosed)
	s := &session{wire: w}
	v, err := newView(newFixture().rows, "br-int")
	require.NoError(t, err)
	write := func() error { return s.transact(t.Context(), (&planner{view: v}).ops) }
	require.ErrorIs(t, write(), errStolen)
	held, err := w.take(t.Context())
	require.NoError(t, err)
	require.True(t, held)
	require.NoError(t, write())
}

func TestLockNames(t *testing.T) {
	for bridge, want := range map[string]string{"br0": "portcullis_br0", "br-int": "portcullis_br_2dint", "br_int": "portcullis_br_5fint", "br.ü": "portcullis_br_2e_c3_bc"} {
		require.Equal(t, want, lockName(bridge))
	}
}

// Whoever holds the lock is asked for signs of life and gives them; a connection that ends of that would give the lock away.
func TestProbesKeepTheConnection(t *testing.T) {
	o := database(t)
	w, err := dial(t.Context(), o.DB, lockName("br-int"))
	require.NoError(t, err)
	defer w.end(errClosed)
	for range 3 {
		require.NoError(t, w.probe(t.Context()))
	}
	require.NoError(t, w.reason())
}

// A server behind TCP asks for signs of life, too, and ends a connection that gives none.
func TestAnswersTheProbesOfTheServer(t *testing.T) {
	server, client := net.Pipe()
	defer server.Close()
	w := &wire{conn: client, held: make(chan struct{}), lost: make(chan struct{}), out: json.NewEncoder(client), waiting: map[uint64]chan message{}}
	go w.read()
	_, err := io.WriteString(server, `{"method":"echo","params":["x"],"id":"echo"}`)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.NewDecoder(server).Decode(&got))
	require.Equal(t, map[string]any{"id": "echo", "result": []any{"x"}, "error": nil}, got)
	_, err = io.WriteString(server, `{"method":"update","params":[],"id":null}{"result":1,"id":7}{"result":1,"id":"junk"}{"method":"locked","params":["l"],"id":null}`)
	require.NoError(t, err)
	<-w.held
	require.NoError(t, server.Close())
	<-w.lost
	require.ErrorIs(t, w.reason(), ErrNotConnected)
	require.ErrorIs(t, w.probe(t.Context()), ErrNotConnected)
}
