package agent_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// clockNow is the time in seconds, as revisions begin.
func clockNow() uint32 { return uint32(time.Now().Unix()) }

// store writes numbers as somebody else would; 0 = none of this kind is written.
func (w *world) store(revision, epochOfA, epochOfB uint32) {
	w.database.edit(func(f *fakeDatabase) {
		if revision != 0 {
			f.snap.Revision = revision
		}
		for name, epoch := range map[string]uint32{"a": epochOfA, "b": epochOfB} {
			if row := f.snap.Ports[name]; epoch != 0 {
				row.Epoch = epoch
				f.snap.Ports[name] = row
			}
		}
	})
}

// Revisions go on from the database's, also where it counts beyond the present time: whether the switch is there before the policy is
// read, or after.
func TestRevisionsGoOnFromTheDatabases(t *testing.T) {
	for name, slow := range map[string]bool{"the switch first": true, "the policy first": false} {
		t.Run(name, func(t *testing.T) {
			run(t, file("a: 80"), func(w *world) {
				w.stop()
				ahead := clockNow() + 3600
				w.store(ahead, ahead, 0)
				if slow {
					w.policy.slow = make(chan struct{})
				}
				w.start()
				w.settle()
				if slow {
					close(w.policy.slow)
				}
				w.inSync()
				require.Equal(w.t, ahead+1, w.database.row("a").Epoch)
				require.Equal(w.t, ahead+1, w.database.revision())
			})
		})
	}
}

// A number that nobody can have counted to costs a new epoch, once, and no revocation: wherever it stands, and whether the daemon runs
// or not when it is written.
func TestNumberThatCannotBeOurs(t *testing.T) {
	const top = math.MaxUint32
	for name, c := range map[string]struct{ revision, a, b uint32 }{
		"the epoch of a port":              {a: top},
		"the epoch of the port that loses": {b: top},
		"the epochs of both":               {a: top, b: top},
		"the revision":                     {revision: top},
		"all of them":                      {revision: top, a: top, b: top},
		"one less":                         {revision: top - 1, a: top - 1, b: top - 2},
		"half of all numbers":              {revision: 1 << 31, a: 1 << 31, b: 1 << 31},
	} {
		for when, restart := range map[string]bool{"while it runs": false, "before it starts": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				run(t, file("a: 80", "b: 80 443"), func(w *world) {
					k := remembering(w)
					if restart {
						w.stop()
					}
					w.store(c.revision, c.a, c.b)
					if restart {
						w.start()
					}
					w.inSync()
					a, b := w.database.row("a").Epoch, w.database.row("b").Epoch
					w.policy.set(file("a: 80", "b: 80"))
					w.inSync()
					require.Empty(w.t, k.wrong)
					require.Equal(w.t, a, w.database.row("a").Epoch)
					require.Equal(w.t, w.database.revision(), w.database.row("b").Epoch)
					require.Greater(w.t, w.database.row("b").Epoch, b, "it lost a permission")
					for _, n := range []uint32{a, w.database.row("b").Epoch} {
						require.InDelta(w.t, clockNow(), n, 100, "all numbers are near the clock's again")
					}
					w.journal.take()
					w.pass(10 * time.Minute)
					w.restart()
					require.Empty(w.t, w.journal.take(), "it is mended once")
				})
			})
		}
	}
}

// The twin: numbers less than a day ahead are kept, and so are those of this run, whatever happens to the clock meanwhile.
func TestNumbersThatMayBeOursAreKept(t *testing.T) {
	run(t, file("a: 80", "b: 80 443"), func(w *world) {
		epoch := w.database.row("a").Epoch
		w.late = 30 * 24 * time.Hour
		w.policy.set(file("a: 80", "b: 80"))
		w.inSync()
		require.Equal(w.t, epoch, w.database.row("a").Epoch)
		require.Equal(w.t, epoch+1, w.database.row("b").Epoch)
		w.late = 20 * time.Hour
		w.journal.take()
		w.restart()
		require.Empty(w.t, w.journal.take())
		require.Equal(w.t, epoch, w.database.row("a").Epoch)
	})
}

