package benchfleet

import (
	"context"

	"github.com/portcullis/portcullis/integration/measure"
)

// What following a database costs one host, beside the same policy in a file. Bench calls this.

// Host is a host in a world of a size.
type Host struct {
	World    world     `json:"world"`
	Flows    int       `json:"flows"`
	File     Footprint `json:"file"`
	Database Footprint `json:"database"`
	// what the first read of everything costs the server, and is on the wire
	ServerCPU float64 `json:"server_cpu_s"`
	Bytes     int64   `json:"bytes"`
}

// Memory is what the database costs above the file, in MiB.
func (h Host) Memory() float64 {
	return float64(h.Database.Resident-h.File.Resident) / (1 << 20)
}

// Megabytes is what the first read is on the wire.
func (h Host) Megabytes() float64 { return float64(h.Bytes) / 1e6 }

// measureHost measures one size.
func measureHost(ctx context.Context, program string, w world) (r Host, err error) {
	r.World = w
	p := w.policy()
	err = measure.During(func(s *measure.Shim) error {
		h, err := newHost(s, program, localHost, p)
		if err != nil {
			return err
		}
		if err := h.ofFile(p); err != nil {
			return err
		}
		if r.File, err = h.footprint(ctx); err != nil {
			return err
		}
		return r.follow(ctx, s, h)
	})
	return r, err
}

// follow has the host follow a database of the same policy.
func (r *Host) follow(ctx context.Context, s *measure.Shim, h *host) error {
	m, err := newFilled(ctx, s, r.World.policy())
	if err != nil {
		return err
	}
	between, err := newGate(s, m.endpoint)
	if err != nil {
		return err
	}
	if err := h.ofDatabase(between.Endpoint); err != nil {
		return err
	}
	cpu, err := spent(m.pid(), func() (err error) {
		r.Database, err = h.footprint(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.ServerCPU, r.Bytes = cpu.Seconds(), between.Received()
	status, err := h.Client.Status(ctx)
	if err != nil {
		return err
	}
	r.Flows = status.Flows
	return nil
}
