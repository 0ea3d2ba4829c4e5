package flows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Owner is the upper 16 bits of the cookie of every flow of ours.
const Owner uint16 = 0x5043

// Program is everything that a switch must hold for one policy: sorted, no two flows of one key.
type Program struct {
	Flows []openflow.Flow
	Limits
	LeftOut []LeftOut // what cannot be compiled
}

// String returns one line for each flow, and before them a comment for what is left out and for
// each limit: the same bytes for the same program.
func (p *Program) String() string {
	var b strings.Builder
	for _, l := range p.LeftOut {
		fmt.Fprintf(&b, "# %s\n", l)
	}
	b.WriteString(p.Limits.text())
	for _, f := range p.Flows {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// program is the flows of all units, by cookie, and what is known of them as a whole.
type program struct {
	numbering[*entry]                           // the zero program has none yet
	cookie            func(openflow.Key) uint64 // where the numbers begin
	fingerprint       Fingerprint
	looks             uint32 // how often it was compared with a switch
}

// entry is a flow of a program.
type entry struct {
	openflow.Flow
	of   *origin // nil = no unit has it
	seen uint32  // the last look that met it
}

// write lets every touched unit write its flows, and makes the program hold those instead of what
// it wrote before. What a unit cannot write is left out, and what this touches is written again.
// After an error the program is as it was.
func (p *program) write(x *index) (openflow.Delta, error) {
	t := begin(p, x)
	for len(x.touched) > 0 {
		known := x.out.len()
		if err := t.round(x); err != nil && x.out.len() == known {
			t.undo()
			return openflow.Delta{}, err
		}
		x.encodeDirtyRules()
	}
	return t.commit(), nil
}

// round writes the units that are touched now, and leaves out what of them cannot be written. The
// error is one of these.
func (t *transaction) round(x *index) error {
	units := x.touched
	x.touched = nil
	for _, u := range units {
		r := u.record()
		t.retract(r.flows)
		x.turn(r.pages, -1)
		*r = written{origin: r.origin, out: r.out}
	}
	var failures []failure
	for some := range slices.Chunk(units, maxWriting) {
		for n, done := range writeUnits(x, some) {
			r, f := some[n].record(), failure{unit: some[n], err: done.err}
			if f.err == nil {
				r.flows, f.conflict, f.err = t.assert(done.flows)
				r.pages = done.pages
				x.turn(r.pages, 1)
			}
			if f.err != nil {
				failures = append(failures, f)
			}
		}
	}
	if len(failures) == 0 {
		return nil
	}
	b := newBlame()
	for _, f := range failures {
		x.touch(f.unit)
		if f.conflict != nil {
			x.resolve(b, f.unit, f.conflict, f.err)
		} else {
			b.of(x, f.unit, f.err)
		}
	}
	x.leaveOut(b)
	return failures[0].err
}

// failure is a unit that cannot be written, or not beside another one that has a flow of its own of
// a key.
type failure struct {
	unit
	conflict *entry
	err      error
}

// transaction is one change of a program.
type transaction struct {
	*program
	before map[*entry]entry // what it changes, as it was; of no unit = new. nil = there was none
	empty  []*entry         // that are of no unit any more, unless one writes them again
}

// begin begins a change that the touched units of an index make.
func begin(p *program, x *index) *transaction {
	t := &transaction{program: p}
	if p.at != nil {
		t.before = make(map[*entry]entry, 2*len(x.touched))
		return t
	}
	p.cookie = x.hashes.cookie
	p.numbering = numbering[*entry]{first: uint64(Owner) << cookieBits, size: 1 << cookieBits,
		at:      make(map[uint64]*entry, 2*len(x.touched)),
		hash:    func(e *entry) uint64 { return p.cookie(e.Key()) },
		compare: func(a, b *entry) int { return openflow.Compare(a.Flow, b.Flow) }}
	return t
}

// keep remembers what a flow was before the change.
func (t *transaction) keep(e *entry) {
	if t.before == nil {
		return
	}
	if _, known := t.before[e]; !known {
		t.before[e] = *e
	}
}

func (t *transaction) number(e *entry, cookie uint64) {
	t.keep(e)
	e.Cookie = cookie
}

func (t *transaction) retract(flows []*entry) {
	for _, e := range flows {
		t.keep(e)
		e.of = nil
	}
	t.empty = append(t.empty, flows...)
}

// assert adds flows. No two units have a flow of one key: after such an error it returns those
// before, and the one that was there.
func (t *transaction) assert(flows []ownedFlow) (done []*entry, conflict *entry, err error) {
	done = make([]*entry, 0, len(flows))
	for _, f := range flows {
		e := t.find(f.Key())
		switch {
		case e == nil:
			e = &entry{Flow: f.Flow}
			t.insert(e, t.number)
		case e.of != nil:
			return done, e, newConflict(e.Flow, f.Flow)
		default:
			t.keep(e)
			e.Actions = f.Actions
		}
		e.of = f.of
		done = append(done, e)
	}
	return done, nil, nil
}

// undo makes the program what it was.
func (t *transaction) undo() {
	if t.before == nil {
		t.at = nil
	}
	for e := range t.before {
		if t.at[e.Cookie] == e {
			delete(t.at, e.Cookie)
		}
	}
	for e, old := range t.before {
		if old.of != nil {
			*e = old
			t.at[e.Cookie] = e
		}
	}
}

// commit returns what was changed.
func (t *transaction) commit() openflow.Delta {
	for _, e := range t.empty {
		if e.of == nil && t.at[e.Cookie] == e {
			t.remove(e.Cookie, t.number)
		}
	}
	var d openflow.Delta
	if t.before == nil {
		d.Add = t.list()
		t.fingerprint = FingerprintOf(d.Add)
	}
	for e, old := range t.before {
		switch {
		case e.of == nil:
			if old.of != nil {
				d.Delete = append(d.Delete, old.Flow)
				t.fingerprint = t.fingerprint.without(old.Flow)
			}
		case old.of == nil:
			d.Add = append(d.Add, e.Flow)
			t.fingerprint = t.fingerprint.with(e.Flow)
		case old.Flow != e.Flow:
			d.Add, d.Replaced = append(d.Add, e.Flow), append(d.Replaced, old.Flow)
			t.fingerprint = t.fingerprint.without(old.Flow).with(e.Flow)
		}
	}
	d.Sort()
	return d
}

// since returns what turns another program into this one.
func (p *program) since(before *program) openflow.Delta {
	return openflow.Diff(p.list(), before.list())
}

// list returns the flows in any order.
func (p *program) list() []openflow.Flow {
	out := make([]openflow.Flow, 0, len(p.at))
	for _, e := range p.at {
		out = append(out, e.Flow)
	}
	return out
}

// find returns the flow of a key; nil = there is none.
func (p *program) find(k openflow.Key) *entry {
	if p.at == nil {
		return nil
	}
	return p.numbering.find(p.cookie(k), func(e *entry) bool { return e.Key() == k })
}

// hashes are what numbers begin at.
type hashes struct {
	cookie func(openflow.Key) uint64 // [Owner] and the bits below
	rule   func(string) uint32       // of a [RuleKey]
}

// orDefault returns the hashes that static uses where none are given.
func (h hashes) orDefault() hashes {
	if h.cookie == nil {
		return hashes{cookie: cookieHash, rule: ruleHash}
	}
	return h
}

// cookieBits is the length of a cookie without the owner.
const cookieBits = 48

// cookieHash returns the owner and 48 bits of a hash of the key, in the text of ovs-ofctl: so a
// flow has the cookie that every release has given it.
func cookieHash(k openflow.Key) uint64 {
	var h xxhash.Digest
	h.Reset()
	_, _ = h.Write([]byte{k.Table, byte(k.Priority >> 8), byte(k.Priority)}) // cannot fail
	var space [256]byte
	_, _ = h.Write(k.Match.AppendText(space[:0]))
	return uint64(Owner)<<cookieBits | h.Sum64()>>(64-cookieBits)
}

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

// distance returns how many steps it is from one number to another.
func (n *numbering[E]) distance(from, to uint64) uint64 { return (to + n.size - from) % n.size }

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
		case n.distance(n.hash(e), number) >= n.distance(free, number):
			n.at[free] = e
			tell(e, free)
			free = number
		}
	}
}
