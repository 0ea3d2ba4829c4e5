package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/attribution"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What a plan is. make.go makes it.

// Plan is what would change. Its JSON is part of the API: fields are added, never renamed.
type Plan struct {
	InSync bool `json:"in_sync"`
	// path of the policy that would be in force
	Policy string `json:"policy"`
	// why it is not in sync beside what follows, and what is left out
	Notes []string `json:"notes,omitempty"`
	// that this host may have another name in the policy
	Warning string `json:"warning,omitempty"`
	// ports of this host that come off the bridge though their instances stay where they are
	Leave  []explain.PortRef      `json:"leave"`
	Access *explain.AccessChanges `json:"access,omitempty"`
	// local ports that may lose a permission: each of their connections is judged again
	Cut     []string `json:"judged_again"`
	Added   FlowSet  `json:"flows_added"`
	Removed FlowSet  `json:"flows_removed"`
	// live connections that nothing admits any more
	Connections []CutConnection `json:"connections_cut"`
	// why they are not all listed: there are too many, or the switch does not say
	Unlisted string  `json:"connections_unlisted,omitempty"`
	Summary  Summary `json:"summary"`
}

// FlowSet is how many flows, and where they were asked for, which.
type FlowSet struct {
	Count int                  `json:"count"`
	Flows []attribution.Origin `json:"flows,omitempty"`
}

// Summary counts what a plan says.
type Summary struct {
	AccessLost     int `json:"access_lost"` // lines of a plan, as those that follow
	AccessGained   int `json:"access_gained"`
	PortsChanged   int `json:"ports_changed"`
	ConnectionsCut int `json:"connections_cut"`
	FlowsAdded     int `json:"flows_added"`
	FlowsRemoved   int `json:"flows_removed"`
}

// String is the last line of a plan: "1 access lost, 0 gained, 1 connection cut, 3 flows come, 5
// go".
func (s Summary) String() string {
	text := fmt.Sprintf("%d access lost, %d gained, ", s.AccessLost, s.AccessGained)
	if s.PortsChanged > 0 {
		text += wording.Count(s.PortsChanged, "port") + " not as before, "
	}
	return text + fmt.Sprintf("%s cut, %s, %d go", wording.Count(s.ConnectionsCut, "connection"),
		wording.Count(s.FlowsAdded, "flow")+" come", s.FlowsRemoved)
}

// Finish counts what the plan says, and says whether anything would change.
func (p *Plan) Finish() {
	p.Summary = Summary{ConnectionsCut: len(p.Connections), FlowsAdded: p.Added.Count,
		FlowsRemoved: p.Removed.Count}
	if p.Access != nil {
		p.Summary.AccessLost, p.Summary.AccessGained = len(p.Access.Loses), len(p.Access.Gains)
		for _, c := range p.Access.Ports {
			p.Summary.PortsChanged += len(c.Ports)
		}
	}
	p.InSync = p.Added.Count+p.Removed.Count+len(p.Notes)+len(p.Leave) == 0 &&
		(p.Access == nil || p.Access.Empty())
}

// Listing says how many flows that come, and as many that go, are told of: none, or at most a
// number.
type Listing int

// The listings that are no number.
const (
	NoFlows  Listing = 0
	AllFlows Listing = -1
)

// List counts flows and tells of as many as are asked for, each with what it is of in a program,
// which is that of an input.
func (l Listing) List(list []openflow.Flow, in flows.Input, program *flows.Compiler) FlowSet {
	set := FlowSet{Count: len(list)}
	if l == NoFlows || len(list) == 0 {
		return set
	}
	reader := attribution.New(in, program)
	for n, f := range list {
		if l != AllFlows && n == int(l) {
			break
		}
		set.Flows = append(set.Flows, reader.Read(f))
	}
	return set
}

// Unbound notes the ports of this host that the flows do not have.
func (p *Plan) Unbound(in flows.Input) {
	bound := boundPorts(in)
	for _, l := range locals(in) {
		if !bound[l.port.Name] {
			p.Notes = append(p.Notes,
				fmt.Sprintf("the flows have no port %s: what it would add is not counted", l.port.Name))
		}
	}
}

// LeftOut notes what cannot be compiled.
func (p *Plan) LeftOut(list []flows.LeftOut) {
	for _, l := range list {
		p.Notes = append(p.Notes, "not in force: "+l.String())
	}
}

func boundPorts(in flows.Input) map[string]bool {
	out := make(map[string]bool, len(in.Bindings))
	for _, b := range in.Bindings {
		out[b.Port] = true
	}
	return out
}

// local is a port of an instance of this host.
type local struct {
	instance *policy.Instance
	port     *policy.Port
}

// locals returns the ports of this host's instances, by name.
func locals(in flows.Input) []local {
	var out []local
	for _, i := range in.Policy.Instances {
		if !i.IsLocal(in.Site.Host) {
			continue
		}
		for n := range i.Ports {
			out = append(out, local{i, &i.Ports[n]})
		}
	}
	slices.SortFunc(out, func(a, b local) int { return cmp.Compare(a.port.Name, b.port.Name) })
	return out
}

// changedWords names the settings that two lists of words differ in, in whatever order.
func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// listWords joins words for a note.
func listWords(words []string) string { return strings.Join(words, ", ") }
