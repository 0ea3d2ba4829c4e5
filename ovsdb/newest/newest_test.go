package newest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/newest"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// connect returns a client that has the rows.
func connect(t *testing.T, endpoint string) *policydb.Client {
	t.Helper()
	c, err := policydb.New(policydb.Options{Endpoint: endpoint})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	require.Eventually(t, func() bool { _, _, err := c.Policy(); return err == nil }, time.Minute,
		time.Millisecond)
	return c
}

// What one client wrote is known by the other's source when it is asked afterwards, by many at a
// time; and so it is where no server says that it leads.
func TestGeneration(t *testing.T) {
	t.Parallel()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, policydb.Schema)
	a, b := connect(t, o.DB), connect(t, o.DB)
	known := newest.New(o.DB, nil, b)
	unknown := newest.New("unix:"+t.TempDir()+"/none", nil, b)
	for n := range 30 {
		at, err := a.Change(t.Context(), policydb.Change{ID: fmt.Sprint(n), At: time.Now()},
			func(p *policy.Policy) (*policy.Policy, string, error) {
				next := *p
				next.Groups = append([]*policy.Group{{Name: fmt.Sprintf("g%03d", n)}}, p.Groups...)
				return &next, "", nil
			})
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				got, err := known.Generation(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, at, got)
			})
		}
		all.Wait()
		got, err := unknown.Generation(t.Context())
		require.NoError(t, err)
		require.Equal(t, at, got, "a write went through")
	}
}

// Who does not get to know it is told so, and is not kept waiting.
func TestGenerationIsNotKnown(t *testing.T) {
	t.Parallel()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, policydb.Schema)
	s := newest.New(o.DB, nil, connect(t, o.DB))
	_, err := s.Generation(t.Context())
	require.NoError(t, err)
	o.StopDB()
	_, err = s.Generation(t.Context())
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Generation(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
