//go:build integration

package integration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/example"
)

// The example policy means what a person reads in it.
func TestExamplePolicy(t *testing.T) {
	t.Parallel()
	spec, err := example.Spec(filepath.Join("..", example.PolicyFile), daemon(t))
	require.NoError(t, err)
	w := newWorld(t, spec)
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			seen, err := example.Seen(w, f)
			require.NoError(t, err)
			require.Equal(t, example.Expected(f), seen)
		})
	}
	for _, c := range example.Forgeries(w) {
		t.Run(c.Forged.Name, func(t *testing.T) {
			receives(t, w, c.Honest.From, c.Honest.Frame, c.Honest.To...)
			receives(t, w, c.Forged.From, c.Forged.Frame, c.Forged.To...)
		})
	}
}
