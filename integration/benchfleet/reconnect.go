package benchfleet

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/integration/gate"
	"github.com/portcullis/portcullis/integration/measure"
)

// What it costs when a host loses its server for a while and comes back. Bench calls this.

// Reconnect is a host that was away while others changed the policy and changed it back: it has
// nothing to do.
type Reconnect struct {
	World   world   `json:"world"`
	Commits int     `json:"commits"` // meanwhile
	Rounds  int     `json:"rounds"`
	Bytes   float64 `json:"bytes"`         // that the server sends, the median
	CPU     float64 `json:"server_cpu_ms"` // of the server, the median
	Took    float64 `json:"took_ms"`       // until the host is at the generation, the pause included
	Bundles int     `json:"bundles"`       // that the host sent its switch, in all rounds
}

// rounds is how often it is measured.
const rounds = 3

func measureReconnect(ctx context.Context, program string, w world, commits int) (r Reconnect,
	err error) {
	r = Reconnect{World: w, Commits: commits, Rounds: rounds}
	p := w.policy()
	err = measure.During(func(s *measure.Shim) error {
		m, err := newFilled(ctx, s, p)
		if err != nil {
			return err
		}
		g, err := newGate(s, m.endpoint)
		if err != nil {
			return err
		}
		h, err := newFollowing(ctx, s, program, p, g.Endpoint)
		if err != nil {
			return err
		}
		by, err := newHand(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		return r.measure(ctx, m, g, h, by)
	})
	return r, err
}

func (r *Reconnect) measure(ctx context.Context, m *server, g *gate.Gate, h *host, by *hand) error {
	var bytes, cpu, took measure.Series
	for range r.Rounds {
		status, err := h.at(ctx, by.generation)
		if err != nil {
			return err
		}
		bundles := status.Counters.Applies
		g.Shut()
		for n := range r.Commits / 2 {
			member, err := by.join(ctx, fmt.Sprintf("bench-%d", n), spare(n))
			if err != nil {
				return err
			}
			if err := by.leave(ctx, member); err != nil {
				return err
			}
		}
		before := g.Received()
		began := time.Now()
		used, err := spent(m.pid(), func() error {
			g.Open()
			status, err = h.at(ctx, by.generation)
			return err
		})
		if err != nil {
			return err
		}
		took.Add(time.Since(began))
		bytes = append(bytes, float64(g.Received()-before))
		cpu.Add(used)
		r.Bundles += status.Counters.Applies - bundles
	}
	r.Bytes, r.CPU, r.Took = bytes.Median(), cpu.Median(), took.Median()
	return nil
}
