package agent_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// connection is what the kernel remembers of one admitted connection: the zone and the epoch it
// carries, and what was admitted.
type connection struct{ zone, epoch, service string }

// kernel remembers connections for ever, over restarts of switch and daemon: as if every admitted
// service were used at once, and no connection ever ended.
type kernel struct {
	known map[connection]bool
	wrong []string
}

var (
	classified = regexp.MustCompile(`set_field:(0x[0-9a-f]+)->reg1,set_field:(0x[0-9a-f]+)->reg2`)
	admitted   = regexp.MustCompile(`reg1=(0x[0-9a-f]+),tp_dst=(\d+)`)
)

// see looks at the flows of a moment: a connection with the present epoch of its zone passes
// unseen, so it must be one that the rules of this moment admit.
func (k *kernel) see(held []openflow.Flow) {
	epochs, services := map[string]string{}, map[string][]string{}
	for _, f := range held {
		if m := classified.FindStringSubmatch(f.Actions.String()); f.Table == 0 && m != nil {
			epochs[m[1]] = m[2]
		}
		if m := admitted.FindStringSubmatch(f.Match.String()); f.Table == 52 && m != nil {
			services[m[1]] = append(services[m[1]], m[2])
		}
	}
	for c := range k.known {
		if epochs[c.zone] == c.epoch && !slices.Contains(services[c.zone], c.service) {
			k.wrong = append(k.wrong,
				fmt.Sprintf("zone %s, epoch %s: service %s lives on; admitted is %v", c.zone,
					c.epoch, c.service, services[c.zone]))
		}
	}
	for zone, epoch := range epochs {
		for _, s := range services[zone] {
			k.known[connection{zone, epoch, s}] = true
		}
	}
}

// open puts a rule into a zone that no policy has, and sees what it admits.
func (k *kernel) open(held map[openflow.Key]openflow.Flow, zone int) {
	rogue := openflow.Flow{Table: 52, Priority: 900,
		Match:   openflow.ParseMatch(fmt.Sprintf("tcp,reg1=0x%x,tp_dst=6666", zone)),
		Actions: openflow.ParseActions("set_field:0x1/0x1->reg0"), Cookie: 1}
	held[rogue.Key()] = rogue
	k.see(slices.Collect(maps.Values(held)))
}

// remembering has a kernel remember what the flows of the world admit from now on.
func remembering(w *agenttest.World) *kernel {
	k := &kernel{known: map[connection]bool{}}
	held, _ := w.Sw.Holds()
	k.see(held)
	w.Sw.OnCommit = k.see
	return k
}

