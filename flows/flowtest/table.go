package flowtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// rule is a parsed flow.
type rule struct {
	flow    openflow.Flow
	text    string
	match   match
	tests   []test
	actions []action
	clauses []clause // of a soft match; then actions is of no use
	next    *rule    // the flow with the same match and the next lower priority
}

// copy returns the rule without its place in a table; nil of nil.
func (r *rule) copy() *rule {
	if r == nil {
		return nil
	}
	c := *r
	c.next = nil
	return &c
}

func (r *rule) matches(h *headers) bool {
	for i := range r.tests {
		t := &r.tests[i]
		if v := &h[t.slot]; (v.lo^t.value.lo)&t.mask.lo != 0 || (v.hi^t.value.hi)&t.mask.hi != 0 {
			return false
		}
	}
	return true
}

// table holds the flows of one table. Of flows with one match and several priorities only the
// highest is in heads; Open vSwitch looks at the others only where the highest is a soft match that
// comes to nothing.
type table struct{ heads []*rule }

// add files the rules. It refuses a second flow of one priority and match.
func (t *table) add(rules []*rule) error {
	slices.SortStableFunc(rules,
		func(a, b *rule) int { return cmp.Compare(b.flow.Priority, a.flow.Priority) })
	last := make(map[match]*rule, len(rules))
	for _, r := range rules {
		switch above := last[r.match]; {
		case above == nil:
			t.heads = append(t.heads, r)
		case above.flow.Priority == r.flow.Priority:
			return fmt.Errorf("two flows of one table, priority and match: %s; %s", above.text, r.text)
		default:
			above.next = r
		}
		last[r.match] = r
	}
	return nil
}

// lookup finds the flow for a packet as classifier_lookup() of Open vSwitch does, or nil. First it
// finds the highest hard match and every soft match above it. Then, from the highest priority of
// soft matches down, it asks whether a conjunction is complete; if so the packet is looked up once
// more, in the whole table, with conj_id set, and the hard match that this finds is the result.
// Where it finds none the conjunction counts as incomplete.
func (t *table) lookup(w *walk) *rule {
	h := &w.headers
	hard, soft := t.candidates(w)
	for len(soft) > 0 {
		top := soft[0].flow.Priority
		for _, r := range soft {
			top = max(top, r.flow.Priority)
		}
		if id, ok := w.complete(soft, top); ok {
			h[slotConjID] = number(id)
			found := t.hardest(w)
			h[slotConjID] = u128{}
			if found != nil {
				return found
			}
		}
		hard, soft = fallBack(hard, soft, top)
	}
	return hard
}

// candidates returns the highest hard match and the soft matches above it.
func (t *table) candidates(w *walk) (hard *rule, soft []*rule) {
	soft = w.soft[:0]
	for _, r := range t.heads {
		if hard != nil && r.flow.Priority < hard.flow.Priority {
			break
		}
		switch {
		case !r.matches(&w.headers):
		case len(r.clauses) > 0:
			soft = append(soft, r)
		case hard == nil:
			hard = r
		default:
			w.tie(hard, r)
		}
	}
	w.soft = soft
	return hard, above(soft, hard)
}

// hardest returns the highest hard match. As in Open vSwitch a hard flow is not seen beneath a soft
// one of the same match.
func (t *table) hardest(w *walk) *rule {
	var hard *rule
	for _, r := range t.heads {
		if hard != nil && r.flow.Priority < hard.flow.Priority {
			break
		}
		switch {
		case len(r.clauses) > 0 || !r.matches(&w.headers):
		case hard == nil:
			hard = r
		default:
			w.tie(hard, r)
		}
	}
	return hard
}

// fallBack replaces the soft matches of the priority that came to nothing by the next lower flows
// of the same matches.
func fallBack(hard *rule, soft []*rule, top uint16) (*rule, []*rule) {
	kept := soft[:0]
	for _, r := range soft {
		if r.flow.Priority == top {
			r = r.next
		}
		switch {
		case r == nil:
		case len(r.clauses) > 0:
			kept = append(kept, r)
		case hard == nil || r.flow.Priority > hard.flow.Priority:
			hard = r
		}
	}
	return hard, above(kept, hard)
}

// above drops the soft matches that are not above the hard one: at equal priority the hard match
// wins.
func above(soft []*rule, hard *rule) []*rule {
	if hard == nil {
		return soft
	}
	return slices.DeleteFunc(soft, func(r *rule) bool { return r.flow.Priority <= hard.flow.Priority })
}

// complete returns the conjunction that the soft matches of one priority complete. Which of several
// Open vSwitch takes depends on its hash tables; here [Tie] decides.
func (w *walk) complete(soft []*rule, priority uint16) (uint32, bool) {
	clear(w.clauses)
	done := w.done[:0]
	for _, r := range soft {
		if r.flow.Priority != priority {
			continue
		}
		for _, c := range r.clauses {
			bits := w.clauses[c.id] | 1<<(c.k-1)
			if w.clauses[c.id] != bits && bits == ones(c.n).lo {
				done = append(done, c.id)
			}
			w.clauses[c.id] = bits
		}
	}
	w.done = done
	if len(done) == 0 {
		return 0, false
	}
	slices.Sort(done)
	if len(done) > 1 {
		w.result.Ties = append(w.result.Ties, fmt.Sprintf("conjunctions %v are all complete", done))
	}
	if w.sw.tie == HighestID {
		return done[len(done)-1], true
	}
	return done[0], true
}

// tie notes two flows of one priority that both match and act differently: OpenFlow leaves open
// which one wins.
func (w *walk) tie(a, b *rule) {
	if a.flow.Actions != b.flow.Actions {
		w.result.Ties = append(w.result.Ties, a.text+" and "+b.text)
	}
}
