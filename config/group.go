package config

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// reference is a group's name where it is used.
type reference struct {
	name string
	at   spot
}

// rawGroup is a group as its file has it; whether its references lead anywhere is not known yet.
type rawGroup struct {
	policy.Group
	at    spot // of the name
	peers []reference
}

// group reads one entry of groups.
func (n node) group() (g rawGroup) {
	f, ok := n.fields(groupKeys...)
	if !ok {
		return g
	}
	g.At = n.spot().pos
	if name, ok := f["name"]; !ok {
		n.errorf("a group needs a name")
	} else if s, ok := name.name(); ok {
		g.Name, g.at = s, name.spot()
	}
	if d, ok := f["description"]; ok {
		g.Description = d.description()
	}
	if s, ok := f["external_sources"]; ok {
		g.ExternalSources = s.networks()
	}
	if r, ok := f["rules"]; ok {
		g.Rules, g.peers = r.rules()
	}
	return g
}

// networks reads a list of CIDRs.
func (n node) networks() (out []netip.Prefix) {
	entries, _ := n.entries()
	seen := once[netip.Prefix]{}
	for _, e := range entries {
		if p, ok := e.network(); ok && seen.first(p, e) {
			out = append(out, p)
		}
	}
	return out
}

// rules reads a list of rules. Invalid ones are reported and left out, but the groups they name are returned too.
func (n node) rules() (out []policy.Rule, peers []reference) {
	entries, _ := n.entries()
	seen := make(map[policy.Rule]policy.Position)
	for _, e := range entries {
		before := len(e.out.errors)
		r := ruleReader{node: e}
		rule := r.read()
		peers = append(peers, r.peers...)
		if len(e.out.errors) > before {
			continue
		}
		same := rule
		same.At, same.Description = policy.Position{}, ""
		if first, twice := seen[same]; twice {
			e.warnf("the same rule is in line %d already: %s", first.Line, rule)
		} else {
			seen[same] = rule.At
		}
		out = append(out, rule)
	}
	return out, peers
}

// once notices repetitions in a list.
type once[T comparable] map[T]policy.Position

// first says whether v was not seen before; a repetition is a warning, not an error, as it changes nothing.
func (o once[T]) first(v T, at node) bool {
	if first, twice := o[v]; twice {
		at.warnf("%v is in this list twice; the first is in line %d, column %d", v, first.Line, first.Column)
		return false
	}
	o[v] = at.spot().pos
	return true
}
