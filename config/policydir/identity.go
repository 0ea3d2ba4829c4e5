// Whether a file is the one that was read before, without reading it. Called by the loader.

package policydir

import (
	"io/fs"
	"syscall"
	"time"
)

// identity is what the file system says of a file without reading it. A file that is written to
// gets another one, as the kernel sets its ctime, which nobody else can set; so does a name that
// leads to another file.
type identity struct {
	device, inode uint64
	size          int64
	mode          uint32
	modified      syscall.Timespec
	changed       syscall.Timespec
}

// identify returns false for a file that has none.
func identify(info fs.FileInfo) (identity, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{device: uint64(s.Dev), inode: s.Ino, size: s.Size, mode: s.Mode,
		modified: s.Mtim,
		changed:  s.Ctim}, true
}

const (
	// clockTick is longer than the clock of the file systems stands still: 10 ms with 100 ticks a
	// second.
	clockTick = 20 * time.Millisecond
	// coarseTick is that of file systems that know whole seconds, or even ones, only.
	coarseTick = 2 * time.Second
)

// isSettled says whether a file whose identity was taken at a time gets another one if it is
// written to from then on. Right after a change the clock that stamps are taken from may not have
// moved on: such a file must be read again, whatever its identity says.
func (s identity) isSettled(taken time.Time) bool {
	tick := clockTick
	if s.changed.Nsec == 0 {
		tick = coarseTick
	}
	return taken.Sub(time.Unix(s.changed.Unix())) > tick
}
