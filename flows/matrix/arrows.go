package matrix

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Rules as the arrows of a picture.

// Arrow is what the rules of one group say of one peer in one direction.
type Arrow struct {
	From string `json:"from"` // the name of an end; connections are opened along the arrow
	To   string `json:"to"`
	// Direction is that of the rules: of ingress they are To's, of egress From's.
	Direction string   `json:"direction"`
	Services  []string `json:"services"`
	Rules     []Rule   `json:"rules"`
	// Lacks says why nothing passes by these rules, "" if anything does.
	Lacks string `json:"lacks,omitempty"`

	services [2]explain.Services
}

// Rule is a rule and where it stands.
type Rule struct {
	Group       string `json:"group"`
	Rule        string `json:"rule"` // as [policy.Rule.String]
	At          string `json:"at"`   // file:line:column
	Description string `json:"description,omitempty"`
}

// arrows returns the arrows of all groups, in the order of the groups and of their rules.
func arrows(p *policy.Policy, m *Matrix, q Question) []Arrow {
	return arrowsWhere(p, m, func(a Arrow) bool { return narrowed(q, a) })
}

// arrowsWhere returns those arrows that are asked about; the ends and cells of these are in m.
func arrowsWhere(p *policy.Policy, m *Matrix, isAsked func(Arrow) bool) []Arrow {
	out := []Arrow{}
	names := m.peerNames()
	for _, g := range p.Groups {
		mine := len(out)
		for n := range g.Rules {
			r := &g.Rules[n]
			for _, of := range peersOf(r) {
				a := Arrow{From: names(of), To: g.Name, Direction: r.Direction.String()}
				if r.Direction == policy.Egress {
					a.From, a.To = a.To, a.From
				}
				if !isAsked(a) {
					continue
				}
				a.services = ofFamily(of, servicesOf(r))
				a.Rules = []Rule{{g.Name, r.String(), r.At.String(), r.Description}}
				out = joined(out, mine, a)
			}
		}
	}
	for n := range out {
		a := &out[n]
		from, to := m.named(a.From), m.named(a.To)
		both := from >= 0 && to >= 0 && m.Ends[from].IsDual() && m.Ends[to].IsDual()
		a.Services = Words(a.services[0], a.services[1], both)
		a.Lacks = m.lacks(a, from, to)
	}
	return out
}

func narrowed(q Question, a Arrow) bool {
	return (q.From == "" || q.From == a.From) && (q.To == "" || q.To == a.To) &&
		q.isAround(a.From, a.To)
}

// joined adds an arrow to those from a number on, or joins it to the one between the same ends.
func joined(list []Arrow, from int, a Arrow) []Arrow {
	for n := from; n < len(list); n++ {
		o := &list[n]
		if o.From == a.From && o.To == a.To && o.Direction == a.Direction {
			for v6 := range o.services {
				o.services[v6] = o.services[v6].Union(a.services[v6])
			}
			if !slices.Contains(o.Rules, a.Rules[0]) {
				o.Rules = append(o.Rules, a.Rules...)
			}
			return list
		}
	}
	return append(list, a)
}

// ofFamily leaves of services what a network's family can have.
func ofFamily(of policy.Peer, services [2]explain.Services) [2]explain.Services {
	if of.Group == "" {
		services[number(of.CIDR.Addr().Is4())] = nil
	}
	return services
}

// peerNames returns how the end is called that a peer is.
func (m *Matrix) peerNames() func(policy.Peer) string {
	networks := map[netip.Prefix]string{}
	for _, e := range slices.Backward(m.all()) {
		for _, n := range e.Networks {
			if e.Kind == Network && (len(e.Networks) == 1 || n.Bits() == 0) {
				networks[n] = e.Name
			}
		}
	}
	return func(of policy.Peer) string {
		if of.Group != "" {
			return of.Group
		}
		return networks[of.CIDR]
	}
}

// named returns the number of an end, -1 if there is none of this name.
func (m *Matrix) named(name string) int {
	return slices.IndexFunc(m.Ends, func(e End) bool { return e.Name == name })
}

// lacks says why nothing passes by an arrow.
func (m *Matrix) lacks(a *Arrow, from, to int) string {
	if from < 0 || to < 0 {
		return ""
	}
	owner, peer := m.Ends[to], m.Ends[from]
	if a.Direction == policy.Egress.String() {
		owner, peer = peer, owner
	}
	for _, e := range []End{owner, peer} {
		isSource := e.Name == peer.Name && m.isSource(e.Name)
		if e.Kind == Group && e.Addresses == (Counts{}) && !isSource {
			return "no instance of group " + e.Name + " has an address"
		}
	}
	c := m.Cell(from, to)
	some := [2]explain.Services{c.Some4, c.Some6}
	for v6, s := range a.services {
		if len(intersect(s, some[v6])) > 0 {
			return ""
		}
	}
	switch {
	case peer.Kind == Network || m.isSource(peer.Name):
		return ""
	case from == to && owner.Addresses.IPv4 <= 1 && owner.Addresses.IPv6 <= 1:
		return "group " + owner.Name + " has one member"
	case a.Direction == policy.Ingress.String():
		return "no egress rule of " + a.From + " admits it"
	}
	return "no ingress rule of " + a.To + " admits it"
}

// isSource says whether a group has external sources.
func (m *Matrix) isSource(name string) bool {
	of := sourcesName(&policy.Group{Name: name})
	return slices.ContainsFunc(m.all(),
		func(e End) bool { return e.Kind == Network && e.Name == of })
}
