package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// What libovsdb's own client gets wrong, of what a [Client] does with libovsdb's models and
// updates. The rest of its faults are of what is not used: its monitors, its cache, its reconnects
// and its inactivity check.

// A cache that outlives its connection tells of no row that went meanwhile.
func TestRowsThatWentWhileAwayAreGone(t *testing.T) {
	o := database(t)
	c := newClient(t, o.DB, nil)
	start(t, c)
	o.Vsctl("add-br", "br0", "--", "add-br", "br1")
	has := func(n int) func(Rows, error) bool {
		return func(r Rows, err error) bool { return err == nil && len(r[vswitch.BridgeTable]) == n }
	}
	await(t, c, has(2))
	s, err := c.session()
	require.NoError(t, err)
	o.Vsctl("del-br", "br1")
	await(t, c, has(1))
	s.conn.end(errClosed) // lost, and what comes next is missed
	o.Vsctl("del-br", "br0")
	await(t, c, has(0))
}

// A cache that goes on to serve after the server has died is believed; a transaction that waits for
// the next connection is never told of.
func TestNothingIsServedOfADeadServer(t *testing.T) {
	o := database(t)
	c := newClient(t, o.DB, nil)
	start(t, c)
	await(t, c, isThere)
	o.KillDB()
	await(t, c, isLost)
	require.ErrorIs(t, c.Read(func(Rows) error { return nil }), ErrNotConnected)
	began := time.Now()
	require.ErrorIs(t, write(t, c), ErrNotConnected)
	require.Less(t, time.Since(began), patience/4, "it does not wait for the next connection")
}

// Events beyond 65,536 are dropped with a line in the log; there are no events here.
func TestNoRowIsDropped(t *testing.T) {
	o := database(t)
	c := newClient(t, o.DB, nil)
	start(t, c)
	await(t, c, isThere)
	s, err := c.session()
	require.NoError(t, err)
	const many = 70_000
	var update strings.Builder
	update.WriteString(`{"Port":{`)
	for n := range many {
		if n > 0 {
			update.WriteByte(',')
		}
		fmt.Fprintf(&update, `"00000000-0000-0000-0000-%012d":{"initial":{"name":"p%d"}}`, n, n)
	}
	update.WriteString(`}}`)
	require.NoError(t, s.apply([]byte(update.String())))
	require.NoError(t, s.read(func(r Rows) error {
		require.Len(t, r[vswitch.PortTable], many)
		return nil
	}))
}
