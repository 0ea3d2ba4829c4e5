package flowtest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Edge is a resubmit that may go to a table that is not a later one.
type Edge struct{ From, To uint8 }

// Lint finds what is wrong with a program although each of its flows is well-formed:
//   - flows that are not understood, or two of one table, priority and match;
//   - a table that packets are sent to but that has no flows, and one that does not end in a drop of priority 0 for every packet;
//   - a resubmit or ct(table=...) to the same or an earlier table, unless it is one of the declared edges;
//   - a conjunction whose clauses are not of one size and priority, lack a dimension, or do not have exactly one accept flow, of the
//     same priority, that asks for nothing but ip or ipv6;
//   - two flows of one table and priority that one packet may meet and that do different things:
//     which of them a switch takes is not defined (OpenFlow 1.5.1, section 5.3). By which of two
//     rules something is admitted (reg3) may be left open.
//
// The error joins everything that was found.
func Lint(fs []openflow.Flow, edges ...Edge) error {
	g := newGrammar()
	byTable, err := g.parse(fs, nil)
	errs := []error{err}
	for _, id := range slices.Sorted(maps.Keys(byTable)) {
		rules := byTable[id]
		errs = append(errs, (&table{}).add(slices.Clone(rules)), lintLast(id, rules))
		errs = append(errs, lintConjunctions(id, rules)...)
		errs = append(errs, lintOverlaps(rules)...)
		for _, r := range rules {
			errs = append(errs, lintEdges(r, r.actions, byTable, edges)...)
		}
	}
	if len(byTable[0]) == 0 {
		errs = append(errs, errors.New("table 0 has no flows"))
	}
	return errors.Join(errs...)
}

func lintLast(id uint8, rules []*rule) error {
	for _, r := range rules {
		if r.flow.Priority == 0 && r.match == (match{}) {
			if !r.flow.Actions.IsDrop() {
				return fmt.Errorf("table %d ends in %s, not in drop", id, r.flow.Actions)
			}
			return nil
		}
	}
	return fmt.Errorf("table %d does not end in a drop of priority 0", id)
}

func lintEdges(r *rule, as []action, byTable map[uint8][]*rule, edges []Edge) []error {
	var errs []error
	for _, a := range as {
		var to uint8
		switch a := a.(type) {
		case clone:
			errs = append(errs, lintEdges(r, a.actions, byTable, edges)...)
			continue
		case resubmit:
			to = a.table
		case track:
			if !a.recircs {
				continue
			}
			to = a.table
		default:
			continue
		}
		if len(byTable[to]) == 0 {
			errs = append(errs, fmt.Errorf("flow %s: table %d has no flows", r.text, to))
		}
		if to <= r.flow.Table && !slices.Contains(edges, Edge{r.flow.Table, to}) {
			errs = append(errs, fmt.Errorf("flow %s: table %d is not a later table", r.text, to))
		}
	}
	return errs
}

// kind is what flows have in common that ask for the same bits.
type kind struct {
	priority uint16
	masks    headers
}

func lintOverlaps(rules []*rule) []error {
	byKind, kinds := map[kind][]*rule{}, []kind(nil)
	does := map[*rule]string{}
	for _, r := range rules {
		if k := (kind{r.flow.Priority, r.match.masks}); len(r.clauses) == 0 {
			if byKind[k] == nil {
				kinds = append(kinds, k)
			}
			byKind[k] = append(byKind[k], r)
			does[r] = effect(r)
		}
	}
	var errs []error
	for n, a := range kinds {
		for _, b := range kinds[:n] {
			if a.priority == b.priority {
				errs = append(errs, lintKinds(a.masks.and(b.masks), byKind[a], byKind[b], does)...)
			}
		}
	}
	return errs
}

// lintKinds finds flows of two kinds that agree on the bits that both ask for.
func lintKinds(common headers, as, bs []*rule, does map[*rule]string) []error {
	at := map[headers][]*rule{}
	for _, a := range as {
		values := a.match.values.and(common)
		at[values] = append(at[values], a)
	}
	var errs []error
	for _, b := range bs {
		for _, a := range at[b.match.values.and(common)] {
			if does[a] != does[b] {
				errs = append(errs, fmt.Errorf("one packet may meet both of\n%s\n%s", a.text, b.text))
			}
		}
	}
	return errs
}

var ruleSet = regexp.MustCompile(`set_field:\w+->reg3`)

// effect returns what a flow does, whatever the rule in whose name.
func effect(r *rule) string { return ruleSet.ReplaceAllString(r.flow.Actions.String(), "rule") }

func (h headers) and(mask headers) headers {
	for s := range h {
		h[s] = h[s].and(mask[s])
	}
	return h
}

// conjunction is what one table holds of one id.
type conjunction struct {
	sizes      map[int]bool
	priorities map[uint16]bool
	dimensions map[int]bool
	accepts    []*rule
}

func lintConjunctions(id uint8, rules []*rule) []error {
	byID := map[uint32]*conjunction{}
	of := func(n uint32) *conjunction {
		if byID[n] == nil {
			byID[n] = &conjunction{sizes: map[int]bool{}, priorities: map[uint16]bool{},
				dimensions: map[int]bool{}}
		}
		return byID[n]
	}
	for _, r := range rules {
		for _, c := range r.clauses {
			conj := of(c.id)
			conj.sizes[c.n], conj.priorities[r.flow.Priority], conj.dimensions[c.k] = true, true, true
		}
		if !r.match.masks[slotConjID].isZero() {
			conj := of(uint32(r.match.values[slotConjID].lo))
			conj.accepts = append(conj.accepts, r)
		}
	}
	var errs []error
	for _, n := range slices.Sorted(maps.Keys(byID)) {
		if err := byID[n].lint(); err != nil {
			errs = append(errs, fmt.Errorf("table %d, conjunction %d: %w", id, n, err))
		}
	}
	return errs
}

func (c *conjunction) lint() error {
	switch {
	case len(c.dimensions) == 0:
		return errors.New("an accept flow without clauses")
	case len(c.sizes) > 1:
		return fmt.Errorf("clauses of the sizes %v", slices.Sorted(maps.Keys(c.sizes)))
	case len(c.priorities) > 1:
		return fmt.Errorf("clauses at the priorities %v", slices.Sorted(maps.Keys(c.priorities)))
	case !c.sizes[len(c.dimensions)]:
		return fmt.Errorf("only the dimensions %v of %v", slices.Sorted(maps.Keys(c.dimensions)),
			slices.Sorted(maps.Keys(c.sizes)))
	case len(c.accepts) != 1:
		return fmt.Errorf("%d accept flows", len(c.accepts))
	}
	accept := c.accepts[0]
	if !c.priorities[accept.flow.Priority] {
		return fmt.Errorf("the accept flow has priority %d, not that of the clauses",
			accept.flow.Priority)
	}
	if len(accept.clauses) > 0 {
		return errors.New("the accept flow is a clause")
	}
	for _, t := range accept.tests {
		if t.slot != slotConjID && t.slot != slotEthType {
			return fmt.Errorf("the accept flow %s asks for more than the conjunction", accept.text)
		}
	}
	return nil
}
