package flows

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Owner is the upper 16 bits of the cookie of every flow of ours.
const Owner uint16 = 0x5043

// Program is everything that a switch must hold for one policy: sorted, no two flows of one key.
type Program struct {
	Flows []Flow
	Limits
}

// String returns one line for each flow, and before them a comment for each limit: the same bytes for the same program.
func (p *Program) String() string {
	var b strings.Builder
	b.WriteString(p.Limits.text())
	for _, f := range p.Flows {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// program is the flows of all units, by cookie, and what is known of them as a whole.
type program struct {
	flows map[uint64]*entry
	salt  uint64 // of the cookies: 0, unless two flows would have one cookie
	mark  Mark
	looks uint32 // how often it was compared with a switch
}

// entry is a flow of a program.
type entry struct {
	Flow
	units int    // that have it; mostly one
	seen  uint32 // the last look that met it
}

var errSameCookie = errors.New("two flows have one cookie")

// write lets every touched unit write its flows, and makes the program hold those instead of what it wrote before. After an error
// the program is as it was.
func (p *program) write(x *index) (Delta, error) {
	t := transaction{program: p}
	if len(p.flows) > 0 {
		t.before = make(map[uint64]entry, 2*len(x.touched))
	} else {
		p.flows = make(map[uint64]*entry, 2*len(x.touched))
	}
	for _, u := range x.touched {
		t.retract(u.record().cookies)
	}
	cookies := make([][]uint64, 0, len(x.touched))
	for some := range slices.Chunk(x.touched, maxWriting) {
		lists, err := writeUnits(x, some)
		for n := 0; n < len(lists) && err == nil; n++ {
			var done []uint64
			done, err = t.assert(lists[n])
			cookies = append(cookies, done)
		}
		if err != nil {
			t.undo()
			return Delta{}, err
		}
	}
	for n, u := range x.touched {
		*u.record() = written{cookies: cookies[n]}
	}
	x.touched = nil
	return t.commit(), nil
}

// transaction is one change of a program.
type transaction struct {
	*program
	before map[uint64]entry // what was at the cookies that it changes; without units = nothing. nil = the program was empty
	first  []Flow           // of a program that was empty
}

func (t *transaction) at(cookie uint64) *entry {
	e := t.flows[cookie]
	if e == nil {
		e = &entry{}
		t.flows[cookie] = e
	}
	if _, known := t.before[cookie]; !known && t.before != nil {
		t.before[cookie] = *e
	}
	return e
}

func (t *transaction) retract(cookies []uint64) {
	for _, c := range cookies {
		t.at(c).units--
	}
}

// assert gives flows their cookies and adds them. Two units may have the same flow, but not two flows of one key.
func (t *transaction) assert(flows []Flow) ([]uint64, error) {
	cookies := make([]uint64, len(flows))
	for n, f := range flows {
		f.Cookie = cookie(f.Key(), t.salt)
		e := t.at(f.Cookie)
		switch {
		case e.units == 0:
			e.Flow = f
			if t.before == nil {
				t.first = append(t.first, f)
			}
		case e.Key() != f.Key():
			return nil, errSameCookie
		case e.Actions != f.Actions:
			return nil, &ConflictError{A: e.Flow, B: f}
		}
		e.units++
		cookies[n] = f.Cookie
	}
	return cookies, nil
}

func (t *transaction) undo() {
	if t.before == nil {
		t.flows = nil
	}
	for c, e := range t.before {
		if e.units == 0 {
			delete(t.flows, c)
		} else {
			*t.flows[c] = e
		}
	}
}

// commit returns what was changed.
func (t *transaction) commit() Delta {
	var d Delta
	if t.before == nil {
		d.Add = t.first
		t.mark = MarkOf(d.Add)
	}
	for c, old := range t.before {
		e := t.flows[c]
		switch {
		case e.units == 0:
			delete(t.flows, c)
			if old.units > 0 {
				d.Delete = append(d.Delete, old.Flow)
				t.mark = t.mark.without(old.Flow)
			}
		case old.units == 0:
			d.Add = append(d.Add, e.Flow)
			t.mark = t.mark.with(e.Flow)
		case old.Flow != e.Flow:
			d.Add, d.Replaced = append(d.Add, e.Flow), append(d.Replaced, old.Flow)
			t.mark = t.mark.without(old.Flow).with(e.Flow)
		}
	}
	d.sort()
	return d
}

// since returns what turns another program into this one, whatever their salts.
func (p *program) since(before *program) Delta {
	return Diff(p.list(), before.list())
}

// list returns the flows in any order.
func (p *program) list() []Flow {
	out := make([]Flow, 0, len(p.flows))
	for _, e := range p.flows {
		out = append(out, e.Flow)
	}
	return out
}

// cookie returns the owner and 48 bits of a hash of the key.
func cookie(k Key, salt uint64) uint64 {
	var h xxhash.Digest
	h.ResetWithSeed(salt)
	hashKey(&h, k)
	return uint64(Owner)<<48 | h.Sum64()>>16
}

func hashKey(h *xxhash.Digest, k Key) {
	_, _ = h.Write([]byte{k.Table, byte(k.Priority >> 8), byte(k.Priority)}) // cannot fail
	_, _ = h.WriteString(k.Match)
}

// Mark stands for a set of flows: two sets that are not the same have different marks, but for one in 2^128. The zero Mark is that of
// no flows.
type Mark struct{ high, low uint64 }

// with returns the mark of the set and one flow more.
func (m Mark) with(f Flow) Mark {
	high, low := digest(f)
	sum, carry := bits.Add64(m.low, low, 0)
	m.low = sum
	m.high, _ = bits.Add64(m.high, high, carry)
	return m
}

// without returns the mark of the set and one flow less.
func (m Mark) without(f Flow) Mark {
	high, low := digest(f)
	difference, borrow := bits.Sub64(m.low, low, 0)
	m.low = difference
	m.high, _ = bits.Sub64(m.high, high, borrow)
	return m
}

// MarkOf returns the mark of a set of flows.
func MarkOf(flows []Flow) Mark {
	var m Mark
	for _, f := range flows {
		m = m.with(f)
	}
	return m
}

// digest returns two hashes of all of a flow.
func digest(f Flow) (high, low uint64) {
	var sums [2]uint64
	var cookie [9]byte // begins with what no match holds
	binary.BigEndian.PutUint64(cookie[1:], f.Cookie)
	for seed := range sums {
		var h xxhash.Digest
		h.ResetWithSeed(uint64(seed))
		hashKey(&h, f.Key())
		_, _ = h.Write(cookie[:])
		_, _ = h.WriteString(f.Actions)
		sums[seed] = h.Sum64()
	}
	return sums[0], sums[1]
}
