package telemetry

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// What this host says to the fleet: the daemon runs it where the policy is in a database.
// Invariant: it follows the snapshots, and the loop does not know of it.

// Reporter takes what a host says of itself, and never blocks.
type Reporter interface{ Report(r statusdb.Report) }

// Self is what a daemon says of itself as long as it runs.
type Self struct {
	Version string // of Portcullis
	API     string // address and port where the API server asks it; "" = nowhere
}

// ReportToFleet reports every snapshot until ctx ends, and returns nil then.
func ReportToFleet(ctx context.Context, hub *agent.Hub, to Reporter, self Self) error {
	generation, since := 0, time.Time{}
	for {
		s, newer := hub.Watch()
		if s.Policy.Generation != generation {
			generation, since = s.Policy.Generation, time.Now()
		}
		r := report(s)
		r.Version, r.API, r.GenerationAt = self.Version, self.API, since
		to.Report(r)
		select {
		case <-newer:
		case <-ctx.Done():
			return nil
		}
	}
}

// report is what a snapshot says to the fleet.
func report(s *agent.Snapshot) statusdb.Report {
	r := statusdb.Report{Generation: s.Policy.Generation, Asked: s.Policy.Database.Asked,
		Problems: map[string]string{}}
	if s.State != agent.StateInSync {
		r.Problems["state"] = s.Summary
	}
	if d := s.Policy.Database; d.Why != "" {
		r.Problems["database"] = string(d.Standing) + ": " + d.Why
	}
	for _, p := range s.Ports {
		if p.State == agent.PortApplied {
			r.PortsBound++
		}
		r.Ports = append(r.Ports, statusdb.Port{Name: p.Identity, State: statusdb.State(p.State),
			Reason: p.Reason, Since: p.Since})
	}
	return r
}
