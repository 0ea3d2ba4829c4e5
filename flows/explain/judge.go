package explain

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Judgement is what the rules of one port say of a question.
type Judgement struct {
	Direction string   `json:"direction"` // ingress or egress, seen from the instance
	Instance  string   `json:"instance"`
	Port      string   `json:"port"`
	Verdict   Outcome  `json:"verdict"`
	Services  Services `json:"services"` // what is admitted of the question
	// egress: no group of the instance has an egress rule
	Open  bool     `json:"open,omitempty"`
	Rules []Admits `json:"rules,omitempty"` // that admit
	// egress: the first rule that closes it, where nothing admits
	ClosedBy *Named `json:"closed_by,omitempty"`
	Nearest  []Near `json:"nearest,omitempty"` // where not all is admitted
	Reason   string `json:"reason"`
}

// Named is a rule and where it stands.
type Named struct {
	Group string `json:"group"`
	Rule  string `json:"rule"` // as [Rule.String]
	At    string `json:"at"`   // file:line:column

	rule *policy.Rule
}

// name returns a rule of a group with its words.
func (x *explainer) name(g *policy.Group, r *policy.Rule) Named {
	n, known := x.named[r]
	if !known {
		n = Named{Group: g.Name, Rule: r.String(), At: r.At.String(), rule: r}
		x.named[r] = n
	}
	return n
}

// String returns "frontend: ingress tcp 80 from 0.0.0.0/0 (policy.yaml:6:9)".
func (n Named) String() string {
	if n.At == (policy.Position{}).String() {
		return n.Group + ": " + n.Rule
	}
	return n.Group + ": " + n.Rule + " (" + n.At + ")"
}

// Admits is a rule that admits something, and what.
type Admits struct {
	Named
	Services Services `json:"services"`
	// By is what the peer's address is of in the rule's group, where it is no address of the
	// instance's own.
	By string `json:"by,omitempty"`
}

// String returns the rule, and by what the peer is a member of its group.
func (a Admits) String() string {
	if a.By == "" {
		return a.Named.String()
	}
	return a.Named.String() + ", by " + a.By
}

// isLike says whether another judgement says the same.
func (j *Judgement) isLike(o *Judgement) bool { return reflect.DeepEqual(j, o) }

// judge asks the rules of one port about a peer.
func (x *explainer) judge(d policy.Direction, at, peer Point, asked Services) *Judgement {
	j := &Judgement{Direction: d.String(), Instance: at.Instance, Port: at.Port}
	j.Rules = x.admitting(d, at, peer.Address, asked)
	for _, a := range j.Rules {
		j.Services = j.Services.Union(a.Services)
	}
	if d == policy.Egress {
		if j.ClosedBy = x.closedBy(at); j.ClosedBy == nil {
			j.Open, j.Services = true, asked
		}
	}
	if j.Verdict = outcome(j.Services, asked); j.Verdict == Admitted {
		j.ClosedBy = nil
	} else {
		j.Nearest = x.nearest(d, at, peer, asked.Minus(j.Services))
	}
	j.Reason = j.reason(at)
	return j
}

// admitting returns the rules of a port that admit some of the services to or from an address, in
// the order of its groups.
func (x *explainer) admitting(d policy.Direction, at Point, peer netip.Addr,
	asked Services) []Admits {
	var out []Admits
	for g, r := range x.rulesOf(at, d) {
		if !x.hasPeer(r, peer) {
			continue
		}
		if s := admittedBy(*r, peer.Is6()).Intersect(asked); len(s) > 0 {
			out = append(out, Admits{x.name(g, r), s, x.memberBy(r, peer)})
		}
	}
	return out
}

// memberBy says by which network an address is of a group that a rule names: external sources, or
// what a member may use beside its own addresses. It is "" for an own address of a member, and of
// what the rule names as a network.
func (x *explainer) memberBy(r *policy.Rule, a netip.Addr) string {
	by := ""
	for _, p := range r.Peers {
		if !x.isPeer(p, a) {
			continue
		}
		if by = x.memberOf(p.Group, a); by == "" {
			return ""
		}
	}
	return by
}

