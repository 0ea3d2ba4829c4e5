package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Gain is one thing that a policy adds to what another permits: the smallest that can be withheld
// by itself. Two gains of the same content are equal, wherever they are written.
type Gain struct {
	Kind  GainKind
	Group string // of the instance there is none
	What  string // the rule, the network, or the instance and all that is said of it
}

// GainKind says what a [Gain] is.
type GainKind uint8

// The kinds of gains. The zero GainKind is none.
const (
	RuleGain     GainKind = iota + 1 // a rule of a group
	SourceGain                       // an external source of a group
	OpeningGain                      // a group closes its members' egress no more
	InstanceGain                     // an instance that is new, or that changed in any way
)

// The names of groups that no file can have.
const (
	nobodyGroup = "\x00refused" // has no members
	closedGroup = "\x00closed"  // closes its members' egress
)

// Nobody is the peer of an egress rule that is withheld: the rule stays as one that admits nothing,
// because if it went altogether it could open all egress.
var Nobody = Peer{Group: nobodyGroup}

// closingRule is an egress rule that admits nothing.
func closingRule() Rule {
	return Rule{Direction: Egress, Protocol: AnyProtocol, ICMPType: AnyICMP, ICMPCode: AnyICMP,
		Peers: []Peer{Nobody}}
}

// Gains returns what a policy permits and the one before does not, in the order of the policy.
// What it takes away is no gain.
func Gains(before, after *Policy) []Gain {
	c, was := Changed(before, after), map[string]*Group{}
	for _, g := range c.GoneGroups {
		was[g.Name] = g
	}
	var out []Gain
	for _, g := range c.NewGroups {
		old := was[g.Name]
		if old == nil {
			old = &Group{}
		} else if old.restricts() && !g.restricts() {
			out = append(out, GainOfOpening(g))
		}
		known := map[string]bool{}
		for _, r := range old.Rules {
			known[r.String()] = true
		}
		for _, r := range g.Rules {
			if !known[r.String()] {
				out = append(out, GainOfRule(g, r))
			}
		}
		for _, n := range g.ExternalSources {
			if !slices.Contains(old.ExternalSources, n) {
				out = append(out, GainOfSource(g, n))
			}
		}
	}
	for _, i := range c.NewInstances {
		out = append(out, GainOfInstance(i))
	}
	return out
}

// GainOfRule is that of a rule of a group.
func GainOfRule(g *Group, r Rule) Gain { return Gain{RuleGain, g.Name, r.String()} }

// GainOfSource is that of an external source of a group.
func GainOfSource(g *Group, n netip.Prefix) Gain { return Gain{SourceGain, g.Name, n.String()} }

// GainOfOpening is that of a group which closes its members' egress no more.
func GainOfOpening(g *Group) Gain { return Gain{OpeningGain, g.Name, ""} }

// GainOfInstance is that of an instance.
func GainOfInstance(i *Instance) Gain {
	what := fmt.Sprintf("%s\x00%s\x00%q", i.Name, i.Host, i.Groups)
	for _, p := range i.Ports {
		p.At = Position{}
		what += fmt.Sprintf("\x00%+v", p)
	}
	return Gain{Kind: InstanceGain, What: what}
}

// restricts says whether the group closes its members' egress, but for what its rules admit.
func (g *Group) restricts() bool {
	return slices.ContainsFunc(g.Rules, func(r Rule) bool { return r.Direction == Egress })
}

// Withhold returns a policy without some of its gains over the one before: nobody may do under it
// what he may not do under after. What the two policies share with it is the same by pointer. A
// rule or source that is withheld is left out, also if the policy before has it; of an instance
// only that is left which is the same in both. Only trusted ports may hear more: who is not trusted
// yet asks them for servers, as any other port does.
func Withhold(before, after *Policy, out map[Gain]bool) *Policy {
	if len(out) == 0 {
		return after
	}
	w := withholding{out: out, before: before, after: after, instances: map[string]bool{}}
	for g := range out {
		w.instances[g.name()] = g.Kind == InstanceGain
	}
	result := &Policy{Groups: make([]*Group, len(after.Groups))}
	for n, g := range after.Groups {
		result.Groups[n] = w.group(g)
	}
	for _, i := range after.Instances {
		if left := w.instance(i); left != nil {
			result.Instances = append(result.Instances, left)
		}
	}
	if w.closes {
		result.Groups = append(result.Groups, &Group{Name: closedGroup,
			Rules: []Rule{closingRule()}})
	}
	return result
}

