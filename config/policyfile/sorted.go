package policyfile

import (
	"slices"
	"sort"
)

// replace takes removed out of a sorted list and puts added in. All three are sorted; each of removed is in the list; repetitions count.
// It works in place and moves memory in few large pieces, as what changes is little and the list is long.
func replace[T any](list, removed, added []T, compare func(a, b T) int) []T {
	return insertSorted(removeSorted(list, removed, compare), added, compare)
}

// compared returns what of two sorted lists is in one alone, and what of b is in both.
func compared[T any](a, b []T, compare func(a, b T) int) (onlyA, onlyB, both []T) {
	for len(a) > 0 && len(b) > 0 {
		switch c := compare(a[0], b[0]); {
		case c < 0:
			onlyA, a = append(onlyA, a[0]), a[1:]
		case c > 0:
			onlyB, b = append(onlyB, b[0]), b[1:]
		default:
			both = append(both, b[0])
			a, b = a[1:], b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...), both
}

func removeSorted[T any](list, removed []T, compare func(a, b T) int) []T {
	if len(removed) == 0 {
		return list
	}
	kept, next := 0, 0 // what is kept so far; the first that was not looked at
	for _, r := range removed {
		at := next + sort.Search(len(list)-next, func(i int) bool { return compare(list[next+i], r) >= 0 })
		if kept < next {
			copy(list[kept:], list[next:at])
		}
		kept += at - next
		next = at + 1
	}
	kept += copy(list[kept:], list[next:])
	clear(list[kept:]) // what they point to is to be freed
	return list[:kept]
}

func insertSorted[T any](list, added []T, compare func(a, b T) int) []T {
	old := len(list) // up to here, the list is where it was
	list = slices.Grow(list, len(added))[:old+len(added)]
	for i := len(added) - 1; i >= 0; i-- {
		at := sort.Search(old, func(n int) bool { return compare(list[n], added[i]) > 0 })
		copy(list[at+i+1:], list[at:old])
		list[at+i] = added[i]
		old = at
	}
	return list
}
