package matrix

// pointCounts counts points by family and class.
type pointCounts [2][classes]count

// count is how many points there are, and whether they are all at one port.
type count struct {
	points int32
	port   int32 // of the first
	apart  bool  // they are at more than one
}

func (t *pointCounts) add(p point) {
	c := &t[family(p)][p.class]
	*c = c.and(count{points: 1, port: p.port})
}

func family(p point) int {
	if p.address.Is6() {
		return 1
	}
	return 0
}

func (c count) and(o count) count {
	switch {
	case c.points == 0:
		return o
	case o.points == 0:
		return c
	}
	return count{c.points + o.points, c.port, c.apart || o.apart || c.port != o.port}
}

// The classes together that are asked about alike.

// free are those whose egress is asked about no rule, judged those whose ingress is asked about.
func (t *pointCounts) free(v6 int) count   { return t[v6][open].and(t[v6][trusted]) }
func (t *pointCounts) judged(v6 int) count { return t[v6][open].and(t[v6][closed]) }
func (t *pointCounts) all(v6 int) count    { return t[v6][closed].and(t.free(v6)) }

// isOne says whether there are points, all of them at one port.
func (c count) isOne() bool { return c.points > 0 && !c.apart }

// pairsWith says whether there is a pair of points at different ports: a port sends nothing to
// itself.
func (c count) pairsWith(o count) bool {
	return c.points > 0 && o.points > 0 && !(c.isOne() && o.isOne() && c.port == o.port)
}
