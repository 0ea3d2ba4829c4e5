package benchfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// A whole host: a private Open vSwitch on the dummy datapath, which is everything of it but the
// moving of packets, with the ports of the policy, and the daemon. The scenes call this.

const (
	bridge = "br-int"
	uplink = "up0"
)

// host is one host.
type host struct {
	*measure.Daemon
	vs   *sandbox.OVS
	name string
}

// newHost makes a host with the ports that a policy places on it. The daemon does not run yet.
func newHost(s *measure.Shim, program, name string, p *policy.Policy) (*host, error) {
	h := &host{vs: sandbox.Start(s, sandbox.Options{Datapath: sandbox.Dummy}), name: name}
	args := []string{"add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev",
		"fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15",
		"--", "add-port", bridge, uplink}
	for _, i := range p.Instances {
		if i.Host != name {
			continue
		}
		for n := range i.Ports {
			args = append(args, "--", "add-port", bridge, i.Ports[n].Name)
		}
	}
	h.vs.Vsctl(args...)
	var err error
	h.Daemon, err = measure.NewDaemon(s, h.vs, program, filepath.Join(h.vs.Dir, "portcullis.yaml"))
	return h, err
}

// ofFile has the daemon read the policy from a file.
func (h *host) ofFile(p *policy.Policy) error {
	file := filepath.Join(h.vs.Dir, "policy.yaml")
	if err := os.WriteFile(file, policyfile.Marshal(p), 0o600); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	return h.configure(file)
}

// newFollowing is a host whose daemon follows a policy database, and has begun.
func newFollowing(ctx context.Context, s *measure.Shim, program string, p *policy.Policy,
	endpoint string) (*host, error) {
	h, err := newHost(s, program, localHost, p)
	if err != nil {
		return nil, err
	}
	if err := h.ofDatabase(endpoint); err != nil {
		return nil, err
	}
	_, err = h.Start(ctx)
	return h, err
}

// ofDatabase has the daemon follow a policy database.
func (h *host) ofDatabase(endpoint string) error { return h.configure("ovsdb:" + endpoint) }

func (h *host) configure(where string) error {
	text := fmt.Sprintf("bridge: %s\ndatapath_type: netdev\nhost: %s\nuplinks: [%s]\npolicy: %s\n"+
		"ovsdb: %s\nopenflow: %s\napi: unix:%s\nmetrics: \"\"\nstate_dir: %s\n", bridge, h.name,
		uplink, where, h.vs.DB, h.vs.Mgmt(bridge), h.Socket(), h.state())
	return os.WriteFile(h.Settings, []byte(text), 0o600)
}

// state is where the daemon keeps policies.
func (h *host) state() string { return filepath.Join(h.vs.Dir, "state") }

// empty ends the daemon and has nothing left of what it knew and programmed.
func (h *host) empty(ctx context.Context) error {
	err := errors.Join(h.Stop(), os.RemoveAll(h.state()))
	for _, what := range []string{"del-flows", "del-meters"} {
		_, failed := h.vs.Exec(ctx, "ovs-ofctl", "-O", "OpenFlow15", what, bridge)
		err = errors.Join(err, failed)
	}
	return err
}

// restTime is how long a daemon is left alone before its memory is looked at: what a start leaves
// behind is given back some seconds after it.
const restTime = 4 * time.Second

// Footprint is what a daemon costs its host.
type Footprint struct {
	Start    measure.Timing `json:"start"`      // over an empty bridge, until the switch is programmed
	CPU      float64        `json:"cpu_s"`      // meanwhile
	Resident int64          `json:"resident"`   // bytes, when it is at rest
	Peak     int64          `json:"peak"`       //
	Idle     float64        `json:"idle_cpu_%"` // of a core
}

// footprint starts the daemon from nothing and looks at it.
func (h *host) footprint(ctx context.Context) (f Footprint, err error) {
	if err := h.empty(ctx); err != nil {
		return f, err
	}
	took, err := h.Start(ctx)
	if err != nil {
		return f, err
	}
	f.Start = measure.Series{measure.Milliseconds(took)}.Timing()
	started, err := measure.UsageOf(h.PID())
	if err != nil {
		return f, err
	}
	f.CPU = started.CPU.Seconds()
	if _, err := h.inSync(ctx); err != nil {
		return f, err
	}
	if err := pause(ctx, restTime/2); err != nil {
		return f, err
	}
	cpu, err := spent(h.PID(), func() error { return pause(ctx, restTime/2) })
	if err != nil {
		return f, err
	}
	f.Idle = 100 * cpu.Seconds() / (restTime / 2).Seconds()
	u, err := measure.UsageOf(h.PID())
	f.Resident, f.Peak = u.Resident, u.Peak
	return f, err
}

// pause lets time pass, where that is what is measured.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// between is the pause between two questions to a daemon.
const between = 20 * time.Millisecond

// inSync waits until the daemon has nothing to do.
func (h *host) inSync(ctx context.Context) (*api.Status, error) { return h.at(ctx, 0) }

// at waits until a daemon has a generation in force, or a later one, and nothing to do.
func (h *host) at(ctx context.Context, generation int) (*api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, measure.Patience)
	defer cancel()
	for {
		status, err := h.Client.Status(ctx)
		if err != nil {
			return nil, err
		}
		if status.State == agent.StateInSync && status.Policy.Generation >= generation {
			return status, nil
		}
		if err := pause(ctx, between); err != nil {
			return nil, fmt.Errorf("host %s is not at generation %d but %d, %s: %w", h.name,
				generation, status.Policy.Generation, status.Summary, err)
		}
	}
}
