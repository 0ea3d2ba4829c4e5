package draw

import (
	"cmp"
	"math"
	"slices"

	"github.com/portcullis/portcullis/flows/matrix"
)

// Where boxes stand. Groups stand in layers, so that arrows go from left to right as far as they
// can; networks that are a source stand before them, those that are a destination behind them. An
// arrow over several layers has a slot of its own in each, so that none crosses a box.

// Sizes in pixels.
const (
	letter    = 7.3 // of a row, at 12 px
	titleSize = 8.6 // of a letter of a name, at 14 px
	margin    = 24.0
	padding   = 12.0
	rowHeight = 20.0
	headSize  = 46.0 // of the name and the line below it
	between   = 22.0 // below a box
	beside    = 9.0  // below an arrow that passes by
	slotSize  = 6.0  // of an arrow that passes by
	channel   = 68.0 // between two layers
	topSize   = 30.0 // of the title
)

// node is a box of a layer, or the slot of an arrow there.
type node struct {
	box    *box // nil = a slot
	height float64
	y      float64
	order  float64 // wanted
	links  []link
}

// side is where a link leads.
type side uint8

const (
	toLeft side = iota
	toRight
)

// link is an arrow's next node, to the left or to the right, and where it is fixed at both.
type link struct {
	to         *node
	side       side
	from, into float64 // below the tops
}

// layout is a scene with a place for everything.
type layout struct {
	*scene
	layers        [][]*node
	paths         [][]*node // of arrows, from left to right
	width, height float64
	top           float64   // where the first box begins
	columns       []float64 // x of each layer
	widths        []float64
	left, right   map[int]*node // of boxes; a network may stand on either side, or on both
	backward      []bool        // arrows that go from right to left
}

// layOut gives everything its place, below a title of some height.
func (s *scene) layOut(title float64) *layout {
	l := &layout{scene: s, top: margin + title, left: map[int]*node{}, right: map[int]*node{},
		paths: make([][]*node, len(s.arrows)), backward: make([]bool, len(s.arrows))}
	for _, b := range s.boxes {
		b.height = headSize + float64(len(b.rows))*rowHeight + padding/2
		if len(b.rows) == 0 {
			b.height = headSize
		}
		b.width = boxWidth(b)
	}
	l.layer()
	l.connect()
	l.sort()
	l.place()
	return l
}

func boxWidth(b *box) float64 {
	wide := float64(columns(b.label)) * titleSize
	wide = max(wide, float64(columns(b.about))*letter)
	for _, r := range b.rows {
		wide = max(wide, float64(columns(r.text))*letter)
	}
	return math.Ceil(max(wide+2*padding, 120))
}

// order returns the groups, each behind all that its arrows go to, and notes which arrows go
// backward; next lists the arrows of each box.
func (l *layout) order(next [][]int) []int {
	const (
		unseen = iota
		open
		done
	)
	seen := make([]int, len(l.boxes))
	var order []int
	var visit func(int)
	visit = func(b int) {
		seen[b] = open
		for _, n := range next[b] {
			switch to := l.arrows[n].to; seen[to] {
			case unseen:
				visit(to)
			case open:
				l.backward[n] = true
			}
		}
		seen[b] = done
		order = append(order, b)
	}
	for b := range l.boxes {
		if l.isGroup(b) && seen[b] == unseen {
			visit(b)
		}
	}
	return order
}

// layer gives each group a layer behind those that arrows come from. Arrows that would close a
// circle go backward.
func (l *layout) layer() {
	next := make([][]int, len(l.boxes)) // arrows, by box they come from
	for n, a := range l.arrows {
		if a.from != a.to && l.isGroup(a.from) && l.isGroup(a.to) {
			next[a.from] = append(next[a.from], n)
		}
	}
	order := l.order(next)
	for range l.boxes { // backward arrows turned round may push further
		for _, b := range slices.Backward(order) {
			for _, n := range next[b] {
				from, to := l.boxes[b], l.boxes[l.arrows[n].to]
				if l.backward[n] {
					from, to = to, from
				}
				to.layer = max(to.layer, from.layer+1)
			}
		}
	}
	l.placeNodes()
}

