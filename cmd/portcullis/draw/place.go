package draw

// Where boxes stand, in pixels: each as near to the height at which its arrows would be level as
// its neighbours let it.

// place gives every node its height, and every layer its column.
func (l *layout) place() {
	for _, layer := range l.layers {
		y := 0.0
		for _, n := range layer {
			n.y = y
			y += n.room()
		}
	}
	for sweep := range 10 {
		for i := range l.layers {
			if layer, by := l.sweep(sweep, i); len(layer) > 0 {
				align(layer, by)
			}
		}
	}
	l.shift()
	x := margin
	for _, layer := range l.layers {
		wide := 0.0
		for _, n := range layer {
			if n.box != nil {
				wide = max(wide, n.box.width)
			}
		}
		l.columns, l.widths = append(l.columns, x), append(l.widths, wide)
		if len(layer) > 0 {
			x += wide + channel
		}
	}
	l.width = max(x-channel+margin, 360)
}

// room is a node's height with what stays free below it.
func (n *node) room() float64 {
	if n.box == nil {
		return n.height + beside
	}
	return n.height + between
}

// shift moves everything below the title.
func (l *layout) shift() {
	top, bottom, first := 0.0, 0.0, true
	for _, layer := range l.layers {
		for _, n := range layer {
			if first || n.y < top {
				top = n.y
			}
			if first || n.y+n.height > bottom {
				bottom = n.y + n.height
			}
			first = false
		}
	}
	for _, layer := range l.layers {
		for _, n := range layer {
			n.y += l.top - top
		}
	}
	l.height = bottom - top + l.top + margin
}

// run is some nodes that touch each other: they move together.
type run struct {
	nodes  []*node
	height float64
	sum    float64 // of the tops that its nodes would give it
}

func (r run) top() float64 { return r.sum / float64(len(r.nodes)) }

// align moves the nodes of a layer, in their order, to where they want to be; those that are in
// each other's way to the mean of where they want to be.
func align(layer []*node, by side) {
	var runs []run
	for _, n := range layer {
		want := n.middle(by, n.y, func(k link) float64 { return k.to.y + k.into - k.from })
		runs = append(runs, run{[]*node{n}, n.room(), want})
		for len(runs) > 1 {
			a, b := &runs[len(runs)-2], &runs[len(runs)-1]
			if a.top()+a.height <= b.top() {
				break
			}
			a.sum += b.sum - a.height*float64(len(b.nodes))
			a.nodes, a.height = append(a.nodes, b.nodes...), a.height+b.height
			runs = runs[:len(runs)-1]
		}
	}
	for _, r := range runs {
		y := r.top()
		for _, n := range r.nodes {
			n.y = y
			y += n.room()
		}
	}
}