// A daemon that starts with a clock that went back gives every port one new epoch, of the present clock, and revokes as ever; so does the
// one that starts when the clock is right again, which has nothing to mend.
func TestClockThatWentBack(t *testing.T) {
	run(t, file("a: 80", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.stop()
		w.late = 10 * 365 * 24 * time.Hour
		w.start()
		w.inSync()
		require.InDelta(w.t, clockNow()-uint32(w.late.Seconds()), w.database.row("a").Epoch, 100)
		w.policy.set(file("a: 80", "b: 80"))
		w.inSync()
		epoch := w.database.row("b").Epoch
		w.late = 0
		w.journal.take()
		w.restart()
		w.inSync()
		require.Empty(w.t, w.journal.take(), "small numbers are no harm")
		w.policy.set(file("a: 80", "b: 22"))
		w.inSync()
		require.Equal(w.t, epoch+1, w.database.row("b").Epoch)
		require.Empty(w.t, k.wrong)
	})
}

// A clock beyond the end of all numbers (2106) believes none that leaves no room, and ends no revocation.
func TestClockBeyondTheEnd(t *testing.T) {
	run(t, file("a: 80", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.stop()
		w.late = -200 * 365 * 24 * time.Hour
		w.store(math.MaxUint32, math.MaxUint32, math.MaxUint32)
		w.start()
		w.inSync()
		w.policy.set(file("a: 80", "b: 80"))
		w.inSync()
		w.store(math.MaxUint32, 0, math.MaxUint32-1)
		w.policy.set(file("a: 80", "b: 22"))
		w.inSync()
		require.Empty(w.t, k.wrong)
		w.late = 0
		w.restart()
		w.inSync()
		require.InDelta(w.t, clockNow(), w.database.row("b").Epoch, 100)
	})
}

// The database is lost while the kernel still knows connections of the old one, and the clock goes back to when those were admitted.
func TestDatabaseLostWhileTheKernelRemembers(t *testing.T) {
	for name, late := range map[string]time.Duration{"the clock goes on": 0, "and the clock goes back": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			run(t, file("a: 80 443", "b: 80"), func(w *world) {
				k := remembering(w)
				w.tracker = k
				w.pass(10 * time.Second)
				w.stop()
				w.late = late
				w.sw.stop()
				w.sw.start()
				w.database.edit(func(f *fakeDatabase) {
					f.number = 0
					f.snap = bridge.Snapshot{OVSVersion: "3.1.0", Ports: map[string]bridge.Port{}}
				})
				w.policy.write(file("a: 80", "b: 80")) // zones and port numbers are as they were
				w.start()
				w.pass(time.Minute)
				w.inSync()
				require.Empty(w.t, k.wrong)
			})
		})
	}
}

// Connections hands out what the kernel remembers.
func (k *kernel) Connections(_ context.Context, _ uint16, take func(ofswitch.Connection) bool) error {
	for c := range k.known {
		zone, _ := strconv.ParseUint(c.zone, 0, 16)
		epoch, _ := strconv.ParseUint(c.epoch, 0, 32)
		if !take(ofswitch.Connection{Zone: uint16(zone), Mark: uint32(epoch)}) {
			break
		}
	}
	return nil
}

// ForgetZone and Forget fail: this kernel remembers for ever.
func (k *kernel) ForgetZone(context.Context, uint16) error          { return errors.ErrUnsupported }
func (k *kernel) Forget(context.Context, ofswitch.Connection) error { return errors.ErrUnsupported }

// Without the connections' marks the time alone decides; and a mark that nobody can have counted to decides nothing.
func TestFirstRevision(t *testing.T) {
	for name, c := range map[string]struct {
		tracker *fakeTracker
		want    int
	}{
		"nothing is remembered":       {&fakeTracker{}, 0},
		"an earlier epoch":            {&fakeTracker{list: []ofswitch.Connection{{Zone: 1, Mark: 5}}}, 0},
		"a later epoch":               {&fakeTracker{list: []ofswitch.Connection{{Zone: 1, Mark: clockNow() + 600}}}, 600},
		"no epoch of ours":            {&fakeTracker{list: []ofswitch.Connection{{Zone: 1, Mark: math.MaxUint32}}}, 0},
		"the switch does not tell it": {&fakeTracker{err: context.DeadlineExceeded}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, file("a: 80"), func(w *world) {
				w.stop()
				for n := range c.tracker.list {
					if c.want > 0 {
						c.tracker.list[n].Mark = clockNow() + uint32(c.want)
					}
				}
				w.tracker = c.tracker
				w.database.edit(func(f *fakeDatabase) { f.snap = bridge.Snapshot{Ports: map[string]bridge.Port{}} })
				w.start()
				w.settle()
				require.Equal(w.t, clockNow()+uint32(c.want)+1, w.database.row("a").Epoch)
			})
		})
	}
}
