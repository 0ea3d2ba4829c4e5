package benchfleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// A server that is restarted under many clients: how soon they are back, and what it costs if they
// know nothing and read everything. Bench calls this.

// Restart is a server with clients.
type Restart struct {
	World   world   `json:"world"`
	Clients int     `json:"clients"`
	Back    float64 `json:"back_ms"`        // from the end of the server until the last follows again
	Up      float64 `json:"up_ms"`          // until the server answers: the file is read
	Resumed int     `json:"resumed"`        // clients to whom nothing had to be told again
	CPU     float64 `json:"server_cpu_s"`   // of the new server, meanwhile
	Bytes   float64 `json:"bytes"`          // to each client
	Readers int     `json:"readers"`        // that read everything, at one time
	Read    float64 `json:"read_s"`         // until the last has everything
	ReadCPU float64 `json:"read_cpu_s"`     // of the server, of one reader
	ReadMB  float64 `json:"read_megabytes"` // of one reader
	Peak    int64   `json:"server_peak"`
}

func measureRestart(ctx context.Context, w world, clients, readers int) (r Restart, err error) {
	r = Restart{World: w, Clients: clients, Readers: readers}
	err = measure.During(func(s *measure.Shim) error {
		m, err := newFilled(ctx, s, w.policy())
		if err != nil {
			return err
		}
		a, err := newAudience(ctx, s, clients, m)
		if err != nil {
			return err
		}
		by, err := newHand(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		next := *by
		next.generation++
		if _, _, err := a.heed(ctx, next.marker(), func() error { return by.move(ctx, 0) }); err != nil {
			return err
		}
		if err := r.again(ctx, m, a); err != nil {
			return err
		}
		return r.everything(ctx, m)
	})
	return r, err
}

// again restarts the server.
func (r *Restart) again(ctx context.Context, m *server, a *audience) error {
	before := a.received()
	began := time.Now()
	m.stop()
	up := make(chan error, 1)
	go func() {
		err := m.start(ctx)
		r.Up = measure.Milliseconds(time.Since(began))
		up <- err
	}()
	var resumed atomic.Int64
	err := a.each(len(a.members), func(l *listener) error {
		did, err := l.comeBack(ctx, a)
		if did {
			resumed.Add(1)
		}
		return err
	})
	r.Back = measure.Milliseconds(time.Since(began))
	if err := errors.Join(err, <-up); err != nil {
		return err
	}
	cpu, err := measure.CPUOf(m.pid())
	r.CPU, r.Resumed = cpu.Seconds(), int(resumed.Load())
	r.Bytes = float64(a.received()-before) / float64(len(a.members))
	return err
}

// The pauses of a host before it connects again.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// comeBack is what a host does when its server is gone, and says whether it could go on from where
// it was.
func (l *listener) comeBack(ctx context.Context, a *audience) (bool, error) {
	<-l.wire.lost
	for wait := minPause; ; wait = min(2*wait, maxPause) {
		if err := pause(ctx, jittered(wait)); err != nil {
			return false, err
		}
		if a.connect(ctx, l) != nil {
			continue // it is not up yet
		}
		if resumed, err := l.follow(ctx, true); err == nil {
			return resumed, nil
		}
	}
}

// everything has clients that know nothing read all rows at one time.
func (r *Restart) everything(ctx context.Context, m *server) error {
	a := &audience{}
	a.mark.Store(&[]byte{0})
	for range r.Readers {
		a.members = append(a.members, &listener{endpoint: m.endpoint, known: nothing})
	}
	defer a.close()
	began := time.Now()
	cpu, err := spent(m.pid(), func() error {
		return a.each(r.Readers, func(l *listener) error {
			if err := a.connect(ctx, l); err != nil {
				return err
			}
			_, err := l.follow(ctx, true)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("read everything: %w", err)
	}
	read := float64(r.Readers)
	r.Read, r.ReadCPU = time.Since(began).Seconds(), cpu.Seconds()/read
	r.ReadMB = float64(a.received()) / read / 1e6
	u, err := measure.UsageOf(m.pid())
	r.Peak = u.Peak
	return err
}
