package agent_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// clockNow is the time in seconds, as revisions begin.
func clockNow() uint32 { return uint32(time.Now().Unix()) }

// store writes numbers as somebody else would; 0 = none of this kind is written.
func store(w *agenttest.World, revision, epochOfA, epochOfB uint32) {
	w.Database.Edit(func(f *agenttest.Database) {
		if revision != 0 {
			f.Snap.Revision = revision
		}
		for name, epoch := range map[string]uint32{"a": epochOfA, "b": epochOfB} {
			if row := f.Snap.Ports[name]; epoch != 0 {
				row.Epoch = epoch
				f.Snap.Ports[name] = row
			}
		}
	})
}

// Revisions go on from the database's, also where it counts beyond the present time: whether the
// switch is there before the policy is read, or after.
func TestRevisionsGoOnFromTheDatabases(t *testing.T) {
	for name, slow := range map[string]bool{"the switch first": true, "the policy first": false} {
		t.Run(name, func(t *testing.T) {
			agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
				w.Stop()
				ahead := clockNow() + 3600
				store(w, ahead, ahead, 0)
				if slow {
					w.Policy.Slow = make(chan struct{})
				}
				w.Start()
				w.Settle()
				if slow {
					close(w.Policy.Slow)
				}
				w.InSync()
				require.Equal(w.T, ahead+1, w.Database.Row("a").Epoch)
				require.Equal(w.T, ahead+1, w.Database.Revision())
			})
		})
	}
}

// A number that nobody can have counted to costs a new epoch, once, and no revocation: wherever it
// stands, and whether the daemon runs or not when it is written.
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
		for when, restart := range map[string]bool{"while it runs": false,
			"before it starts": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				agenttest.Run(t, agenttest.File("a: 80", "b: 80 443"), func(w *agenttest.World) {
					k := remembering(w)
					if restart {
						w.Stop()
					}
					store(w, c.revision, c.a, c.b)
					if restart {
						w.Start()
					}
					w.InSync()
					a, b := w.Database.Row("a").Epoch, w.Database.Row("b").Epoch
					w.Policy.Set(agenttest.File("a: 80", "b: 80"))
					w.InSync()
					require.Empty(w.T, k.wrong)
					require.Equal(w.T, a, w.Database.Row("a").Epoch)
					require.Equal(w.T, w.Database.Revision(), w.Database.Row("b").Epoch)
					require.Greater(w.T, w.Database.Row("b").Epoch, b, "it lost a permission")
					for _, n := range []uint32{a, w.Database.Row("b").Epoch} {
						require.InDelta(w.T, clockNow(), n, 100,
							"all numbers are near the clock's again")
					}
					w.Journal.Take()
					w.Pass(10 * time.Minute)
					w.Restart()
					require.Empty(w.T, w.Journal.Take(), "it is mended once")
				})
			})
		}
	}
}

// The twin: numbers less than a day ahead are kept, and so are those of this run, whatever happens
// to the clock meanwhile.
func TestNumbersThatMayBeOursAreKept(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 80 443"), func(w *agenttest.World) {
		epoch := w.Database.Row("a").Epoch
		w.Late = 30 * 24 * time.Hour
		w.Policy.Set(agenttest.File("a: 80", "b: 80"))
		w.InSync()
		require.Equal(w.T, epoch, w.Database.Row("a").Epoch)
		require.Equal(w.T, epoch+1, w.Database.Row("b").Epoch)
		w.Late = 20 * time.Hour
		w.Journal.Take()
		w.Restart()
		require.Empty(w.T, w.Journal.Take())
		require.Equal(w.T, epoch, w.Database.Row("a").Epoch)
	})
}

// A revision that is lost while the daemon runs is written again as it was, however late it is.
func TestRevisionThatIsLost(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		revision := w.Database.Revision()
		w.Pass(time.Hour)
		w.Database.Edit(func(f *agenttest.Database) { f.Snap.Revision = 0 })
		w.InSync()
		require.Equal(w.T, revision, w.Database.Revision())
		require.Equal(w.T, revision, w.Database.Row("a").Epoch)
	})
}

