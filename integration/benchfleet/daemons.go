package benchfleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// Many whole hosts on one database: each an Open vSwitch of its own and a daemon. One change is in
// force on all of them. Bench calls this. Invariant: the world is the same for every number of
// hosts, so that what a host costs can be compared.

// localPorts is how many ports each of them has.
const localPorts = 4

// Daemons is a number of hosts.
type Daemons struct {
	Hosts   int            `json:"hosts"`
	Members int            `json:"members"` // of the group that changes
	Added   measure.Timing `json:"added"`   // from before the commit until the last host has it in force
	Middle  measure.Timing `json:"middle"`  // until half of them have
	Removed measure.Timing `json:"removed"`
	// processor time of one host, of a change: its daemon, and its ovs-vswitchd and ovsdb-server
	CPU       float64 `json:"daemon_cpu_ms"`
	SwitchCPU float64 `json:"switch_cpu_ms"`
	ServerCPU float64 `json:"server_cpu_ms"` // of the policy database, of a change
	Idle      float64 `json:"idle_cpu_%"`    // of a core, a daemon that has nothing to do
	Resident  int64   `json:"resident"`      // of a daemon, the median
	Server    int64   `json:"server_resident"`
}

// crew are hosts that run.
type crew struct {
	server *server
	hosts  []*host
	by     *hand
}

// measureDaemons measures one number of hosts after the other, each with those before it.
func measureDaemons(ctx context.Context, program string, counts []int, changes int) (out []Daemons,
	err error) {
	most := slices.Max(counts)
	p := crowd(most*localPorts, localPorts)
	err = measure.During(func(s *measure.Shim) error {
		m, err := newFilled(ctx, s, p)
		if err != nil {
			return err
		}
		by, err := newHand(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		c := &crew{server: m, by: by}
		for _, n := range counts {
			for len(c.hosts) < n {
				h, err := newHost(s, program, fmt.Sprintf("hv%d", len(c.hosts)+1), p)
				if err != nil {
					return err
				}
				if err := h.ofDatabase(m.endpoint); err != nil {
					return err
				}
				if err := h.Launch(); err != nil {
					return err
				}
				c.hosts = append(c.hosts, h)
			}
			d := Daemons{Hosts: n, Members: len(p.Instances)}
			if err := d.measure(ctx, c, changes); err != nil {
				return err
			}
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

// rest is how long hosts are left alone while it is measured what they do then.
const rest = 2 * time.Second

func (d *Daemons) measure(ctx context.Context, c *crew, changes int) error {
	if _, err := c.force(ctx, time.Now()); err != nil {
		return err
	}
	if err := pause(ctx, rest); err != nil {
		return err
	}
	idle, err := c.spent(func() error { return pause(ctx, rest) })
	if err != nil {
		return err
	}
	began := time.Now()
	var added, middle, removed measure.Series
	busy, err := c.spent(func() error {
		for n := range changes {
			if err := c.comeAndGo(ctx, n, &added, &middle, &removed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Added, d.Middle, d.Removed = added.Timing(), middle.Timing(), removed.Timing()
	each := float64(len(c.hosts))
	share := time.Since(began).Seconds() / rest.Seconds()
	of := func(busy, idle time.Duration, by float64) float64 {
		return (measure.Milliseconds(busy) - share*measure.Milliseconds(idle)) / float64(2*changes) / by
	}
	d.CPU, d.SwitchCPU = of(busy.daemons, idle.daemons, each), of(busy.switches, idle.switches, each)
	d.ServerCPU = of(busy.server, idle.server, 1)
	d.Idle = 100 * idle.daemons.Seconds() / rest.Seconds() / each
	return d.memory(c)
}

func (d *Daemons) memory(c *crew) error {
	var daemons measure.Series
	for _, h := range c.hosts {
		u, err := measure.UsageOf(h.PID())
		if err != nil {
			return err
		}
		daemons = append(daemons, float64(u.Resident))
	}
	d.Resident = int64(daemons.Median())
	u, err := measure.UsageOf(c.server.pid())
	d.Server = u.Resident
	return err
}

// comeAndGo has one member join and leave, and waits each time until it is so everywhere.
func (c *crew) comeAndGo(ctx context.Context, n int, added, middle, removed *measure.Series) error {
	began := time.Now()
	member, err := c.by.join(ctx, "bench-member", spare(n))
	if err != nil {
		return err
	}
	took, err := c.force(ctx, began)
	if err != nil {
		return err
	}
	*added = append(*added, slices.Max(took))
	*middle = append(*middle, took.Median())
	began = time.Now()
	if err := c.by.leave(ctx, member); err != nil {
		return err
	}
	if took, err = c.force(ctx, began); err == nil {
		*removed = append(*removed, slices.Max(took))
	}
	return err
}

// lull is how long nobody is asked after a change: who is asked works for it.
const lull = 500 * time.Millisecond

// force waits until the present generation is in force everywhere, and returns for each host how
// long that took: until its switch had acknowledged the flows, as its daemon says.
func (c *crew) force(ctx context.Context, began time.Time) (measure.Series, error) {
	if err := pause(ctx, lull); err != nil {
		return nil, err
	}
	var took measure.Series
	for _, h := range c.hosts {
		status, err := h.at(ctx, c.by.generation)
		if err != nil {
			return nil, err
		}
		done := status.Apply.At.Add(time.Duration(status.Apply.Seconds * float64(time.Second)))
		took.Add(done.Sub(began))
	}
	return took, nil
}

// expense is processor time.
type expense struct{ daemons, switches, server time.Duration }

// spent is what all spend on something.
func (c *crew) spent(do func() error) (expense, error) {
	before, err := c.expense()
	if err != nil {
		return expense{}, err
	}
	if err := do(); err != nil {
		return expense{}, err
	}
	after, err := c.expense()
	return expense{after.daemons - before.daemons, after.switches - before.switches,
		after.server - before.server}, err
}

func (c *crew) expense() (e expense, err error) {
	add := func(to *time.Duration, pid int) {
		cpu, failed := measure.CPUOf(pid)
		if *to += cpu; failed != nil {
			err = failed
		}
	}
	for _, h := range c.hosts {
		add(&e.daemons, h.PID())
		add(&e.switches, h.vs.VswitchdPID())
		add(&e.switches, h.vs.DBPID())
	}
	add(&e.server, c.server.pid())
	return e, err
}