// memberOf is memberBy of one group; "" = it is none.
func (x *explainer) memberOf(group string, a netip.Addr) string {
	if group == "" {
		return ""
	}
	by := ""
	for _, n := range x.beside(group) {
		if n.Network.Contains(a) && by == "" {
			by = networkText(n.Network) + " in " + n.Of
		}
	}
	if by == "" {
		return ""
	}
	for _, at := range x.index.using(a) {
		if l := x.index.placed(at); slices.Contains(l.Instance.Groups, group) && l.Port.Owns(a) {
			return ""
		}
	}
	return by
}

// networkOf is a network and what it is in: "allowed_addresses of web-1", "external_sources of
// vpn".
type networkOf struct {
	Network   netip.Prefix
	Of        string
	isMembers bool // a member may use it
}

// beside returns the networks of a group that are not its members' own addresses.
func (x *explainer) beside(group string) []networkOf {
	if known, ok := x.networks[group]; ok {
		return known
	}
	var out []networkOf
	for _, g := range x.index.groups[group] {
		for _, n := range g.ExternalSources {
			out = append(out, networkOf{n.Masked(), sourcesName(g), false})
		}
	}
	for _, n := range x.index.memberOf()[group] {
		i := x.Policy.Instances[n]
		for _, p := range i.Ports {
			for _, a := range p.Allowed {
				out = append(out, networkOf{a.Prefix.Masked(), "allowed_addresses of " + i.Name, true})
			}
		}
	}
	x.networks[group] = out
	return out
}

// sourcesName says what a group's networks are.
func sourcesName(g *policy.Group) string {
	if g.IsNetwork {
		return "network " + g.Name
	}
	return "external_sources of " + g.Name
}

// rulesOf returns the rules of one direction of a port's groups.
func (x *explainer) rulesOf(at Point,
	d policy.Direction) func(yield func(*policy.Group, *policy.Rule) bool) {
	return func(yield func(*policy.Group, *policy.Rule) bool) {
		for n, name := range at.local.Instance.Groups {
			if slices.Contains(at.local.Instance.Groups[:n], name) {
				continue
			}
			for _, g := range x.index.groups[name] {
				for n := range g.Rules {
					if r := &g.Rules[n]; r.Direction == d && !yield(g, r) {
						return
					}
				}
			}
		}
	}
}

// closedBy returns the first egress rule of a port's groups: from one on, only what a rule admits
// may leave.
func (x *explainer) closedBy(at Point) *Named {
	for g, r := range x.rulesOf(at, policy.Egress) {
		n := x.name(g, r)
		return &n
	}
	return nil
}

// reason says the judgement in one sentence.
func (j *Judgement) reason(at Point) string {
	switch {
	case j.Open:
		return "egress is open: " + groupsText(at)
	case j.Verdict == Denied && j.ClosedBy != nil:
		return "no rule admits it; egress is closed because group " + j.ClosedBy.Group +
			" has an egress rule (" + j.ClosedBy.At + ")"
	case j.Verdict == Denied && len(at.local.Instance.Groups) == 0:
		return at.Instance + " is in no group: all ingress is denied"
	case j.Verdict == Denied && len(j.Nearest) == 0:
		return "no rule of " + strings.Join(at.local.Instance.Groups, ", ") + " is about " + j.Direction +
			": all of it is denied"
	case j.Verdict == Denied:
		return "no rule admits it"
	}
	var rules []string
	for _, r := range j.Rules {
		rules = append(rules, r.String())
	}
	if j.Verdict == Partly {
		return "only " + j.Services.String() + ", by " + strings.Join(rules, "; ")
	}
	return strings.Join(rules, "; ")
}

// groupsText says that no group of the port's instance has an egress rule.
func groupsText(at Point) string {
	switch groups := at.local.Instance.Groups; len(groups) {
	case 0:
		return at.Instance + " is in no group"
	case 1:
		return "its group " + groups[0] + " has no egress rule"
	default:
		return "none of its groups " + strings.Join(groups, ", ") + " has an egress rule"
	}
}
