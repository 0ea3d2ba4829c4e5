package census

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Who else is admitted: everybody and every service, but for a list.

// Entry is whom a list names, and by which services.
type Entry struct {
	Who     explain.End
	Service explain.Asked
}

// Others returns what is admitted beside a list: to an end (d is Ingress), from whomever it comes,
// or from it (Egress); of the families that are asked for. It is empty if and only if nothing else
// passes. Each kind names the services that are not in the list. The error is an [*ErrTooMany].
func (c *Census) Others(at explain.End, d policy.Direction, list []Entry,
	families [2]bool) ([]Kind, error) {
	everybody := c.crowd(explain.End{Name: explain.AnyEnd, Any: true})
	marks := c.mark(list)
	var out []Kind
	for f, asked := range families {
		if !asked {
			continue
		}
		parted := c.part(everybody, marks, f)
		any := explain.Ask(explain.AnyService()).Of(f == 1)
		from, to := parted, c.crowd(at)
		if d == policy.Egress {
			from, to = to, from
		}
		g := grouping{c: c, at: map[string]int{}}
		err := c.each(from, to, f, any, func(p pair) {
			whom := p.from
			if d == policy.Egress {
				whom = p.to
			}
			listed := explain.Services{}
			for _, n := range marks[whom.endpoints[0]] {
				listed = listed.Union(list[n].Service.Of(f == 1))
			}
			if rest := p.passes.Minus(listed); len(rest) > 0 {
				p.asked, p.passes, p.verdict = rest, rest, p.guard
				g.add(p)
			}
		})
		if err != nil {
			return nil, err
		}
		out = append(out, g.kinds()...)
	}
	slices.SortStableFunc(out, func(a, b Kind) int { return cmp.Compare(b.Pairs, a.Pairs) })
	return out[:min(len(out), MostKinds)], nil
}

// mark returns by endpoint the entries of a list that name it.
func (c *Census) mark(list []Entry) map[int32][]int {
	out := map[int32][]int{}
	for n, e := range list {
		for _, s := range c.crowd(e.Who).endpoints {
			out[s] = append(out[s], n)
		}
	}
	return out
}

// part returns a crowd whose classes of a family are each marked as a whole. What is not marked
// keeps its place.
func (c *Census) part(w *crowd, marks map[int32][]int, f int) *crowd {
	touched := map[int32]bool{}
	for s := range marks {
		if at, ok := w.at[s]; ok && at >= 0 && family(c.endpoints[s].Address) == f {
			touched[at] = true
		}
	}
	out := *w
	out.classes[f] = slices.Clone(w.classes[f])
	out.moved = map[int32]int32{}
	for at := range touched {
		l := &w.classes[f][at]
		out.classes[f][at] = class{likeness: l.likeness}
		known := map[string]int32{"": at}
		for _, s := range l.endpoints {
			key := fmt.Sprint(marks[s])
			if len(marks[s]) == 0 {
				key = ""
			}
			n, ok := known[key]
			if !ok {
				n = int32(len(out.classes[f]))
				known[key] = n
				out.classes[f] = append(out.classes[f], class{likeness: l.likeness})
			}
			if n != at {
				out.moved[s] = n
			}
			out.classes[f][n].add(s, c.endpoints[s].port)
		}
	}
	return &out
}
