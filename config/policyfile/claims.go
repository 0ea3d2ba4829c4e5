package policyfile

import (
	"cmp"
	"slices"
)

// claim is the hash of something with, as its lowest bit, 0 for who owns or defines it and 1 for others who use it.
type claim uint64

func (c claim) isUse() bool { return c&1 == 1 }

func (c claim) thing() claim { return c &^ 1 }

// claims are sorted, so that those of one thing are in a row, its owners first.
type claims struct {
	list []claim
	// isWrong says whether a row that begins so is a mistake. next is the zero claim if the row ends after first.
	isWrong func(first, next claim) bool
	wrong   bool // there is such a row
}

// isContested: an owner beside another owner or a user.
func isContested(first, next claim) bool { return !first.isUse() && next != 0 }

// isUnclear: no owner, or two.
func isUnclear(first, next claim) bool { return first.isUse() || first == next }

// replace takes sorted claims out and puts others in. It looks at the rows that change, or at all if there was a mistake before.
func (c *claims) replace(removed, added []claim) {
	removed, added, _ = compared(removed, added, cmp.Compare)
	if len(removed) == 0 && len(added) == 0 {
		return
	}
	c.list = replace(c.list, removed, added, cmp.Compare)
	if c.wrong {
		c.wrong = c.anyWrong()
		return
	}
	changed := func(one claim) bool {
		i, _ := slices.BinarySearch(c.list, one.thing())
		return i < len(c.list) && c.list[i].thing() == one.thing() && c.isWrongAt(i)
	}
	c.wrong = slices.ContainsFunc(removed, changed) || slices.ContainsFunc(added, changed)
}

func (c *claims) anyWrong() bool {
	for i := range c.list {
		if (i == 0 || c.list[i-1].thing() != c.list[i].thing()) && c.isWrongAt(i) {
			return true
		}
	}
	return false
}

// isWrongAt looks at the row that begins at an index.
func (c *claims) isWrongAt(i int) bool {
	if i+1 < len(c.list) && c.list[i+1].thing() == c.list[i].thing() {
		return c.isWrong(c.list[i], c.list[i+1])
	}
	return c.isWrong(c.list[i], 0)
}
