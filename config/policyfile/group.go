package policyfile

import (
	"net/netip"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// reference is a group's name where it is used.
type reference struct {
	name string
	at   strictyaml.Spot
}

// rawGroup is a group as its file has it; whether its references lead anywhere is not known yet.
type rawGroup struct {
	policy.Group
	at    strictyaml.Spot // of the name
	peers []reference
}

// readGroup reads one entry of groups.
func readGroup(n strictyaml.Node) (g rawGroup) {
	f, ok := n.Fields(groupKeys...)
	if !ok {
		return g
	}
	g.At = n.Spot().Pos
	if name, ok := f["name"]; !ok {
		n.Errorf("a group needs a name")
	} else if s, ok := readName(name); ok {
		g.Name, g.at = s, name.Spot()
	}
	if d, ok := f["description"]; ok {
		g.Description = readDescription(d)
	}
	if s, ok := f["external_sources"]; ok {
		g.ExternalSources = readNetworks(s)
	}
	if r, ok := f["rules"]; ok {
		g.Rules, g.peers = readRules(r)
	}
	return g
}

// readNetworks reads a list of CIDRs.
func readNetworks(n strictyaml.Node) (out []netip.Prefix) {
	entries, _ := n.Entries()
	seen := once[netip.Prefix]{}
	for _, e := range entries {
		if p, ok := readNetwork(e); ok && seen.first(p, e) {
			out = append(out, p)
		}
	}
	return out
}

// readRules reads a list of rules. Invalid ones are reported and left out, but the groups they name are returned too.
func readRules(n strictyaml.Node) (out []policy.Rule, peers []reference) {
	entries, _ := n.Entries()
	seen := make(map[policy.Rule]policy.Position)
	for _, e := range entries {
		before := e.Mistakes()
		r := ruleReader{Node: e}
		rule := r.read()
		peers = append(peers, r.peers...)
		if e.Mistakes() > before {
			continue
		}
		same := rule
		same.At, same.Description = policy.Position{}, ""
		if first, twice := seen[same]; twice {
			e.Warnf("the same rule is in line %d already: %s", first.Line, rule)
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
func (o once[T]) first(v T, at strictyaml.Node) bool {
	if first, twice := o[v]; twice {
		at.Warnf("%v is in this list twice; the first is in line %d, column %d", v, first.Line, first.Column)
		return false
	}
	o[v] = at.Spot().Pos
	return true
}
