package benchfleet

import (
	"context"
	"strings"
	"time"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/measure"
)

// From the commit of one member of a large group to its flow in force on a host, beside a bundle of
// one flow on a connection to the same switch that is kept. Bench calls this.

// Force is a host in a crowd.
type Force struct {
	Members int            `json:"members"` // of the group
	Local   int            `json:"local"`   // of the host
	Flows   int            `json:"flows"`
	Commit  measure.Timing `json:"commit"`  // until the database has acknowledged it
	Added   measure.Timing `json:"added"`   // until the switch tells of the flow
	Removed measure.Timing `json:"removed"` //
	Floor   measure.Timing `json:"one_flow_bundle"`
	Loaded  float64        `json:"loaded_ms"` // medians: from the commit to the policy in force,
	Decided float64        `json:"decided_ms"`
	Bundled float64        `json:"bundled_ms"`
	CPU     float64        `json:"daemon_cpu_ms"` // of a change
}

// Beyond is what a change takes beyond five bundles of one flow, in ms.
func (f Force) Beyond() float64 { return f.Added.Median - 5*f.Floor.Median }

// inForce measures changes of a crowd at one host.
func inForce(ctx context.Context, program string, members, local, samples int) (f Force, err error) {
	f = Force{Members: members, Local: local}
	p := crowd(members, local)
	err = measure.During(func(s *measure.Shim) error {
		m, err := newFilled(ctx, s, p)
		if err != nil {
			return err
		}
		h, err := newFollowing(ctx, s, program, p, m.endpoint)
		if err != nil {
			return err
		}
		by, err := newHand(ctx, s, m.endpoint)
		if err != nil {
			return err
		}
		return f.measure(ctx, s, h, by, samples)
	})
	return f, err
}

// forced are the series of it.
type forced struct {
	commit, added, removed, floor measure.Series
	loaded, decided, bundled      measure.Series
}

func (f *Force) measure(ctx context.Context, s *measure.Shim, h *host, by *hand,
	samples int) error {
	ear, err := measure.Listen(s, h.vs, bridge)
	if err != nil {
		return err
	}
	floor, err := newMouth(ctx, h.vs.Mgmt(bridge))
	if err != nil {
		return err
	}
	defer floor.close()
	status, err := h.inSync(ctx)
	if err != nil {
		return err
	}
	f.Flows = status.Flows
	var all forced
	cpu, err := spent(h.PID(), func() error {
		for n := range samples {
			if err := all.sample(ctx, h, by, ear, n); err != nil {
				return err
			}
			began := time.Now()
			if err := floor.say(oneFlow(n)); err != nil {
				return err
			}
			all.floor.Add(time.Since(began))
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.Commit, f.Added, f.Removed = all.commit.Timing(), all.added.Timing(), all.removed.Timing()
	f.Floor, f.CPU = all.floor.Timing(), measure.Milliseconds(cpu)/float64(2*samples)
	f.Loaded, f.Decided, f.Bundled = all.loaded.Median(), all.decided.Median(), all.bundled.Median()
	return nil
}

// foreignTable is none of the pipeline's: what happens there is not the daemon's business.
const foreignTable = 250

// oneFlow is what the floor adds.
func oneFlow(n int) openflow.Flow {
	return openflow.Flow{Table: foreignTable, Priority: uint16(n + 1)}
}

// sample has one member come and go.
func (all *forced) sample(ctx context.Context, h *host, by *hand, ear *measure.Monitor,
	n int) error {
	address := spare(n)
	began := time.Now()
	member, err := by.join(ctx, "bench-member", address)
	if err != nil {
		return err
	}
	all.commit.Add(time.Since(began))
	shown := "=" + strings.TrimSuffix(address, "/32")
	done, err := ear.Await(ctx, "ADDED", shown)
	if err != nil {
		return err
	}
	all.added.Add(done.Sub(began))
	status, err := h.at(ctx, by.generation)
	if err != nil {
		return err
	}
	all.loaded.Add(status.Policy.LoadedAt.Sub(began))
	all.decided.Add(status.Apply.At.Sub(status.Policy.LoadedAt))
	all.bundled = append(all.bundled, 1000*status.Apply.Seconds)
	ear.Drain(calm)
	began = time.Now()
	if err := by.leave(ctx, member); err != nil {
		return err
	}
	if done, err = ear.Await(ctx, "DELETED", shown); err != nil {
		return err
	}
	all.removed.Add(done.Sub(began))
	_, err = h.at(ctx, by.generation)
	ear.Drain(calm)
	return err
}

// calm is how long nothing must have happened before the next sample.
const calm = 100 * time.Millisecond