// A daemon that starts with a clock that went back gives every port one new epoch, of the present
// clock, and revokes as ever; so does the one that starts when the clock is right again, which has
// nothing to mend.
func TestClockThatWentBack(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Stop()
		w.Late = 10 * 365 * 24 * time.Hour
		w.Start()
		w.InSync()
		require.InDelta(w.T, clockNow()-uint32(w.Late.Seconds()), w.Database.Row("a").Epoch, 100)
		w.Policy.Set(agenttest.File("a: 80", "b: 80"))
		w.InSync()
		epoch := w.Database.Row("b").Epoch
		w.Late = 0
		w.Journal.Take()
		w.Restart()
		w.InSync()
		require.Empty(w.T, w.Journal.Take(), "small numbers are no harm")
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.InSync()
		require.Equal(w.T, epoch+1, w.Database.Row("b").Epoch)
		require.Empty(w.T, k.wrong)
	})
}

// A clock beyond the end of all numbers (2106) believes none that leaves no room, and ends no
// revocation.
func TestClockBeyondTheEnd(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Stop()
		w.Late = -200 * 365 * 24 * time.Hour
		store(w, math.MaxUint32, math.MaxUint32, math.MaxUint32)
		w.Start()
		w.InSync()
		w.Policy.Set(agenttest.File("a: 80", "b: 80"))
		w.InSync()
		store(w, math.MaxUint32, 0, math.MaxUint32-1)
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.InSync()
		require.Empty(w.T, k.wrong)
		w.Late = 0
		w.Restart()
		w.InSync()
		require.InDelta(w.T, clockNow(), w.Database.Row("b").Epoch, 100)
	})
}

// The database is lost while the kernel still knows connections of the old one, and the clock goes
// back to when those were admitted.
func TestDatabaseLostWhileTheKernelRemembers(t *testing.T) {
	for name, late := range map[string]time.Duration{"the clock goes on": 0,
		"and the clock goes back": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			agenttest.Run(t, agenttest.File("a: 80 443", "b: 80"), func(w *agenttest.World) {
				k := remembering(w)
				w.Conntrack = k
				w.Pass(10 * time.Second)
				w.Stop()
				w.Late = late
				w.Sw.Stop()
				w.Sw.Start()
				w.Database.Edit(func(f *agenttest.Database) {
					f.Number = 0
					f.Snap = bridge.Snapshot{OVSVersion: "3.1.0", Ports: map[string]bridge.Port{}}
				})
				// zones and port numbers are as they were
				w.Policy.Write(agenttest.File("a: 80", "b: 80"))
				w.Start()
				w.Pass(time.Minute)
				w.InSync()
				require.Empty(w.T, k.wrong)
			})
		})
	}
}

// Connections hands out what the kernel remembers.
func (k *kernel) Connections(_ context.Context, _ uint16,
	take func(ofswitch.Connection) bool) error {
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

// Without the connections' marks the time alone decides; and a mark that nobody can have counted to
// decides nothing.
func TestFirstRevision(t *testing.T) {
	for name, c := range map[string]struct {
		tracker *agenttest.Conntrack
		want    int
	}{
		"nothing is remembered": {&agenttest.Conntrack{}, 0},
		"an earlier epoch": {&agenttest.Conntrack{List: []ofswitch.Connection{{Zone: 1,
			Mark: 5}}}, 0},
		"a later epoch, in whatever zone": {&agenttest.Conntrack{List: []ofswitch.Connection{{Zone: 7,
			Mark: clockNow() + 600}}}, 600},
		"no epoch of ours": {&agenttest.Conntrack{List: []ofswitch.Connection{{Zone: 1,
			Mark: math.MaxUint32}}}, 0},
		"the switch does not tell it": {&agenttest.Conntrack{Err: context.DeadlineExceeded}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
				w.Stop()
				for n := range c.tracker.List {
					if c.want > 0 {
						c.tracker.List[n].Mark = clockNow() + uint32(c.want)
					}
				}
				w.Conntrack = c.tracker
				w.Database.Edit(func(f *agenttest.Database) {
					f.Snap = bridge.Snapshot{Ports: map[string]bridge.Port{}}
				})
				w.Start()
				w.Settle()
				require.Equal(w.T, clockNow()+uint32(c.want)+1, w.Database.Row("a").Epoch)
			})
		})
	}
}
