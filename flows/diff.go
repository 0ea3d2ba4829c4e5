package flows

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Delta is what turns the flows of a switch into a program: first delete, then add. An added flow replaces one of the same [Key].
type Delta struct {
	Delete   []Flow
	Add      []Flow
	Replaced []Flow // what some of Add take the place of
}

// Empty says whether there is nothing to do.
func (d Delta) Empty() bool { return len(d.Delete) == 0 && len(d.Add) == 0 }

// Len is the number of flow mods.
func (d Delta) Len() int { return len(d.Delete) + len(d.Add) }

// Diff returns what turns have into want. A flow is equal only if the whole text is, the actions and the cookie included: a flow
// that was edited by hand keeps its cookie. Both sides may be in any order; the result is sorted.
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
	d.sort()
	return d
}

// Then returns the delta that does what d does and then what next does, and nothing where next undoes it.
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

func (d Delta) sort() {
	slices.SortFunc(d.Add, compareFlow)
	slices.SortFunc(d.Delete, compareFlow)
	slices.SortFunc(d.Replaced, compareFlow)
}

func compareFlow(a, b Flow) int {
	switch { // not cmp.Or, which would compare the matches each time
	case a.Table != b.Table:
		return cmp.Compare(a.Table, b.Table)
	case a.Priority != b.Priority:
		return cmp.Compare(b.Priority, a.Priority)
	}
	return strings.Compare(a.Match, b.Match)
}
