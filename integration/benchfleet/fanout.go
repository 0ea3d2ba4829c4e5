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
	EchoCPU float64 `json:"echo_cpu_ms"`
	Bytes   float64 `json:"bytes"`         // of a change, to each client
	Rate    float64 `json:"changes_per_s"` // one after the other, until the last client has the last
	Server  int64   `json:"server_resident"`
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
		sources := []*server{m}
		for i := range relays {
			r, err := newRelay(ctx, s, m)
			if err != nil {
				return err
			}
			sources = append(sources[:i], r)
		}
		a, err := newAudience(ctx, s, n, sources...)
		if err != nil {
			return err
		}
		h, err := newHand(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		return f.measure(ctx, m, a, h, changes)
	})
	return f, err
}

func (f *Fan) measure(ctx context.Context, m *server, a *audience, h *hand, changes int) error {
	var commits, lasts measure.Series
	bytes := a.received()
	cpu, err := spent(m.pid(), func() error {
		for n := range changes {
			next := *h
			next.generation++
			commit, last, err := a.heed(ctx, next.mark(), func() error { return h.move(ctx, n) })
			if err != nil {
				return err
			}
			commits.Add(commit)
			lasts.Add(last)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.CPU = measure.Milliseconds(cpu) / float64(changes)
	f.Bytes = float64(a.received()-bytes) / float64(changes*len(a.members))
	f.Commit, f.Last = commits.Timing(), lasts.Timing()
	if err := f.floor(ctx, m, a, max(5, changes/3)); err != nil {
		return err
	}
	if f.Rate, err = rate(ctx, a, h); err != nil {
		return err
	}
	u, err := measure.UsageOf(m.pid())
	f.Server = u.Resident
	return err
}

// floor measures as many echoes at one time.
func (f *Fan) floor(ctx context.Context, m *server, a *audience, rounds int) error {
	var echoes measure.Series
	cpu, err := spent(m.pid(), func() error {
		for range rounds {
			took, err := a.echoes(ctx)
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
	if _, _, err := a.heed(ctx, next.mark(), func() error { return h.move(ctx, n) }); err != nil {
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
