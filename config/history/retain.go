// What of the store is kept, and what goes. Pure. Invariant: the last generation that was in force
// is kept, whatever the bounds.

package history

import "slices"

// Bounds are how much a store keeps.
type Bounds struct {
	Generations int
	Bytes       int64 // of the files of all generations; what two share counts once
}

// retain returns the generations that are kept of some, in the order of their numbers, oldest
// first. needed are numbers that are kept beside the last that was in force.
func retain(all []Generation, b Bounds, needed ...int) []Generation {
	r := retained{numbers: map[int]bool{}, texts: map[string]bool{}}
	for _, g := range slices.Backward(all) {
		if g.Kind == InForce {
			r.add(g)
			break
		}
	}
	for _, g := range all {
		if slices.Contains(needed, g.Number) {
			r.add(g)
		}
	}
	for _, g := range slices.Backward(all) {
		if r.numbers[g.Number] {
			continue
		}
		if len(r.numbers)+1 > b.Generations || r.bytes+r.fresh(g) > b.Bytes {
			break
		}
		r.add(g)
	}
	return slices.DeleteFunc(slices.Clone(all),
		func(g Generation) bool { return !r.numbers[g.Number] })
}

// retained are generations that are kept, and what their files take.
type retained struct {
	numbers map[int]bool
	texts   map[string]bool // by sum
	bytes   int64
}

func (r *retained) add(g Generation) {
	if r.numbers[g.Number] {
		return
	}
	r.numbers[g.Number] = true
	r.bytes += r.fresh(g)
	for _, f := range g.Files {
		r.texts[f.Sum] = true
	}
}

// fresh is how many bytes of a generation are in none that is kept.
func (r *retained) fresh(g Generation) (n int64) {
	seen := map[string]bool{}
	for _, f := range g.Files {
		if !r.texts[f.Sum] && !seen[f.Sum] {
			n += f.Size
			seen[f.Sum] = true
		}
	}
	return n
}
