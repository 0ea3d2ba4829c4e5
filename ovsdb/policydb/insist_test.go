package policydb

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// Of a change that was sent and never answered nobody knows; of one that could not be sent it is
// known that it was not made.
func TestWhatIsKnownOfAChangeThatDidNotEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sent := fmt.Errorf("transaction of 5 operations: %w: EOF", client.ErrNotConnected)
	err := insist(ctx, func() error { return sent })
	require.ErrorContains(t, err, "may have been made, or not")
	err = insist(ctx, func() error { return client.ErrNotConnected })
	require.Equal(t, client.ErrNotConnected, err)
}