// name is that of the instance.
func (g Gain) name() string {
	for n := range len(g.What) {
		if g.What[n] == 0 {
			return g.What[:n]
		}
	}
	return g.What
}

// withholding is one call of Withhold.
type withholding struct {
	out           map[Gain]bool
	before, after *Policy
	instances     map[string]bool // names of those of which something is withheld
	closes        bool            // the closed group has members
}

func (w *withholding) group(g *Group) *Group {
	left := *g
	left.Rules, left.ExternalSources = nil, nil
	same := true
	for _, r := range g.Rules {
		if w.out[GainOfRule(g, r)] {
			same = false
			if r.Direction != Egress {
				continue
			}
			r.Peers = []Peer{Nobody}
		}
		left.Rules = append(left.Rules, r)
	}
	for _, n := range g.ExternalSources {
		if w.out[GainOfSource(g, n)] {
			same = false
			continue
		}
		left.ExternalSources = append(left.ExternalSources, n)
	}
	if w.out[GainOfOpening(g)] {
		same = false
		left.Rules = append(left.Rules, closingRule())
	}
	if same {
		return g
	}
	return &left
}

// instance returns what is left of an instance; nil = nothing.
func (w *withholding) instance(i *Instance) *Instance {
	if !w.instances[i.Name] || !w.out[GainOfInstance(i)] {
		return i
	}
	at := slices.IndexFunc(w.before.Instances, func(b *Instance) bool { return b.Name == i.Name })
	if at < 0 {
		return nil
	}
	old, left := w.before.Instances[at], *i
	left.Ports, left.Groups = nil, common(i.Groups, old.Groups)
	if closes(w.after, i.Groups) || closes(w.before, old.Groups) ||
		slices.Contains(old.Groups, closedGroup) {
		left.Groups, w.closes = append(left.Groups, closedGroup), true
	}
	for _, p := range i.Ports {
		for _, q := range old.Ports {
			if p.Name == q.Name && p.MAC == q.MAC {
				p.Addresses, p.Allowed, p.EtherTypes = common(p.Addresses, q.Addresses),
					common(p.Allowed, q.Allowed), common(p.EtherTypes, q.EtherTypes)
				p.Trusted = p.Trusted && q.Trusted
				left.Ports = append(left.Ports, p)
			}
		}
	}
	if len(left.Ports) == 0 {
		return nil
	}
	return &left
}

// closes says whether one of the named groups closes its members' egress.
func closes(p *Policy, names []string) bool {
	return slices.ContainsFunc(p.Groups, func(g *Group) bool {
		return g.restricts() && slices.Contains(names, g.Name)
	})
}

// common returns the elements of a list that another has, too.
func common[T comparable](list, other []T) []T {
	return slices.DeleteFunc(slices.Clone(list),
		func(v T) bool { return !slices.Contains(other, v) })
}

// Spelled returns what Withhold returned with names that a policy file can hold, in place of those
// of its own groups. It permits the same. What needs no other names is returned as it is.
func Spelled(p *Policy) *Policy {
	taken := map[string]bool{}
	for _, g := range p.Groups {
		taken[g.Name] = true
	}
	names := map[string]string{}
	for own, name := range map[string]string{nobodyGroup: "withheld-peers",
		closedGroup: "withheld-egress"} {
		for taken[name] {
			name += "-"
		}
		names[own] = name
	}
	out := &Policy{}
	for _, g := range p.Groups {
		left := *g
		left.Rules = slices.Clone(g.Rules)
		for n, r := range left.Rules {
			left.Rules[n].Peers = slices.Clone(r.Peers)
			for at, peer := range r.Peers {
				left.Rules[n].Peers[at].Group = cmp.Or(names[peer.Group], peer.Group)
			}
		}
		left.Name = cmp.Or(names[g.Name], g.Name)
		out.Groups = append(out.Groups, &left)
	}
	for _, i := range p.Instances {
		left := *i
		left.Groups = slices.Clone(i.Groups)
		for n, g := range left.Groups {
			left.Groups[n] = cmp.Or(names[g], g)
		}
		out.Instances = append(out.Instances, &left)
	}
	if Changed(p, out).Empty() {
		return p
	}
	out.Groups = append(out.Groups, &Group{Name: names[nobodyGroup]})
	return out
}
