package openflow

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Delta is what turns the flows of a switch into a program: first delete, then add. An added flow
// replaces one of the same [Key].
type Delta struct {
	Delete   []Flow
	Add      []Flow
	Replaced []Flow // what some of Add take the place of
}

// Empty says whether there is nothing to do.
func (d Delta) Empty() bool { return len(d.Delete) == 0 && len(d.Add) == 0 }

// Len is the number of flow mods.
func (d Delta) Len() int { return len(d.Delete) + len(d.Add) }

// Diff returns what turns have into want. A flow is equal only if the whole text is, the actions
// and the cookie included: a flow that was edited by hand keeps its cookie. Both sides may be in
// any order; the result is sorted.
func Diff(want, have []Flow) Delta {
	held := make(map[Key]Flow, len(have))
	for _, f := range have {
		held[f.Key()] = f
	}
	var d Delta
	for _, f := range want {
		h, ok := held[f.Key()]
		if !ok || h != f {
			d.Add = append(d.Add, f)
		}
		if ok && h != f {
			d.Replaced = append(d.Replaced, h)
		}
		delete(held, f.Key())
	}
	for _, f := range held {
		d.Delete = append(d.Delete, f)
	}
	d.Sort()
	return d
}

// Taking splits a delta: take holds the deletes and what replaces a held flow, which needs no room
// in a table; rest adds the others. A flow that is missing admits nothing, so what take alone
// leaves on a switch permits nothing that the whole delta would not permit.
func (d Delta) Taking() (take, rest Delta) {
	held := make(map[Key]bool, len(d.Replaced))
	for _, f := range d.Replaced {
		held[f.Key()] = true
	}
	take = Delta{Delete: d.Delete, Replaced: d.Replaced}
	for _, f := range d.Add {
		if held[f.Key()] {
			take.Add = append(take.Add, f)
		} else {
			rest.Add = append(rest.Add, f)
		}
	}
	return take, rest
}

// Deleting splits a delta likewise, for a switch that adds and replaces nothing at all: what would
// be replaced goes.
func (d Delta) Deleting() (take, rest Delta) {
	return Delta{Delete: slices.Concat(d.Delete, d.Replaced)}, Delta{Add: d.Add}
}

// Without splits a delta: part adds none of the flows that fit, rest adds them.
func (d Delta) Without(fits func(Flow) bool) (part, rest Delta) {
	part = d
	part.Add = nil
	for _, f := range d.Add {
		if fits(f) {
			rest.Add = append(rest.Add, f)
		} else {
			part.Add = append(part.Add, f)
		}
	}
	return part, rest
}

// Then returns the delta that does what d does and then what next does, and nothing where next
// undoes it.
func (d Delta) Then(next Delta) Delta {
	if d.Empty() {
		return next
	}
	before, after := map[Key]Flow{}, map[Key]Flow{}
	for _, each := range []Delta{d, next} {
		held := make(map[Key]Flow, len(each.Delete)+len(each.Replaced))
		for _, f := range slices.Concat(each.Delete, each.Replaced) {
			held[f.Key()] = f
		}
		for _, f := range slices.Concat(each.Delete, each.Add) {
			if _, known := before[f.Key()]; !known {
				before[f.Key()] = held[f.Key()]
			}
			delete(after, f.Key())
		}
		for _, f := range each.Add {
			after[f.Key()] = f
		}
	}
	maps.DeleteFunc(before, func(_ Key, f Flow) bool { return f == Flow{} }) // nothing was there
	return Diff(slices.Collect(maps.Values(after)), slices.Collect(maps.Values(before)))
}

// Sort puts the flows in order.
func (d Delta) Sort() {
	slices.SortFunc(d.Add, Compare)
	slices.SortFunc(d.Delete, Compare)
	slices.SortFunc(d.Replaced, Compare)
}

// Compare orders flows by table, priority, the highest first, and match.
func Compare(a, b Flow) int {
	switch { // not cmp.Or, which would compare the matches each time
	case a.Table != b.Table:
		return cmp.Compare(a.Table, b.Table)
	case a.Priority != b.Priority:
		return cmp.Compare(b.Priority, a.Priority)
	}
	return strings.Compare(a.Match.oxm, b.Match.oxm)
}
