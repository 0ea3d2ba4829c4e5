package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// How a status is shown. status.go asks for it.

const (
	// soon is how long status waits for what the switch has counted: it is told without, too.
	soon = 2 * time.Second
	// recount is how often status --watch asks for it.
	recount = 5 * time.Second
)

// standing is a status, and what was counted meanwhile. Its JSON is that of the status.
type standing struct {
	*api.Status
	Counts *api.Counts // nil = not known
}

// MarshalJSON leaves the counts to `top`.
func (s *standing) MarshalJSON() ([]byte, error) { return json.Marshal(s.Status) }

// newStatusView shows how things stand.
func newStatusView(f *cli.Files, client *api.Client, how asking) view[standing] {
	shown := statusText{places: newPlaces(f), verbose: how.verbose}
	counts := sometimes{client: client, format: how.out}
	return view[standing]{format: how.out, all: how.all,
		ask: func(ctx context.Context) (*standing, error) {
			status, err := readStatus(ctx, client, false, 0)
			return &standing{status, counts.of(ctx)}, err
		},
		sheet:  func(s *standing) term.Sheet { return shown.sheet(s, time.Now()) },
		advise: func(failure error) string { return f.Unanswered(failure).Error() },
		failed: func(failure error) *standing {
			return &standing{Status: &api.Status{Version: api.Version, State: "unknown",
				Error: failure.Error()}}
		},
		key: func(s *standing) string {
			text, _ := json.Marshal(s.Status) // it has come as JSON
			return string(text)
		},
	}
}

// sometimes asks for the counts now and then.
type sometimes struct {
	client *api.Client
	format term.Format
	last   *api.Counts
	asked  time.Time
}

func (s *sometimes) of(ctx context.Context) *api.Counts {
	if s.format == term.Table && time.Since(s.asked) >= recount {
		s.last, s.asked = countsSoon(ctx, s.client), time.Now()
	}
	return s.last
}

// countsSoon are the counts, nil if they are not had soon.
func countsSoon(ctx context.Context, client *api.Client) *api.Counts {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	counts, err := client.Counts(ctx)
	if err != nil || counts.At.IsZero() {
		return nil
	}
	return counts
}

// statusText puts a status into words.
type statusText struct {
	places  places
	verbose bool
}

// sheet is a status for people: trouble first.
func (t statusText) sheet(s *standing, now time.Time) term.Sheet {
	return term.Sheet{Facts: t.facts(s.Status, now),
		Grids: []term.Grid{t.ports(s.Ports, s.Counts, now)}}
}

func (t statusText) facts(s *api.Status, now time.Time) (out []term.Fact) {
	add := func(colour, label, format string, args ...any) {
		out = append(out, term.Fact{Label: label, Colour: colour,
			Text: t.places.short(fmt.Sprintf(format, args...))})
	}
	colours := map[agent.State]string{agent.StateInSync: term.Green, agent.StateDegraded: term.Red,
		agent.StatePending: term.Yellow, agent.StateStarting: term.Yellow}
	add(colours[s.State], "state", "%s%s", cmp.Or(s.Summary, string(s.State)), since(s.Since, now))
	t.trouble(s, add)
	add("", "bridge", "%s on %s, Open vSwitch %s", s.Bridge, s.Host,
		cmp.Or(s.OVS, "(version not known)"))
	if p := s.Policy; p.Digest == "" {
		add("", "policy", "%s: none in force yet", p.Source)
	} else {
		add("", "policy", "%s (%s, %s), in force since %s", p.Source,
			term.Count(p.Groups, "group", "groups"),
			term.Count(p.Instances, "instance", "instances"), term.Moment(p.LoadedAt, now))
	}
	if line := followed(s.Policy, now); line != "" {
		add(map[bool]string{true: term.Yellow}[!s.Policy.Database.StaleSince.IsZero()], "database",
			"%s", line)
	}
	add("", "last read", "%s", lastRead(s, now))
	if s.Counters.DriftRepaired > 0 {
		add("", "repaired", "%s that somebody else had changed",
			term.Count(s.Counters.DriftRepaired, "flow", "flows"))
	}
	for _, u := range s.Uplinks {
		if u.Reason != "" {
			add(term.Yellow, "uplink", "%s  %s", u.Name, u.Reason)
		} else {
			add("", "uplink", "%s  OpenFlow port %d", u.Name, u.OFPort)
		}
	}
	if t.verbose {
		t.numbers(s, now, add)
	}
	return out
}

