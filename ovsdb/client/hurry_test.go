package client

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhoGivesUpEndsNobodysConnection has many callers whose time is over at every moment of a
// transaction. The connection, which all share, stays.
func TestWhoGivesUpEndsNobodysConnection(t *testing.T) {
	c := newClient(t, database(t).DB, nil)
	start(t, c)
	await(t, c, isThere)
	before, err := c.session()
	require.NoError(t, err)
	late := 0
	for n := range 2000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%400)*time.Microsecond)
		ops := comment()
		if c.Update(ctx, func(Rows) ([]Operation, error) {
			now := ops
			ops = nil
			return now, nil
		}) != nil {
			late++
		}
		cancel()
	}
	t.Logf("%d of 2000 were late", late)
	assert.Positive(t, late)
	after, err := c.session()
	require.NoError(t, err)
	assert.Same(t, before, after, "the connection was lost")
}
