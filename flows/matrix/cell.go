package matrix

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/explain"
)

// What passes from one end to another.

// offer is what one side admits: services, and whom of the other side.
type offer struct {
	peer     int32
	services explain.Services
	whom     *pointCounts
}

// column returns the cells of one receiver in which anything passes.
func (w *world) column(to int) []Cell {
	b := &w.ends[to]
	if !b.receives {
		return nil
	}
	var out []Cell
	add := func(from int, c Cell) {
		if c.From, c.To = from, to; len(c.Some4)+len(c.Some6) > 0 {
			out = append(out, c)
		}
	}
	for _, from := range w.senders(b) {
		if a := &w.ends[from]; b.Kind == Network {
			add(from, w.outward(a, b))
		} else {
			add(from, w.between(from, to))
		}
	}
	if b.Kind == Network {
		return out
	}
	for from := w.firstNetwork; from < len(w.ends); from++ {
		if a := &w.ends[from]; a.sends {
			add(from, w.inward(a, b))
		}
	}
	return out
}

// senders returns the ends with instances that may reach another at all.
func (w *world) senders(b *end) []int {
	may := make([]bool, w.firstNetwork)
	anyone := b.Kind == Network || b.counts[0][trusted].points+b.counts[1][trusted].points > 0
	for _, i := range b.ingress.all {
		for _, h := range w.peers[i.peer].hits {
			may[h.end] = true
		}
	}
	var out []int
	for n := range w.firstNetwork {
		if a := &w.ends[n]; a.sends && (anyone || may[n]) {
			out = append(out, n)
		}
	}
	return out
}

// between is the cell of two ends with instances.
func (w *world) between(from, to int) (c Cell) {
	in := w.offers(w.ends[to].ingress.all, from)
	out := w.offers(w.ends[from].egress.all, to)
	c.IPv4, c.Some4 = w.passing(from, to, in[0], out[0], 0)
	c.IPv6, c.Some6 = w.passing(from, to, in[1], out[1], 1)
	return c
}

// offers returns those entries that are about an end.
func (w *world) offers(list []entry, e int) (out [2][]offer) {
	for _, l := range list {
		whom := w.hit(l.peer, e)
		if whom == nil {
			continue
		}
		for v6 := range out {
			if len(l.services[v6]) > 0 && whom.all(v6).points > 0 {
				out[v6] = append(out[v6], offer{l.peer, l.services[v6], whom})
			}
		}
	}
	return out
}

// passing returns what passes of one family between each pair of points, and between any.
func (w *world) passing(from, to int, in, out []offer, v6 int) (all, some explain.Services) {
	a, b := &w.ends[from], &w.ends[to]
	if !a.counts.all(v6).pairsWith(b.counts.all(v6)) {
		return nil, nil
	}
	anything := w.anything[v6]
	for _, o := range out { // of senders whose egress is closed
		for _, i := range in {
			if i.whom[v6][closed].pairsWith(o.whom.judged(v6)) {
				some = some.Union(intersect(i.services, o.services))
			}
		}
		if a.counts[v6][closed].pairsWith(o.whom[v6][trusted]) {
			some = some.Union(o.services)
		}
	}
	for _, i := range in {
		if i.whom.free(v6).pairsWith(b.counts.judged(v6)) {
			some = some.Union(i.services)
		}
	}
	if a.counts.free(v6).pairsWith(b.counts[v6][trusted]) {
		some = anything
	}
	all = anything
	if bound := a.counts[v6][closed]; bound.points > 0 {
		all = intersect(all, w.every(out, b, bound, v6))
	}
	if bound := b.counts.judged(v6); bound.points > 0 {
		all = intersect(all, w.every(in, a, bound, v6))
	}
	return all, some
}

// intersect returns what is in both.
func intersect(a, b explain.Services) explain.Services {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return a.Intersect(b)
}

// every returns what is offered to each point of an end; not to those at the only port of those who
// are bound by the offers, as with it there is no pair.
func (w *world) every(offers []offer, e *end, bound count, v6 int) explain.Services {
	var whole, rest explain.Services
	total, partial := e.counts.all(v6), int32(0)
	if !bound.pairsWith(total) {
		return w.anything[v6]
	}
	for _, o := range offers {
		if n := o.whom.all(v6).points; n < total.points {
			partial += n
			rest = rest.Union(o.services)
			continue
		}
		whole = whole.Union(o.services)
	}
	if len(rest.Minus(whole)) == 0 || partial < total.points && !bound.isOne() {
		return whole
	}
	out := w.anything[v6]
	for _, at := range e.points {
		p := w.points[at]
		if family(p) != v6 || bound.isOne() && p.port == bound.port {
			continue
		}
		mine := whole
		for _, o := range offers {
			if w.holds(o.peer, at) {
				mine = mine.Union(o.services)
			}
		}
		if out = out.Intersect(mine); len(out.Minus(whole)) == 0 {
			return whole
		}
	}
	return out
}

// inward is the cell of a network and an end with instances.
func (w *world) inward(a, b *end) (c Cell) {
	all := [2]*explain.Services{&c.IPv4, &c.IPv6}
	some := [2]*explain.Services{&c.Some4, &c.Some6}
	admitted := w.covering(&b.ingress, a)
	for v6 := range all {
		if !a.has(v6) || b.counts.all(v6).points == 0 {
			continue
		}
		*all[v6], *some[v6] = admitted[v6], admitted[v6]
		if b.counts[v6][trusted].points > 0 {
			*some[v6] = w.anything[v6]
		}
		if b.counts.judged(v6).points == 0 {
			*all[v6] = w.anything[v6]
		}
	}
	return c
}

// outward is the cell of an end with instances and a network.
func (w *world) outward(a, b *end) (c Cell) {
	all := [2]*explain.Services{&c.IPv4, &c.IPv6}
	some := [2]*explain.Services{&c.Some4, &c.Some6}
	admitted := w.covering(&a.egress, b)
	for v6 := range all {
		if !b.has(v6) || a.counts.all(v6).points == 0 {
			continue
		}
		*all[v6], *some[v6] = admitted[v6], admitted[v6]
		if a.counts.free(v6).points > 0 {
			*some[v6] = w.anything[v6]
		}
		if a.counts[v6][closed].points == 0 {
			*all[v6] = w.anything[v6]
		}
	}
	return c
}

// has says whether a network has addresses of a family.
func (e *end) has(v6 int) bool {
	for _, n := range e.Networks {
		if n.Addr().Is6() == (v6 == 1) {
			return true
		}
	}
	return false
}

// covering returns what entries admit of all addresses of a network, by family.
func (w *world) covering(list *entries, network *end) (out [2]explain.Services) {
	for v6 := range out {
		first := true
		for _, n := range network.Networks {
			if n.Addr().Is6() != (v6 == 1) {
				continue
			}
			s := w.ofAll(list, n, v6)
			if !first {
				s = intersect(out[v6], s)
			}
			out[v6], first = s, false
		}
	}
	return out
}

// ofAll returns what entries admit of all of a network: those of networks that have it, and those
// of groups.
func (w *world) ofAll(list *entries, n netip.Prefix, v6 int) (out explain.Services) {
	for bits := range n.Bits() + 1 {
		wider, _ := n.Addr().Prefix(bits) // of a valid network
		for _, at := range list.networks[wider] {
			out = out.Union(list.all[at].services[v6])
		}
	}
	for _, at := range list.groups {
		if l := &list.all[at]; w.peers[l.peer].beside.ContainsPrefix(n) {
			out = out.Union(l.services[v6])
		}
	}
	return out
}