// followed says how the policy in force stands to the policy database; "" = it is in files.
func followed(p api.PolicyStatus, now time.Time) string {
	d := p.Database
	if d.Standing == "" {
		return ""
	}
	line := fmt.Sprintf("%s: generation %d in force", d.Standing, p.Generation)
	if d.Generation != p.Generation {
		line += fmt.Sprintf(", generation %d read", d.Generation)
	}
	if !d.CommittedAt.IsZero() {
		line += ", committed " + term.Moment(d.CommittedAt, now)
	}
	if d.Offered > 0 {
		line += fmt.Sprintf("; the server has generation %d", d.Offered)
	}
	if d.Endpoint != "" {
		line += "; " + d.Endpoint
	}
	return line
}

func since(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", since " + term.Moment(at, now)
}

// trouble is what keeps the state from being "in sync", and what is likely not meant or missing
// though it is.
func (t statusText) trouble(s *api.Status, add func(colour, label, format string, args ...any)) {
	if s.State != agent.StateStarting && !s.SwitchConnected {
		add(term.Red, "error",
			"not connected to the switch: systemctl status openvswitch-switch")
	}
	if s.State != agent.StateStarting && !s.DatabaseConnected {
		add(term.Red, "error",
			"not connected to OVSDB: systemctl status ovsdb-server openvswitch-switch")
	}
	if strings.Contains(s.Error, "\n") || s.Summary == "" && s.Error != "" {
		add(term.Red, "error", "%s", s.Error)
	}
	if t := s.Trial; t != nil && t.Taken == nil {
		add(term.Yellow, "on trial", "generation %d comes back at %s: portcullis confirm keeps this one",
			t.Back, t.Until.UTC().Format(time.RFC3339))
	}
	if kept := s.Policy.Kept; kept.Generation > 0 {
		add(term.Red, "in force", "not the files, but generation %d, kept since %s (portcullis history)",
			kept.Generation, kept.Since.UTC().Format(time.RFC3339))
	}
	for _, e := range s.Policy.Errors {
		add(term.Red, "not valid", "%s", e)
	}
	for _, r := range s.Policy.Refused {
		add(term.Red, "left out", "%s", r)
	}
	for _, w := range s.Warnings {
		add(term.Yellow, "warning", "%s", w)
	}
	t.warnings(s, add)
}

// warnings are about the files and about Open vSwitch: all of them, or how many.
func (t statusText) warnings(s *api.Status,
	add func(colour, label, format string, args ...any)) {
	if t.verbose {
		for _, w := range slices.Concat(s.OVSWarnings, s.Policy.Warnings) {
			add(term.Yellow, "warning", "%s", w)
		}
		return
	}
	if n := len(s.Policy.Warnings); n > 0 {
		add(term.Yellow, "warnings", "%d about the files: portcullis check lists them, -v too", n)
	}
	if n := len(s.OVSWarnings); n > 0 {
		add(term.Yellow, "warnings", "%s of Open vSwitch %s: -v lists %s",
			term.Count(n, "known fault", "known faults"), s.OVS,
			map[bool]string{true: "it", false: "them"}[n == 1])
	}
}

// numbers are for programs and experts.
func (t statusText) numbers(s *api.Status, now time.Time,
	add func(colour, label, format string, args ...any)) {
	add("", "digest", "%s", s.Policy.Digest)
	add("", "revision", "%d", s.Revision)
	add("", "flows", "%d", s.Flows)
	if a := s.Apply; !a.At.IsZero() {
		add("", "last change", "%s: %s added, %d deleted in %.3f s%s", term.Moment(a.At, now),
			term.Count(a.Adds, "flow", "flows"), a.Deletes, a.Seconds, failed(a.Error))
	}
	c := s.Counters
	add("", "this run", "the files were read %s, %d of them not valid; %s sent to the switch, %d "+
		"refused", times(c.Reloads+c.ReloadsFailed), c.ReloadsFailed,
		term.Count(c.Applies+c.AppliesFailed, "change", "changes"), c.AppliesFailed)
}

