package client

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
)

var errSomebody = errors.New("somebody has it")

func testLock() *Lock {
	return &Lock{Name: "portcullis_test",
		Holder: libovsdb.Operation{
			Op:      libovsdb.OperationSelect,
			Table:   "Open_vSwitch",
			Where:   []libovsdb.Condition{},
			Columns: []string{"external_ids"},
		},
		Held: func(rows []libovsdb.Row) error {
			if len(rows) != 1 || rows[0]["external_ids"] == nil {
				return errors.New("the answer was not passed on")
			}
			return errSomebody
		}}
}

// keep runs a Client that holds the lock. patience is how long it waits for another one at the
// start.
func keep(t *testing.T, o *sandbox.OVS, patience time.Duration) running {
	t.Helper()
	c := newClient(t, o.DB, testLock())
	c.timing.patience, c.timing.maxPause, c.timing.probe = patience, 50*time.Millisecond,
		50*time.Millisecond
	return start(t, c)
}

const never = time.Hour

func isHeld(_ Rows, err error) bool { return errors.Is(err, errSomebody) }

func TestTheSecondClientRefuses(t *testing.T) {
	o := database(t)
	first := keep(t, o, never)
	await(t, first.Client, isThere)
	second := keep(t, o, time.Millisecond)
	require.ErrorIs(t, <-second.ended, errSomebody)
	await(t, second.Client, isHeld)
	require.ErrorIs(t, write(t, second.Client), errSomebody)
	require.NoError(t, write(t, first.Client), "the first one goes on")
}

func TestTheNextClientWaitsForTheLastToEnd(t *testing.T) {
	o := database(t)
	first := keep(t, o, never)
	await(t, first.Client, isThere)
	second := keep(t, o, never)
	await(t, second.Client, isHeld)
	first.stop()
	await(t, second.Client, isThere)
	require.NoError(t, write(t, second.Client))
}

func TestTheLockComesBackWithTheDatabase(t *testing.T) {
	o := database(t)
	first := keep(t, o, never)
	await(t, first.Client, isThere)
	o.KillDB()
	await(t, first.Client, isLost)
	o.StartDB()
	await(t, first.Client, isThere)
	require.NoError(t, write(t, first.Client))
	require.ErrorIs(t, <-keep(t, o, time.Millisecond).ended, errSomebody)
}

// A lock that somebody took by force is lost at once, and nothing is written any more, until it is
// free again.
func TestAStolenLockEndsTheWriting(t *testing.T) {
	o := database(t)
	first := keep(t, o, time.Millisecond)
	await(t, first.Client, isThere)
	require.NoError(t, write(t, first.Client))
	s, err := first.session()
	require.NoError(t, err)

	thief := exec.Command("ovsdb-client", "steal", o.DB, testLock().Name)
	require.NoError(t, thief.Start())
	await(t, first.Client, isHeld)
	require.ErrorIs(t, write(t, first.Client), errSomebody)
	require.Error(t, s.transact(t.Context(), comment()))
	select {
	case err := <-first.ended:
		t.Fatalf("a client that had the lock waits, and does not end: %v", err)
	default:
	}
	require.NoError(t, thief.Process.Signal(syscall.SIGTERM))
	_ = thief.Wait()
	await(t, first.Client, isThere)
	require.NoError(t, write(t, first.Client))
}

// What the notification of a theft is too late for, the database itself refuses.
func TestATransactionWithoutTheLockIsRefused(t *testing.T) {
	o := database(t)
	conn, err := (&endpoints{}).dial(t.Context(), o.DB)
	require.NoError(t, err)
	defer conn.end(errClosed)
	c := newClient(t, o.DB, testLock())
	s := &session{conn: conn, opts: c.opts, timing: c.timing, sent: &c.sent}
	require.ErrorIs(t, s.transact(t.Context(), comment()), errStolen)
	isOurs, err := s.lock(t.Context())
	require.NoError(t, err)
	require.True(t, isOurs)
	require.NoError(t, s.transact(t.Context(), comment()))
}

// Whoever holds the lock is asked for signs of life and gives them; a connection that ends of that
// would give the lock away.
func TestProbesKeepTheConnection(t *testing.T) {
	o := database(t)
	conn, err := (&endpoints{}).dial(t.Context(), o.DB)
	require.NoError(t, err)
	defer conn.end(errClosed)
	for range 3 {
		require.NoError(t, conn.probe(t.Context()))
	}
	require.NoError(t, conn.reason())
}

// A server behind TCP asks for signs of life, too, and ends a connection that gives none.
func TestAnswersTheProbesOfTheServer(t *testing.T) {
	server, end := net.Pipe()
	defer server.Close()
	c := newConnection(end)
	_, err := io.WriteString(server, `{"method":"echo","params":["x"],"id":"echo"}`)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.NewDecoder(server).Decode(&got))
	require.Equal(t, map[string]any{"id": "echo", "result": []any{"x"}, "error": nil}, got)
	_, err = io.WriteString(server, `{"method":"update2","params":[],"id":null}{"result":1,"id":7}`+
		`{"result":1,"id":"junk"}{"method":"locked","params":["l"],"id":null}`)
	require.NoError(t, err)
	<-c.locked
	require.NoError(t, server.Close())
	<-c.lost
	require.ErrorIs(t, c.reason(), ErrNotConnected)
	require.ErrorIs(t, c.probe(t.Context()), ErrNotConnected)
}
