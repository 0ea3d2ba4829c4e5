package census

import (
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// One question about services of one family: what rules and guards say of two classes.

// question is what is asked, and what is known of it by now.
type question struct {
	c      *Census
	family int
	asked  explain.Services
	sides  [2]side // ingress, egress
}

// side is what the rules of one direction admit of a question.
type side struct {
	offers map[int32][]rule // by rule set: those that admit something of it
	known  map[[2]int32]explain.Services
}

func (c *Census) question(f int, asked explain.Services) *question {
	q := &question{c: c, family: f, asked: asked}
	for n := range q.sides {
		q.sides[n] = side{map[int32][]rule{}, map[[2]int32]explain.Services{}}
	}
	return q
}

// pair asks about two classes; nothing is asked about two that are both outside.
func (q *question) pair(a, b *class) pair {
	if a.isOutside && b.isOutside {
		return pair{}
	}
	out := pair{family: q.family, from: a, to: b, asked: q.asked}
	if out.guard = q.c.guard(a, b, q.family); out.guard == explain.Denied {
		return out
	}
	out.passes = q.admitted(ingress, b.rules, a.sig)
	if out.denies = "ingress"; len(out.passes) > 0 {
		out.denies = "egress"
		theirs := q.admitted(egress, a.rules, b.sig)
		switch {
		case isAll(theirs, q.asked):
		case isAll(out.passes, q.asked):
			out.passes = theirs
		default:
			out.passes = out.passes.Intersect(theirs)
		}
	}
	out.verdict = out.guard
	switch {
	case len(out.passes) == 0:
		out.verdict = explain.Denied
	case !isAll(out.passes, q.asked):
		out.verdict = explain.Partly
	}
	return out
}

// isAll says whether a part of what is asked is all of it.
func isAll(part, asked explain.Services) bool { return slices.Equal(part, asked) }

// The numbers of the sides.
const (
	ingress = iota
	egress
)

// admitted returns what the rules of a set admit of the question, to or from a peer.
func (q *question) admitted(direction int, set, peer int32) explain.Services {
	if set == 0 || direction == egress && q.c.setRules[set].isOpen {
		return q.asked
	}
	s := &q.sides[direction]
	key := [2]int32{set, peer}
	if known, ok := s.known[key]; ok {
		return known
	}
	var out explain.Services
	has := q.c.sigPeers[peer]
	for _, r := range q.offers(direction, set) {
		if slices.ContainsFunc(r.peers, func(p int32) bool { return contains(has, p) }) {
			if out == nil {
				out = r.services[q.family]
				continue
			}
			out = out.Union(r.services[q.family])
		}
	}
	s.known[key] = out
	return out
}

func contains(sorted []int32, p int32) bool {
	_, ok := slices.BinarySearch(sorted, p)
	return ok
}

// offers returns the rules of a set that admit something of the question, and what.
func (q *question) offers(direction int, set int32) []rule {
	s := &q.sides[direction]
	if known, ok := s.offers[set]; ok {
		return known
	}
	out := []rule{}
	for _, g := range q.c.setRules[set].groups {
		list := q.c.rules[g].ingress
		if direction == egress {
			list = q.c.rules[g].egress
		}
		for _, r := range list {
			if both := r.services[q.family].Intersect(q.asked); len(both) > 0 {
				r.services[q.family] = both
				out = append(out, r)
			}
		}
	}
	s.offers[set] = out
	return out
}

// guardKey is what the guards tell pairs of endpoints apart by.
type guardKey struct {
	family       int
	from, to     int32 // special endpoints; -1 = plain, -2 = plain and outside
	fromAt, toAt string
}

// guard says by how many ways the guards let a packet pass: all, some or none.
func (c *Census) guard(a, b *class, f int) explain.Outcome {
	key := guardKey{f, c.kindOf(a), c.kindOf(b), a.place, b.place}
	if known, ok := c.guards[key]; ok {
		return known
	}
	from, to := c.sample(a, b)
	r := c.reader.Route(from, to, explain.Ask(policy.Service{Protocol: policy.TCP,
		Ports: policy.PortRange{First: 80, Last: 80}}), c.via...)
	out := explain.Denied
	if r.Guard == "" {
		out = explain.Admitted
		for _, w := range r.Ways {
			if w.Guard != "" {
				out = explain.Partly
			}
		}
	}
	c.guards[key] = out
	return out
}

func (c *Census) kindOf(l *class) int32 {
	switch {
	case c.endpoints[l.endpoints[0]].isSpecial:
		return l.endpoints[0]
	case l.isOutside:
		return -2
	}
	return -1
}

// sample returns the first pair of endpoints at different ports.
func (c *Census) sample(a, b *class) (from, to explain.Point) {
	for _, n := range a.endpoints {
		for _, m := range b.endpoints {
			if s, t := &c.endpoints[n], &c.endpoints[m]; s.port != t.port || s.port < 0 {
				return s.Point, t.Point
			}
		}
	}
	return from, to
}
