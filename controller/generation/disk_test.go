package generation

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config/history"
)

// A disk that is full, or can only be read, stops no policy; what was kept stays whole, and the
// policy is kept when there is room again.
func TestADiskWithoutRoomStopsNothing(t *testing.T) {
	p := newSite(t)
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(disk, 0)) })
	p.store = history.Open(filepath.Join(disk, "state"), "br-int", history.Bounds{
		Generations: 10, Bytes: 1 << 20})
	p.write(valid)
	s := p.source()
	_, _, err := s.Load()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	kept := func(count int) func() bool {
		return func() bool {
			list, err := p.store.List()
			return err == nil && len(list) == count && list[count-1].Access != nil
		}
	}
	require.Eventually(t, kept(1), time.Minute, time.Millisecond)

	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	require.NoError(t, err)
	for block := make([]byte, 512); err == nil; {
		_, err = ballast.Write(block)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, ballast.Close())
	p.write(other)
	got, _, err := s.Load()
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, names(got))
	warned := func() bool {
		entry := p.hook.LastEntry()
		return entry != nil && entry.Level == logrus.WarnLevel
	}
	require.Eventually(t, warned, time.Minute, time.Millisecond)
	last, err := p.store.Last()
	require.NoError(t, err)
	was, err := p.store.Policy(last)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(was))
	_, err = s.Try(Request{Digest: "x", Confirm: time.Minute})
	require.ErrorContains(t, err, "no space left on device", "there would be no way back")
	require.NoError(t, os.Remove(ballast.Name()))
	s.poke()
	require.Eventually(t, kept(2), time.Minute, time.Millisecond)

	remounted := func() bool { // not while something is being written
		return unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") == nil
	}
	require.Eventually(t, remounted, time.Minute, time.Millisecond)
	p.write(valid)
	got, _, err = s.Load()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(got))
	require.Eventually(t, warned, time.Minute, time.Millisecond)
	require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=256k"))
	s.poke()
	require.Eventually(t, kept(3), time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}
