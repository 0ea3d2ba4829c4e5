package matrix

import (
	"net/netip"
	"slices"
	"strings"
)

// Lines returns the ends that have a line in a table of the answer, and those that have a column:
// networks only where they differ from outside.
func (a *Answer) Lines() (rows, columns []string) {
	cells := map[[2]string]Row{}
	for _, c := range a.Cells {
		cells[[2]string{c.From, c.To}] = c
	}
	for _, e := range a.Ends {
		if a.differs(e, func(name, other string) Row { return cells[[2]string{name, other}] }) {
			rows = append(rows, e.Name)
		}
		if a.differs(e, func(name, other string) Row { return cells[[2]string{other, name}] }) {
			columns = append(columns, e.Name)
		}
	}
	return rows, columns
}

// differs says whether an end has any cell, and if it is a network, others than outside.
func (a *Answer) differs(e End, cell func(name, other string) Row) bool {
	isAny, isLike := false, e.Kind == Network && e.Name != Outside
	for _, o := range a.Ends {
		mine := cell(e.Name, o.Name)
		isAny = isAny || len(mine.Services)+len(mine.Some) > 0
		if isLike {
			outside := cell(Outside, o.Name)
			isLike = slices.Equal(mine.Services, asOf(outside.Services, e)) &&
				slices.Equal(mine.Some, asOf(outside.Some, e))
		}
	}
	return isAny && !isLike
}

// asOf returns what words say of a network that has one family.
func asOf(words []string, e End) []string {
	mine, other := " (IPv4)", " (IPv6)"
	if e.Networks[0].Addr().Is6() {
		mine, other = other, mine
	}
	if slices.ContainsFunc(e.Networks,
		func(n netip.Prefix) bool { return n.Addr().Is6() != e.Networks[0].Addr().Is6() }) {
		return words
	}
	var out []string
	for _, w := range words {
		if !strings.HasSuffix(w, other) {
			out = append(out, strings.TrimSuffix(w, mine))
		}
	}
	return out
}