func (l *layout) isGroup(b int) bool { return l.boxes[b].kind == matrix.Group }

// placeNodes makes the layers' nodes: sources, groups, destinations.
func (l *layout) placeNodes() {
	deepest := 0
	for n, b := range l.boxes {
		if l.isGroup(n) {
			deepest = max(deepest, b.layer)
		}
	}
	l.layers = make([][]*node, deepest+3)
	for n, b := range l.boxes {
		add := func(layer int) *node {
			at := &node{box: b, height: b.height}
			l.layers[layer] = append(l.layers[layer], at)
			return at
		}
		if l.isGroup(n) {
			b.layer++
			l.left[n] = add(b.layer)
			l.right[n] = l.left[n]
			continue
		}
		for _, a := range l.arrows {
			if a.from == n && l.left[n] == nil {
				l.left[n] = add(0)
			}
			if a.to == n && l.right[n] == nil {
				l.right[n] = add(deepest + 2)
			}
		}
	}
}

// connect makes the path of each arrow, with slots in the layers that it passes.
func (l *layout) connect() {
	for n, a := range l.arrows {
		if a.from == a.to {
			continue
		}
		first, last := l.left[a.from], l.right[a.to]
		from, into := l.fixed(n, a.from), l.fixed(n, a.to)
		at, end := l.layerOf(a.from, 0), l.layerOf(a.to, len(l.layers)-1)
		if at > end {
			l.backward[n] = true
			first, last, from, into, at, end = last, first, into, from, end, at
		}
		path := []*node{first}
		for layer := at + 1; layer < end; layer++ {
			slot := &node{height: slotSize}
			l.layers[layer] = append(l.layers[layer], slot)
			path = append(path, slot)
		}
		l.paths[n] = append(path, last)
		for i := range len(l.paths[n]) - 1 {
			a, b := l.paths[n][i], l.paths[n][i+1]
			f, t := slotSize/2, slotSize/2
			if i == 0 {
				f = from
			}
			if i == len(l.paths[n])-2 {
				t = into
			}
			a.links = append(a.links, link{b, toRight, f, t})
			b.links = append(b.links, link{a, toLeft, t, f})
		}
	}
}

func (l *layout) layerOf(b, network int) int {
	if l.isGroup(b) {
		return l.boxes[b].layer
	}
	return network
}

// fixed is where an arrow meets a box, below its top: at its row where the box has one, else at the
// name.
func (l *layout) fixed(n, b int) float64 {
	if a := l.arrows[n]; a.owner == b {
		return headSize + (float64(a.row)+0.5)*rowHeight - 2
	}
	return headSize / 2
}

// sort puts the nodes of each layer in an order in which few arrows cross: each near the middle of
// those that it is linked with, from the left, then from the right, several times.
func (l *layout) sort() {
	number := map[*node]int{}
	count := func(layer []*node) {
		for n, at := range layer {
			number[at] = n
		}
	}
	for _, layer := range l.layers {
		count(layer)
	}
	for sweep := range 12 {
		for n := range l.layers {
			layer, by := l.sweep(sweep, n)
			for _, at := range layer {
				at.order = at.middle(by, float64(number[at]),
					func(k link) float64 { return float64(number[k.to]) + k.into/1000 })
			}
			slices.SortStableFunc(layer, func(a, b *node) int { return cmp.Compare(a.order, b.order) })
			count(layer)
		}
	}
}

// sweep returns the layer whose turn it is, and to which side those are that were before it: every
// other sweep goes from right to left.
func (l *layout) sweep(sweep, n int) ([]*node, side) {
	if sweep%2 == 1 {
		return l.layers[len(l.layers)-1-n], toRight
	}
	return l.layers[n], toLeft
}

// middle is the mean of what is said of the links to one side; otherwise, if there are none.
func (n *node) middle(by side, otherwise float64, of func(link) float64) float64 {
	sum, count := 0.0, 0
	for _, k := range n.links {
		if k.side == by {
			sum, count = sum+of(k), count+1
		}
	}
	if count == 0 {
		return otherwise
	}
	return sum / float64(count)
}
