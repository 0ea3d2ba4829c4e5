package agenttest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
)

// Served is a world whose daemon runs in real time and answers on a socket.
func Served(t *testing.T, text string, with ...func(*World)) (*World, *api.Client) {
	t.Helper()
	w := NewWorld(t, text)
	for _, change := range with {
		change(w)
	}
	w.Start()
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := api.Listen(socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, l, w.Api().Handler()) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		w.Stop()
	})
	return w, api.NewClient(socket)
}

// Generous is how long a test waits for what comes by itself. It judges nobody's speed: a busy
// machine may take long.
const Generous = 2 * time.Minute
