package benchfleet

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// What one change costs a server with many clients, and how soon the last of them has it, beside as
// many echoes at one time. Bench calls this.

// Fan is a number of clients.
type Fan struct {
	Clients int            `json:"clients"`
	Relays  int            `json:"relays,omitempty"`
	Commit  measure.Timing `json:"commit"`
	Last    measure.Timing `json:"last"`   // from before the commit until the last client has it
	Echoes  measure.Timing `json:"echoes"` // the floor: as many, asked and answered at one time
	// processor time of the server, of a change and of a round of echoes
	CPU     float64 `json:"server_cpu_ms"`
	EchoCPU float64 `json:"echo_cpu_ms"`   // of the server, or of one relay
	Bytes   float64 `json:"bytes"`         // of a change, to each client
	Rate    float64 `json:"changes_per_s"` // one after the other, until the last client has the last
	Server  int64   `json:"server_resident"`
	// of a relay, where there are some
	RelayCPU float64 `json:"relay_cpu_ms,omitempty"`
	Relay    int64   `json:"relay_resident,omitempty"`
}

// Ratio is how many rounds of echoes it takes until the last client has a change.
func (f Fan) Ratio() float64 { return f.Last.Median / max(f.Echoes.Median, 1e-9) }

// rateTime is how long changes are made one after the other.
const rateTime = 3 * time.Second

// fan measures n clients of one server, or of relays of it.
func fan(ctx context.Context, w world, n, relays, changes int) (f Fan, err error) {
	f = Fan{Clients: n, Relays: relays}
	err = measure.During(func(s *measure.Shim) error {
		m, err := newFilled(ctx, s, w.policy())
		if err != nil {
			return err
		}
		st := &stage{server: m}
		for range relays {
			r, err := newRelay(ctx, s, m)
			if err != nil {
				return err
			}
			st.relays = append(st.relays, r)
		}
		if st.audience, err = newAudience(ctx, s, n, st.sources()...); err != nil {
			return err
		}
		if st.by, err = newHand(ctx, s, m.endpoint); err != nil {
			return err
		}
		return f.measure(ctx, st, changes)
	})
	return f, err
}

// stage is a server, its relays, and who follows them.
type stage struct {
	server   *server
	relays   []*server
	audience *audience
	by       *hand
}

// sources are those that clients follow.
func (st *stage) sources() []*server {
	if len(st.relays) > 0 {
		return st.relays
	}
	return []*server{st.server}
}

// relayed is the processor time of all relays.
func (st *stage) relayed() (total time.Duration, err error) {
	for _, r := range st.relays {
		cpu, err := measure.CPUOf(r.pid())
		if err != nil {
			return 0, err
		}
		total += cpu
	}
	return total, nil
}

func (f *Fan) measure(ctx context.Context, st *stage, changes int) error {
	bytes := st.audience.received()
	relayed, err := st.relayed()
	if err != nil {
		return err
	}
	cpu, err := spent(st.server.pid(), func() error { return f.follow(ctx, st, changes) })
	if err != nil {
		return err
	}
	f.CPU = measure.Milliseconds(cpu) / float64(changes)
	f.Bytes = float64(st.audience.received()-bytes) / float64(changes*f.Clients)
	if after, err := st.relayed(); err != nil {
		return err
	} else if f.Relays > 0 {
		f.RelayCPU = measure.Milliseconds(after-relayed) / float64(changes*f.Relays)
	}
	if err := f.floor(ctx, st, max(5, changes/3)); err != nil {
		return err
	}
	if f.Rate, err = rate(ctx, st.audience, st.by); err != nil {
		return err
	}
	u, err := measure.UsageOf(st.server.pid())
	if f.Server = u.Resident; err == nil && f.Relays > 0 {
		u, err = measure.UsageOf(st.relays[0].pid())
		f.Relay = u.Resident
	}
	return err
}

// follow makes changes, each when all have heard of the one before.
func (f *Fan) follow(ctx context.Context, st *stage, changes int) error {
	var commits, lasts measure.Series
	for n := range changes {
		next := *st.by
		next.generation++
		commit, last, err := st.audience.heed(ctx, next.marker(), func() error {
			return st.by.move(ctx, n)
		})
		if err != nil {
			return err
		}
		commits.Add(commit)
		lasts.Add(last)
	}
	f.Commit, f.Last = commits.Timing(), lasts.Timing()
	return nil
}

// floor measures as many echoes at one time.
func (f *Fan) floor(ctx context.Context, st *stage, rounds int) error {
	var echoes measure.Series
	cpu, err := spent(st.sources()[0].pid(), func() error {
		for range rounds {
			took, err := st.audience.echoes(ctx)
			if err != nil {
				return err
			}
			echoes.Add(took)
		}
		return nil
	})
	f.Echoes, f.EchoCPU = echoes.Timing(), measure.Milliseconds(cpu)/float64(rounds)
	return err
}

// rate makes changes one after the other and returns how many a second all clients have followed.
func rate(ctx context.Context, a *audience, h *hand) (float64, error) {
	began, n := time.Now(), 0
	for ; time.Since(began) < rateTime; n++ {
		if err := h.move(ctx, n); err != nil {
			return 0, err
		}
	}
	next := *h
	next.generation++
	if _, _, err := a.heed(ctx, next.marker(), func() error { return h.move(ctx, n) }); err != nil {
		return 0, err
	}
	return float64(n+1) / time.Since(began).Seconds(), nil
}

// spent is the processor time that a process spends on something.
func spent(pid int, do func() error) (time.Duration, error) {
	before, err := measure.CPUOf(pid)
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := measure.CPUOf(pid)
	return after - before, err
}
