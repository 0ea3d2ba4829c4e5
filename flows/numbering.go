package flows

// numbering gives elements numbers of a circle: each the one that its hash is or, where elements
// before it in order have that and what follows, the next free one. Who has which number depends
// on the elements alone, not on the order in which they came and went, and an element that comes
// or goes moves only those whose hashes are next to its own (O. Amble, D. E. Knuth: Ordered hash
// tables, 1974).
type numbering[E comparable] struct {
	first, size uint64 // the circle is first … first+size-1
	hash        func(E) uint64
	compare     func(a, b E) int

	at map[uint64]E
}

func (n *numbering[E]) next(number uint64) uint64 { return n.first + (number-n.first+1)%n.size }

// ahead returns how many steps it is from one number to another.
func (n *numbering[E]) ahead(from, to uint64) uint64 { return (to + n.size - from) % n.size }

// find returns the element of a hash that is the one, or the zero E.
func (n *numbering[E]) find(hash uint64, is func(E) bool) E {
	for number := hash; ; number = n.next(number) {
		e, taken := n.at[number]
		if !taken || is(e) {
			return e
		}
	}
}

// insert gives a number to an element that has none. Those behind it in order make room. Each
// that gets a number is told of.
func (n *numbering[E]) insert(e E, tell func(e E, number uint64)) {
	for number := n.hash(e); ; number = n.next(number) {
		there, taken := n.at[number]
		if taken && n.compare(there, e) < 0 {
			continue
		}
		n.at[number] = e
		tell(e, number)
		if !taken {
			return
		}
		e = there
	}
}

// remove takes a number away from who has it. Those that had to go past it come back, and are
// told of.
func (n *numbering[E]) remove(free uint64, tell func(e E, number uint64)) {
	for number := n.next(free); ; number = n.next(number) {
		e, taken := n.at[number]
		switch {
		case !taken:
			delete(n.at, free)
			return
		case n.ahead(n.hash(e), number) >= n.ahead(free, number):
			n.at[free] = e
			tell(e, free)
			free = number
		}
	}
}
