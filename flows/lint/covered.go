package lint

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Rules that another one of their group covers: whatever they admit, that one admits. Of two that
// admit the same, the later one is found.

// mostCandidates is how many rules one rule is held against, so that a group of very many takes no
// time. Of a group with more that could cover one, some findings may be missing.
const mostCandidates = 2000

// covering is an index of the rules of one group and direction by their peers.
type covering struct {
	byNet   map[netip.Prefix][]*rule
	byGroup map[string][]*rule
}

func (c *checker) covered(group int) {
	for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
		x := covering{map[netip.Prefix][]*rule{}, map[string][]*rule{}}
		for n := range c.rules[group] {
			if r := &c.rules[group][n]; r.Direction == d {
				x.add(r)
			}
		}
		for n := range c.rules[group] {
			r := &c.rules[group][n]
			if r.Direction != d {
				continue
			}
			if by := x.coverOf(r); by != nil {
				c.atRule(r, CoveredRule, "%s admits nothing that %s, at %s, does not admit; "+
					"remove it, or narrow the other", wording.Quote(r.String()),
					wording.Quote(by.String()), by.At)
			}
		}
	}
}

func (x *covering) add(r *rule) {
	for _, n := range r.nets {
		x.byNet[n] = append(x.byNet[n], r)
	}
	for _, g := range r.groups {
		x.byGroup[g] = append(x.byGroup[g], r)
	}
}

// coverOf returns a rule that covers another: one that is no candidate for being removed itself, if
// the two admit the same.
func (x *covering) coverOf(r *rule) *rule {
	left := mostCandidates
	for list := range x.candidates(r) {
		for _, by := range list[:min(len(list), left)] {
			if by != r && by.covers(r) && (by.nth < r.nth || !r.covers(by)) {
				return by
			}
		}
		left -= min(len(list), left)
	}
	return nil
}

// candidates yields the rules that have one peer of a rule among theirs: what covers it all does.
func (x *covering) candidates(r *rule) func(yield func([]*rule) bool) {
	return func(yield func([]*rule) bool) {
		if len(r.nets) > 0 {
			n := r.nets[0]
			for bits := n.Bits(); bits >= 0; bits-- {
				if !yield(x.byNet[netip.PrefixFrom(n.Addr(), bits).Masked()]) {
					return
				}
			}
			return
		}
		for _, g := range r.groups[:min(len(r.groups), 1)] {
			_ = yield(x.byGroup[g]) && yield(x.byNet[wholeOf[v4]]) && yield(x.byNet[wholeOf[v6]])
		}
	}
}

// wholeOf is all of a family.
var wholeOf = [...]netip.Prefix{v4: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	v6: netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

// covers says whether a rule surely admits what another of its group and direction admits.
func (r *rule) covers(o *rule) bool {
	for family := range r.services {
		if len(o.groups) == 0 && !hasFamily(o.nets, family) {
			continue // it admits nobody of the family
		}
		if len(o.services[family].Minus(r.services[family])) > 0 {
			return false
		}
	}
	for _, n := range o.nets {
		if !slices.ContainsFunc(r.nets, func(m netip.Prefix) bool { return holds(m, n) }) {
			return false
		}
	}
	return r.hasAll(o) || !slices.ContainsFunc(o.groups,
		func(g string) bool { return !slices.Contains(r.groups, g) })
}

// hasAll says whether a rule is about everybody in each family that the services of another are of.
func (r *rule) hasAll(o *rule) bool {
	for family, services := range o.services {
		if len(services) > 0 && !slices.Contains(r.nets, wholeOf[family]) {
			return false
		}
	}
	return true
}

// holds says whether a network is, or is around, another.
func holds(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
