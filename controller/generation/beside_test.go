package generation

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/instancefile"
)

// Files that somebody changes meanwhile are taken, and stay when the trial is taken back, but for
// those that it altered. What is not valid goes, and is kept.
func TestOthersChangesStay(t *testing.T) {
	onHost(t, func(h *host) {
		h.write("z.yaml", "z")
		h.tells()
		h.uses("a", "b", "z")
		h.write("y.yaml", "y")
		h.tells()
		h.uses("a", "b", "y", "z")
		_, err := h.Try(Request{Digest: digestOfFiles(t, map[string]string{"a.yaml": "a2",
			"c.yaml": "c", "y.yaml": "y", "z.yaml": "z"}), Confirm: time.Minute})
		require.NoError(t, err)
		h.write("a.yaml", "a2")
		h.write("b.yaml", "")
		h.write("c.yaml", "c")
		h.tells()
		h.uses("a2", "c", "y", "z")
		h.write("d.yaml", "d")  // comes
		h.write("z.yaml", "")   // goes
		h.write("y.yaml", "y2") // becomes another
		h.write("c.yaml", "c2") // is the trial's
		h.tells()
		h.uses("a2", "c2", "d", "y2")
		back := map[string]string{"a.yaml": "a", "b.yaml": "b", "d.yaml": "d", "y.yaml": "y2"}
		time.Sleep(61 * time.Second)
		h.uses("a", "b", "d", "y2")
		h.holds(back)
		require.NoError(t, h.failure())
		require.Nil(t, h.Trial())
		h.stop()
		h.start()
		h.uses("a", "b", "d", "y2")
	})
}

// Who changes an instance in the very moment when a trial ends does so before the files of before
// are written back, or after: what he writes stays, and nothing of the trial is in force again by
// it.
func TestAnInstanceThatComesAsATrialEnds(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		unlock, err := instancefile.Lock(context.Background(), h.dir)
		require.NoError(t, err)
		time.Sleep(61 * time.Second)
		h.uses("a", "b")
		h.holds(tried)
		h.write("d.yaml", "d")
		h.tells()
		h.uses("a", "b")
		require.NotNil(t, h.Trial())
		h.stop() // also not by a start
		h.start()
		h.uses("a", "b")
		unlock()
		time.Sleep(3 * time.Second)
		h.uses("a", "b", "d")
		h.holds(map[string]string{"a.yaml": "a", "b.yaml": "b", "d.yaml": "d"})
		require.NoError(t, h.failure())
		require.Nil(t, h.Trial())
	})
}

// If it is not valid without the trial it is taken back with it, and kept.
func TestAnInstanceThatNeedsATrialThatEnds(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		unlock, err := instancefile.Lock(context.Background(), h.dir)
		require.NoError(t, err)
		time.Sleep(61 * time.Second)
		h.write("d.yaml", "b") // a name that the trial made free
		unlock()
		h.tells()
		time.Sleep(3 * time.Second)
		h.uses("a", "b")
		h.holds(old)
		require.Nil(t, h.Trial())
		list, err := h.store.List()
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(list, func(g history.Generation) bool {
			return g.Kind == history.Found && len(g.Files) == 3
		}), "it is kept")
	})
}

// Of files that are not valid when a trial ends, those in force count; they are kept, byte for
// byte.
func TestOthersMistakesAreKept(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		h.write("d.yaml", "d")
		h.tells()
		h.uses("a2", "c", "d")
		require.NoError(t, os.WriteFile(filepath.Join(h.dir, "e.yaml"), []byte("bad: 1\n"), 0o600))
		time.Sleep(61 * time.Second)
		h.uses("a", "b", "d")
		h.holds(map[string]string{"a.yaml": "a", "b.yaml": "b", "d.yaml": "d"})
		list, err := h.store.List()
		require.NoError(t, err)
		found := 0
		for _, g := range list {
			if g.Kind == history.Found && len(g.Files) == 4 {
				found++
			}
		}
		require.Equal(t, 1, found)
	})
}

// What came beside a trial and is not valid without it goes with it.
func TestOthersChangesThatNeedTheTrial(t *testing.T) {
	onHost(t, func(h *host) {
		h.try(time.Minute)
		h.write("d.yaml", "b") // an instance of a name that the trial made free
		h.tells()
		h.uses("a2", "c", "b")
		time.Sleep(61 * time.Second)
		h.uses("a", "b")
		h.holds(old)
		require.NoError(t, h.failure())
	})
}
