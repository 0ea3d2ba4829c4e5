package api_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
)

// The socket is never wider than its owner's, not for a moment, whatever the umask is: somebody who
// looks all the time sees no other mode.
func TestSocketIsNeverWide(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	var wide atomic.Uint32
	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		seen := 0
		for {
			var s syscall.Stat_t
			if syscall.Stat(path, &s) == nil {
				seen++
				wide.Or(s.Mode & 0o777 &^ 0o600)
			}
			select {
			case <-stop:
				ended <- seen
				return
			default:
			}
		}
	}()
	for _, umask := range []int{0, 0o022, 0o077} {
		old := syscall.Umask(umask)
		for range 500 {
			l, err := api.Listen(path)
			require.NoError(t, err)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			require.NoError(t, l.Close())
			require.NoFileExists(t, path)
		}
		syscall.Umask(old)
	}
	close(stop)
	require.NotZero(t, <-ended, "the observer has seen the socket")
	require.Zero(t, wide.Load(), "seen for a moment: %#o", wide.Load())
}