// Whatever happens, in whatever order: no connection passes that the rules of the moment do not
// admit.
func TestRevocationIsExact(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { randomFaults(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomFaults(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := agenttest.NewWorld(t, agenttest.File("a: 80 443", "b: 80"))
	k := remembering(w)
	w.Start()
	defer func() { w.Cancel() }()
	w.Settle()
	var story []string
	names := make([]string, 0, len(faults))
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	for range 40 {
		name := names[r.IntN(len(names))]
		story = append(story, name)
		if r.IntN(2) == 0 { // zones are used again, and nobody forgets anything
			w.Database.Edit(func(f *agenttest.Database) { f.Snap.LastZone = 0 })
		}
		faults[name](w, r, k)
		if r.IntN(2) == 0 {
			w.Settle()
		} else {
			w.Pass(time.Duration(r.IntN(4000)) * time.Millisecond)
		}
		if len(k.wrong) > 0 {
			t.Fatalf("seed %d: after %s:\n%s", seed, strings.Join(story, ", "),
				strings.Join(k.wrong, "\n"))
		}
	}
	calm(w)
	w.InSync()
	w.Stop()
}

// calm ends all trouble.
func calm(w *agenttest.World) {
	w.Sw.Fail()
	w.Sw.Accept()
	if w.Sw.IsDown() {
		w.Sw.Start()
	}
	w.Database.Edit(func(f *agenttest.Database) { f.Offline = false })
	w.Pass(2 * time.Minute)
}

func randomPort(r *rand.Rand) string { return string(rune('a' + r.IntN(4))) }

// faults is all that may happen.
var faults = map[string]func(*agenttest.World, *rand.Rand, *kernel){
	"policy": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		var entries []string
		for c := 'a'; c < 'e'; c++ {
			entry := string(c) + ":"
			for _, service := range []string{"80", "443", "22"} {
				if r.IntN(2) == 0 {
					entry += " " + service
				}
			}
			if r.IntN(4) > 0 {
				entries = append(entries, entry)
			}
		}
		if r.IntN(4) > 0 {
			w.Policy.Set(agenttest.File(entries...))
		} else {
			w.Policy.Write(agenttest.File(entries...)) // nobody tells
		}
	},
	"device lost": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Database.SetAbsent(randomPort(r), "No such device")
	},
	"device back": func(w *agenttest.World, r *rand.Rand,
		_ *kernel) {
		w.Database.SetPresent(randomPort(r))
	},
	"restart": func(w *agenttest.World, _ *rand.Rand, _ *kernel) { w.Stop(); w.Start() },
	"refuse": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Fail(agenttest.FaultRefuse, agenttest.FaultNone)
	},
	"full table": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Sw.Limit([]uint8{51, 52}[r.IntN(2)], r.IntN(4)-2)
	},
	"bad flows": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Sw.Refuse([]string{"tp_dst=80", "reg1=0x2,", "in_port=1,", "ct_mark"}[r.IntN(4)])
	},
	"no flows": func(w *agenttest.World, _ *rand.Rand, _ *kernel) { w.Sw.Refuse(",") },
	"room":     func(w *agenttest.World, _ *rand.Rand, _ *kernel) { w.Sw.Accept() },
	"fail before": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Fail(agenttest.FaultBefore, agenttest.FaultNone)
	},
	"fail after": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Fail(agenttest.FaultAfter, agenttest.FaultAfter, agenttest.FaultNone)
	},
	"vanish": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Fail(agenttest.FaultVanish, agenttest.FaultNone)
	},
	"stall": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Fail(agenttest.FaultStall, agenttest.FaultNone)
	},
	"database gone": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Database.Edit(func(f *agenttest.Database) { f.Offline = true })
	},
	"database back": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Database.Edit(func(f *agenttest.Database) { f.Offline = false })
	},
	"adopt": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Database.Edit(func(f *agenttest.Database) {
			if row, ok := f.Snap.Ports[randomPort(r)]; ok {
				row.Owned = false
				f.Snap.Ports[row.Name] = row
			}
		})
	},
	"switch gone": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		if !w.Sw.IsDown() {
			w.Sw.Stop()
		}
	},
	"switch back": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		if w.Sw.IsDown() {
			w.Sw.Start()
		}
	},
	"emptied": func(w *agenttest.World, _ *rand.Rand, _ *kernel) {
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { clear(held) })
	},
	"rogue rule": func(w *agenttest.World, r *rand.Rand, k *kernel) {
		zone := 1 + r.IntN(4)
		if !w.Sw.IsDown() {
			w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { k.open(held, zone) })
		}
	},
	"zone edited": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Database.Edit(func(f *agenttest.Database) {
			if row, ok := f.Snap.Ports[randomPort(r)]; ok {
				row.Zone = uint16(r.IntN(4))
				f.Snap.Ports[row.Name] = row
			}
		})
	},
	"epoch edited": func(w *agenttest.World, r *rand.Rand, _ *kernel) {
		w.Database.Edit(func(f *agenttest.Database) {
			if row, ok := f.Snap.Ports[randomPort(r)]; ok && row.Epoch > 0 {
				row.Epoch -= uint32(r.IntN(3))
				f.Snap.Ports[row.Name] = row
			}
		})
	},
}
