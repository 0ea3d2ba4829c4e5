package attribution

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Origin is what a flow is of.
type Origin struct {
	Flow     string   `json:"flow"`         // its text
	Of       string   `json:"of,omitempty"` // who has written it; "" = the program does not have it
	Table    string   `json:"table"`
	Purpose  string   `json:"purpose"` // the question that the table answers
	Sentence string   `json:"sentence"`
	Rules    []Rule   `json:"rules"` // that it is a part of
	Ports    []string `json:"ports"` // that it names
}

// Rule is a rule of the policy.
type Rule struct {
	ID    uint32 `json:"id"`
	Group string `json:"group,omitempty"` // "" = the policy has no rule of this id
	Rule  string `json:"rule"`
	At    string `json:"at,omitempty"` // file:line:column
}

// String returns "frontend: ingress tcp 80 from 0.0.0.0/0 (policy.yaml:6:9)".
func (r Rule) String() string {
	if r.Group == "" {
		return r.Rule
	}
	return fmt.Sprintf("%s: %s (%s)", r.Group, r.Rule, r.At)
}

// Reader knows what the numbers and addresses in flows stand for.
type Reader struct {
	program *flows.Compiler
	tables  map[uint8]flows.Table
	rules   map[uint32]Rule
	zones   map[uint64]string // names of ports
	ports   map[uint64]string // "port tap-web-1" or "uplink eth1", by OpenFlow number
	macs    map[string]string // names of ports
	owner   map[string]string // instances by port
}

// New returns a reader of the flows of a program, which is that of an input, and of others for the
// same ports.
func New(in flows.Input, program *flows.Compiler) *Reader {
	r := &Reader{program: program, tables: map[uint8]flows.Table{}, rules: map[uint32]Rule{}, zones: map[uint64]string{},
		ports: map[uint64]string{},
		macs:  map[string]string{}, owner: map[string]string{}}
	for _, t := range flows.Pipeline() {
		r.tables[uint8(t.ID)] = t
	}
	for _, u := range in.Uplinks {
		r.ports[uint64(u.OFPort)] = "uplink " + u.Name
	}
	for _, b := range in.Bindings {
		r.zones[uint64(b.Zone)], r.ports[uint64(b.OFPort)] = b.Port, "port "+b.Port
	}
	ids := flows.RuleIDs(in.Policy)
	for _, g := range in.Policy.Groups {
		for _, rule := range g.Rules {
			id := ids[flows.RuleKey(g.Name, rule)]
			if _, twice := r.rules[id]; !twice {
				r.rules[id] = Rule{ID: id, Group: g.Name, Rule: rule.String(), At: rule.At.String()}
			}
		}
	}
	for _, i := range in.Policy.Instances {
		for _, p := range i.Ports {
			r.owner[p.Name] = i.Name
			if i.IsLocal(in.Site.Host) {
				r.macs[p.MAC.String()] = p.Name
			}
		}
	}
	return r
}

// Read says what a flow is of. The sentence is never empty: also of a flow that is nobody's it says
// so.
func (r *Reader) Read(f openflow.Flow) Origin {
	o := Origin{Flow: f.String(), Rules: []Rule{}, Ports: []string{}}
	table, ours := r.tables[f.Table]
	if !ours {
		o.Sentence = fmt.Sprintf(
			"Table %d is none of ours: the flow is somebody else's, and is left alone.", f.Table)
		return o
	}
	o.Table, o.Purpose = table.Name, table.Purpose
	if of, isOurs := r.program.Origin(f); isOurs {
		o.Of = of.String()
	}
	s := sentence{Reader: r, origin: &o}
	who := fmt.Sprintf("Table %d, %s: ", f.Table, table.Name)
	if f.Cookie>>48 != uint64(flows.Owner) {
		who = fmt.Sprintf("Not a flow of ours (its cookie is not), though in table %d, %s: ", f.Table,
			table.Name)
	}
	o.Sentence = who + s.match(f) + ": " + s.effect(f) + "."
	slices.Sort(o.Ports)
	o.Ports = slices.Compact(o.Ports)
	return o
}

// sentence is one flow on its way into words.
type sentence struct {
	*Reader
	origin *Origin
}

// rule names a rule and notes it.
func (s sentence) rule(id uint32) string {
	if id == flows.RuleOpen {
		return "egress is open, because no group of the instance has an egress rule"
	}
	r, ok := s.rules[id]
	if !ok {
		r = Rule{ID: id, Rule: fmt.Sprintf("rule %d, which the policy does not have", id)}
	}
	s.origin.Rules = append(s.origin.Rules, r)
	return r.String()
}

// zone names the port of a zone and notes it.
func (s sentence) zone(n uint64) string {
	name, ok := s.zones[n]
	if !ok {
		return fmt.Sprintf("zone %#x (of no port)", n)
	}
	return s.named(name)
}

// number names the port of an OpenFlow number and notes it.
func (s sentence) number(n uint64, text string) string {
	name, ok := s.ports[n]
	if !ok {
		return "OpenFlow port " + text + " (none that we know)"
	}
	if port, ok := strings.CutPrefix(name, "port "); ok {
		return s.named(port)
	}
	s.origin.Ports = append(s.origin.Ports, strings.TrimPrefix(name, "uplink "))
	return name
}

func (s sentence) named(port string) string {
	s.origin.Ports = append(s.origin.Ports, port)
	return fmt.Sprintf("port %s of %s", port, s.owner[port])
}

// mac returns a MAC with whose it is.
func (s sentence) mac(text string) string {
	switch name, ok := s.macs[text]; {
	case ok:
		return text + " of " + name
	case text == policy.BroadcastMAC.String():
		return "broadcast"
	}
	return text
}