func times(n int) string { return term.Count(n, "time", "times") }

func lastRead(s *api.Status, now time.Time) string {
	at := term.Moment(s.Policy.ReadAt, now)
	switch n := len(s.Policy.Errors); {
	case n > 0 && s.Policy.Database.Standing != "":
		return fmt.Sprintf("%s, not valid (%s, above); what is valid is in force", at,
			term.Count(n, "mistake", "mistakes"))
	case n > 0:
		return fmt.Sprintf("%s, not valid (%s, above); the policy in force stays", at,
			term.Count(n, "mistake", "mistakes"))
	case s.Policy.ReadAt.IsZero():
		return at
	}
	return at + ", valid"
}

func failed(reason string) string {
	if reason == "" {
		return ""
	}
	return ", failed: " + reason
}

// urgency orders ports: trouble first, and last those whose machine is off.
var urgency = map[agent.PortState]int{agent.PortError: -2, agent.PortPending: -1,
	agent.PortStandby: 1, agent.PortElsewhere: 1, agent.PortAbsent: 2}

// portColumns are those of the ports; what only experts need is in the middle.
func (t statusText) portColumns() []term.Column {
	columns := []term.Column{{Title: "PORT"}, {Title: "INSTANCE", Flex: true}, {Title: "STATE"},
		{Title: "ADDRESSES", Drop: 4, Flex: true, IfAny: true},
		{Title: "GROUPS", Drop: 5, Flex: true, IfAny: true},
		{Title: "CONNECTIONS", Right: true, Drop: 2, IfAny: true},
		{Title: "DENIED/S", Right: true, Drop: 1, IfAny: true}, {Title: "SINCE", Drop: 3, IfAny: true}}
	if t.verbose {
		columns = append(columns, term.Column{Title: "OFPORT", Right: true},
			term.Column{Title: "ZONE", Right: true}, term.Column{Title: "EPOCH", Right: true})
	}
	return append(columns, term.Column{Title: "REASON", Flex: true, IfAny: true})
}

// ports is a table of the ports, those with trouble first.
func (t statusText) ports(ports []api.PortStatus, counts *api.Counts, now time.Time) term.Grid {
	g := term.Grid{Of: "ports", Hint: "--all", Columns: t.portColumns(),
		Empty: "no instance of this host has a port"}
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports,
		func(a, b api.PortStatus) int { return cmp.Compare(urgency[a.State], urgency[b.State]) })
	colours := map[agent.PortState]string{agent.PortError: term.Red, agent.PortPending: term.Yellow}
	for _, p := range ports {
		live, denied := traffic(counts, p.Name)
		reason := p.Reason
		if p.State == agent.PortAbsent && !strings.HasPrefix(reason, agent.NotAdded) {
			reason = "the machine is off: there is no device " + p.Name
		}
		cells := []string{p.Name, p.Instance, string(p.State), strings.Join(p.Addresses, " "),
			strings.Join(p.Groups, " "), live, denied, term.Ago(p.Since, now)}
		if t.verbose {
			cells = append(cells, strconv.Itoa(int(p.OFPort)), strconv.Itoa(int(p.Zone)),
				strconv.Itoa(int(p.Epoch)))
		}
		g.Rows = append(g.Rows, term.Row{Colour: colours[p.State],
			Cells: append(cells, t.places.short(reason))})
	}
	return g
}

// traffic is how many connections a port has, and how many packets a second it is denied; "" = not
// known.
func traffic(counts *api.Counts, port string) (connections, denied string) {
	if counts == nil {
		return "", ""
	}
	for _, p := range counts.Ports {
		if p.Port != port {
			continue
		}
		if p.Zone != nil {
			connections = strconv.FormatUint(p.Zone.Known, 10)
		}
		if p.DeniedPerSecond != nil {
			denied = strconv.FormatFloat(*p.DeniedPerSecond, 'f', 1, 64)
		}
	}
	return connections, denied
}
