package statusdb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What hosts say, held against the policy: is a generation in force everywhere? The commands status
// --all and apply --wait and the API ask. Invariant: a host that has a port and did not answer is
// always named.

// Standing says in one word how a host stands to a generation.
type Standing string

// The standings, from the worst to the best.
const (
	Never  Standing = "never seen" // the policy has ports on it, and it has not said anything
	Silent Standing = "silent"     // it has not said anything for SilentAfter
	Late   Standing = "late"       // it has an earlier generation in force
	InTime Standing = "in force"   // it has the generation in force, or a later one
)

// Of is a host, and how it stands.
type Of struct {
	Host
	Standing Standing `json:"standing"`
	Why      string   `json:"why,omitempty"` // it does not have the generation in force
	// Ports that the policy has on it, also those that are about to move there.
	PortsPlaced int `json:"ports_placed"`
	Errors      int `json:"ports_in_error"`
}

// Fleet is how all hosts stand to a generation.
type Fleet struct {
	Generation  int       `json:"generation"`
	Hosts       []Of      `json:"hosts"`                 // by name
	Unreachable []Silence `json:"unreachable,omitempty"` // servers that did not answer
}

// Missing are the hosts that have a port and do not have the generation in force.
func (f Fleet) Missing() []Of {
	return slices.DeleteFunc(slices.Clone(f.Hosts), func(h Of) bool {
		return h.PortsPlaced == 0 || h.Standing == InTime
	})
}

// keptFor is how long a host is told of that no port is placed on and that is silent.
const keptFor = 24 * time.Hour

// fleetOf holds what hosts say against a policy.
func fleetOf(p *policy.Policy, generation int, hosts []Host, now time.Time) Fleet {
	f := Fleet{Generation: generation, Hosts: []Of{}}
	placed := placedPorts(p)
	for _, h := range hosts {
		of := Of{Host: h, PortsPlaced: placed[h.Name]}
		delete(placed, h.Name)
		if of.PortsPlaced == 0 && now.Sub(h.SeenAt) > keptFor {
			continue // it was renamed, or is no more
		}
		for _, port := range h.Ports {
			if port.State == Error {
				of.Errors++
			}
		}
		of.Standing, of.Why = h.standing(generation, now)
		f.Hosts = append(f.Hosts, of)
	}
	for _, name := range slices.Sorted(maps.Keys(placed)) {
		f.Hosts = append(f.Hosts, Of{Host: Host{Name: name}, PortsPlaced: placed[name],
			Standing: Never, Why: "it has not said anything"})
	}
	slices.SortFunc(f.Hosts, func(a, b Of) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

// placedPorts counts the ports of each host.
func placedPorts(p *policy.Policy) map[string]int {
	out := map[string]int{}
	for host, instances := range edit.Hosts(p) {
		for _, i := range instances {
			if host != "" && len(i.Ports) > 0 {
				out[host] += len(i.Ports)
			}
		}
	}
	return out
}

// standing says how a host stands to a generation, and why it does not have it in force.
func (h Host) standing(generation int, now time.Time) (Standing, string) {
	silence := now.Sub(h.SeenAt)
	switch {
	case h.SeenAt.IsZero():
		return Never, "it has not said anything since the server was started"
	case silence > SilentAfter:
		return Silent, fmt.Sprintf("it has not said anything for %s; generation %d was in force",
			silence.Round(time.Second), h.Generation)
	case h.Generation >= generation:
		return InTime, ""
	case len(h.Problems) > 0:
		return Late, fmt.Sprintf("generation %d is in force: %s", h.Generation, h.Trouble())
	case h.Generation == 0:
		return Late, "no generation is in force"
	}
	return Late, fmt.Sprintf("generation %d is in force", h.Generation)
}

// Trouble puts the problems of a host into one line.
func (h Host) Trouble() string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(h.Problems)) {
		out = append(out, h.Problems[key])
	}
	return strings.Join(out, "; ")
}

// Look asks how all hosts stand to the present generation.
func Look(ctx context.Context, s Source, c *policydb.Client) (Fleet, error) {
	p, generation, err := c.Readable()
	if err != nil {
		return Fleet{}, err
	}
	links := s.dial(ctx)
	defer links.close()
	hosts, silent := newest(links.ask(ctx, hostTable, portTable))
	f := fleetOf(p, generation, hosts, time.Now())
	f.Unreachable = silent
	return f, nil
}

const (
	// firstTurn is the first pause between two looks of Wait; they grow up to lastTurn.
	firstTurn = 10 * time.Millisecond
	lastTurn  = 500 * time.Millisecond
	// grace is how long Wait waits for a host that nobody has heard of: it may have been started
	// a moment ago, or the server was.
	grace = 6 * time.Second
)

// Wait has all hosts answer for a generation, and returns as soon as each that has a port has it in
// force, or ctx ends. A host that is silent is not waited for. Who did not answer is in what is
// returned, as [Fleet.Missing]; an error is of the policy database.
func Wait(ctx context.Context, s Source, c *policydb.Client, generation int) (Fleet, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = c.Ask(asking, generation) // who may not write gets the answers some seconds later
	links := s.dial(ctx)
	defer links.close()
	began, f := time.Now(), Fleet{Generation: generation}
	for pause := firstTurn; ; pause = min(2*pause, lastTurn) {
		p, _, err := c.Readable()
		if err != nil {
			return f, err
		}
		hosts, silent := newest(links.ask(ctx, hostTable))
		if ctx.Err() != nil && len(f.Hosts) > 0 {
			return f, nil // as it was a moment ago: what was cut off now is nobody's silence
		}
		f = fleetOf(p, generation, hosts, time.Now())
		f.Unreachable = silent
		if !f.isOpen(time.Since(began)) {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return f, nil
		case <-time.After(pause):
		}
	}
}

// isOpen says whether a host may still answer that is waited for.
func (f Fleet) isOpen(waited time.Duration) bool {
	return slices.ContainsFunc(f.Missing(), func(h Of) bool {
		return h.Standing == Late || h.Standing == Never && waited < grace
	})
}
