package matrix

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Parts of the matrix of a large policy: what is on a screen of a table that nobody could ask for
// as a whole.

// MostPart is how many pairs one part may have.
const MostPart = 10_000

// Index is a policy that was looked at once, for any number of questions about parts of its matrix
// of groups. It may be asked by several at once.
type Index struct {
	w      *world
	ends   []End
	number map[string]int // of ends
}

// NewIndex looks at a policy. With 3,000 groups and 50,000 instances it takes a second.
func NewIndex(p *policy.Policy) *Index {
	b := &Index{w: newWorld(p), number: map[string]int{}}
	_ = b.w.choose(Question{}) // fails for instances only
	b.w.touch()
	for n := range b.w.ends {
		b.ends = append(b.ends, b.w.ends[n].End)
		b.number[b.ends[n].Name] = n
	}
	return b
}

// Part is what is asked of an index: the cells from some ends to others, by their names, and the
// arrows between them.
type Part struct{ From, To []string }

// Ask answers about a part; the ends of the answer are those that were asked about. The error is an
// [*ErrUnknown] or an [*ErrLarge].
func (b *Index) Ask(q Part) (*Answer, error) {
	if len(q.From)*len(q.To) > MostPart {
		return nil, &ErrLarge{len(q.From), len(q.To)}
	}
	rows, err := b.numbers(q.From)
	if err != nil {
		return nil, err
	}
	columns, err := b.numbers(q.To)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Ends: []End{}, Cells: []Cell{}, whole: b.ends}
	at := map[int]int{} // numbers of ends in m
	for _, n := range slices.Concat(rows, columns) {
		if _, isThere := at[n]; !isThere {
			at[n] = len(m.Ends)
			m.Ends = append(m.Ends, b.ends[n])
		}
	}
	for _, from := range rows {
		for _, to := range columns {
			if c := b.w.cell(from, to); len(c.Some4)+len(c.Some6) > 0 {
				c.From, c.To = at[from], at[to]
				m.Cells = append(m.Cells, c)
			}
		}
	}
	slices.SortFunc(m.Cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	from, to := setOf(q.From), setOf(q.To)
	a := m.inWords()
	a.Arrows = arrowsWhere(b.w.policy, m, func(a Arrow) bool { return from[a.From] && to[a.To] })
	return a, nil
}

func setOf(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// numbers are those of ends; each is there once.
func (b *Index) numbers(names []string) ([]int, error) {
	var out []int
	for _, name := range names {
		n, isThere := b.number[name]
		if !isThere {
			var all []string
			for known := range b.number {
				all = append(all, known)
			}
			slices.Sort(all)
			return nil, &ErrUnknown{name, wording.DidYouMean(name, all)}
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// cell is what passes from one end to another, as [world.column] says it.
func (w *world) cell(from, to int) Cell {
	a, b := &w.ends[from], &w.ends[to]
	switch {
	case !a.sends || !b.receives || a.Kind == Network && b.Kind == Network:
		return Cell{}
	case b.Kind == Network:
		return w.outward(a, b)
	case a.Kind == Network:
		return w.inward(a, b)
	}
	return w.between(from, to)
}

// inWords is a matrix as an answer without its arrows.
func (m *Matrix) inWords() *Answer {
	a := &Answer{Ends: m.Ends, Cells: make([]Row, 0, len(m.Cells))}
	known := map[string][]string{}
	words := func(v4, v6 explain.Services, families bool) []string {
		key := v4.String() + "\x00" + v6.String()
		if families {
			key += "\x00"
		}
		if _, is := known[key]; !is {
			known[key] = Words(v4, v6, families)
		}
		return known[key]
	}
	for _, c := range m.Cells {
		both := m.Ends[c.From].IsDual() && m.Ends[c.To].IsDual()
		a.Cells = append(a.Cells, Row{m.Ends[c.From].Name, m.Ends[c.To].Name,
			words(c.IPv4, c.IPv6, both), words(c.Some4.Minus(c.IPv4), c.Some6.Minus(c.IPv6), both)})
	}
	return a
}
