package agent

import (
	"fmt"
	"strings"
	"time"
)

// This file is the state in one line: what `status` and systemd say first. snapshot in status.go
// calls it. Invariant: a state other than "in sync" says why, and so does a stale policy.

// summary is the state, how many ports are in force, and why it is not "in sync".
func (s *Snapshot) summary() string {
	line := string(s.State)
	if s.State != StateStarting {
		line += " (" + s.portsInForce() + ")"
	}
	if why := s.reasons(); len(why) > 0 {
		line += ": " + strings.Join(why, "; ")
	}
	return strings.ReplaceAll(line, "\n", "; ")
}

// portsInForce counts the ports that have a device, and those that are in force.
func (s *Snapshot) portsInForce() string {
	absent := s.count(PortAbsent) + s.count(PortStandby) + s.count(PortElsewhere)
	present := len(s.Ports) - absent
	switch {
	case len(s.Ports) == 0:
		return "no ports on this host"
	case absent == 0:
		return fmt.Sprintf("%d of %d %s in force", s.count(PortApplied), present, noun(present))
	}
	return fmt.Sprintf("%d of %d %s in force, %d absent", s.count(PortApplied), present,
		noun(present), absent)
}

func noun(ports int) string {
	if ports == 1 {
		return "port"
	}
	return "ports"
}

// reasons are why the state is what it is, the worst first.
func (s *Snapshot) reasons() (why []string) {
	if s.Error != "" {
		why = append(why, s.Error)
	}
	switch kept := s.Policy.Kept; {
	case kept.Generation > 0:
		why = append(why, fmt.Sprintf("the policy's files are not in force, generation %d of %s is "+
			"in their place: %s", kept.Generation, kept.Since.UTC().Format(time.RFC3339),
			firstOf(s.Policy.Errors)))
	case len(s.Policy.Errors) > 0 && s.Policy.Database.Standing != "":
		why = append(why, "rows of the policy database are not valid and are left out: "+
			firstOf(s.Policy.Errors))
	case len(s.Policy.Errors) > 0:
		why = append(why, "the policy's files are not valid, the last valid policy is in force: "+
			firstOf(s.Policy.Errors))
	}
	if d := s.Policy.Database; !d.StaleSince.IsZero() {
		why = append(why, fmt.Sprintf("%s since %s, generation %d stays in force: %s", d.Standing,
			d.StaleSince.UTC().Format(time.RFC3339), d.Generation, d.Why))
	}
	if len(s.Policy.Refused) > 0 {
		why = append(why, "left out: "+firstOf(s.Policy.Refused))
	}
	for _, state := range []PortState{PortError, PortPending} {
		var ports []string
		for _, p := range s.Ports {
			if p.State == state {
				ports = append(ports, fmt.Sprintf("port %s: %s", p.Name, p.Reason))
			}
		}
		if len(ports) > 0 {
			why = append(why, firstOf(ports))
		}
	}
	return why
}

// firstOf is the first of a list, and how many more there are.
func firstOf(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return fmt.Sprintf("%s (and %d more)", list[0], len(list)-1)
}
