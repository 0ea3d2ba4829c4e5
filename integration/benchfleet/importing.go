package benchfleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// How a policy in files comes into an empty database, by the command, and what the first member is
// then.
// Bench calls this.

// Import is a world.
type Import struct {
	World        world   `json:"world"`
	Members      int     `json:"members"`
	Took         float64 `json:"took_ms"`      // the whole command
	Transactions int     `json:"transactions"` // that the database made of it
	CPU          float64 `json:"command_cpu_s"`
	ServerCPU    float64 `json:"server_cpu_s"`
	Server       int64   `json:"server_resident"` // bytes, afterwards
	Peak         int64   `json:"server_peak"`
	File         int64   `json:"file"` // of the database, bytes
}

// Megabytes is the size of the database's file.
func (i Import) Megabytes() float64 { return float64(i.File) / 1e6 }

// output runs a command, and returns what it said if it fails.
func output(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.500s", c.Args[1], err, out)
	}
	return nil
}

// measureImport measures one `apply` of a whole policy to a cluster of so many members.
func measureImport(ctx context.Context, program string, w world, members int) (r Import,
	err error) {
	r.World, r.Members = w, members
	p := w.policy()
	err = measure.During(func(s *measure.Shim) error {
		cluster, err := newCluster(ctx, s, members, largeTimer)
		if err != nil {
			return err
		}
		m := cluster[0]
		file := filepath.Join(m.dir, "policy.yaml")
		if err := os.WriteFile(file, policyfile.Marshal(p), 0o600); err != nil {
			return fmt.Errorf("write the policy: %w", err)
		}
		before, err := m.index(ctx)
		if err != nil {
			return err
		}
		command := exec.CommandContext(ctx, program, "apply", "-f", file, "--db", m.endpoint,
			"-o", "json")
		began := time.Now()
		cpu, err := spent(m.pid(), func() error { return output(command) })
		if err != nil {
			return err
		}
		r.Took, r.ServerCPU = measure.Milliseconds(time.Since(began)), cpu.Seconds()
		r.CPU = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
		after, err := m.index(ctx)
		if err != nil {
			return err
		}
		r.Transactions = after - before
		return r.look(m)
	})
	return r, err
}

func (r *Import) look(m *server) error {
	u, err := measure.UsageOf(m.pid())
	if err != nil {
		return err
	}
	r.Server, r.Peak = u.Resident, u.Peak
	info, err := os.Stat(m.path(policydb.Name + ".db"))
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	r.File = info.Size()
	return nil
}
