package flows

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Delta is what turns the flows of a switch into a program: first delete, then add. An added flow replaces one of the same [Key].
type Delta struct {
	Delete []Flow
	Add    []Flow
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
		delete(held, f.Key())
	}
	for _, f := range held {
		d.Delete = append(d.Delete, f)
	}
	d.sort()
	return d
}

// Then returns the delta that does what d does and then what next does. It may name a flow that the switch does not have to delete, or
// has to add: both do no harm.
func (d Delta) Then(next Delta) Delta {
	if d.Empty() {
		return next
	}
	deletes, adds := make(map[Key]Flow), make(map[Key]Flow)
	for _, each := range []Delta{d, next} {
		for _, f := range each.Delete {
			deletes[f.Key()] = f
			delete(adds, f.Key())
		}
		for _, f := range each.Add {
			adds[f.Key()] = f
			delete(deletes, f.Key())
		}
	}
	out := Delta{Delete: slices.Collect(maps.Values(deletes)), Add: slices.Collect(maps.Values(adds))}
	out.sort()
	return out
}

func (d Delta) sort() {
	slices.SortFunc(d.Add, compareFlow)
	slices.SortFunc(d.Delete, compareFlow)
}

func compareFlow(a, b Flow) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Match, b.Match))
}
