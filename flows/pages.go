package flows

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// What would be too long for one flow is written on several pages: flows with one match, told apart
// by reg4, which is 0 when a table is asked. A flow for page 0 then has the table asked once more
// for each of the other pages. No program has pages that needs none, so they cost nothing
// elsewhere.
//
//	table=52, priority=300,ip,reg4=0/0x80000000,nw_src=203.0.113.11 actions=conjunction(…
//	table=52, priority=300,ip,reg4=0x80000000/0x80000000,nw_src=203.0.113.11 actions=conjunction(…
//	table=52, priority=1,reg4=0 actions=set_field:0x80000000->reg4,resubmit(,52),set_field:0->reg4
//	table=52, priority=700,reg0=0x1/0x1 actions=set_field:0x1/0x1->reg0
//
// The rules of a page are those whose ids begin with its bits. So a rule is on the same page of
// every flow, or on one around it, and all of its clauses are met together; which page that is
// depends on its id alone, and a rule that comes or goes changes the page that it is on.

// capacity is how much goes where. The zero capacity is that of Open vSwitch.
type capacity struct {
	clauses int // of one flow
	list    int // other actions of one flow
	pages   int // of one table, beside page 0

	refuses func(unit, openflow.Flow) error // nil = no flow that keeps the contract of its table
}

// maxActions is how many conjunctions, outputs, or changes of a register one flow may carry: 16
// bytes each, in the 64 KiB that a message of OpenFlow may have.
const maxActions = 4000

// maxPages is how many pages the flow that has a table asked again may name, at two actions each.
// They are below the 4,096 resubmits that Open vSwitch lets one packet take (MAX_RESUBMITS in
// ofproto/ofproto-dpif-xlate.c).
const maxPages = 1900

func (c capacity) orDefault() capacity {
	c.clauses, c.list, c.pages = cmp.Or(c.clauses, maxActions), cmp.Or(c.list, maxActions),
		cmp.Or(c.pages, maxPages)
	return c
}

// page is the rules whose ids begin with some bits. The zero page is all of them.
type page struct {
	first ruleID // the lowest id
	bits  int
}

// half returns the lower half of a page, by 0, or the upper one.
func (p page) half(n uint32) page {
	return page{p.first | ruleID(n<<(31-p.bits)), p.bits + 1}
}

// match matches a packet while the page, or one that begins within it, is asked for.
func (p page) match() []openflow.OXM {
	if p.bits == 0 {
		return nil
	}
	return on(openflow.Masked(RegPage, uint64(p.first), uint64(^uint32(0)<<(32-p.bits))))
}

// split shares out parts, which are in the order of their ids, to pages of at most so many.
func (p page) split(parts []part, most int, each func(page, []part)) {
	if len(parts) <= most || p.bits == 32 {
		if len(parts) > 0 {
			each(p, parts)
		}
		return
	}
	upper := p.half(1)
	n, _ := slices.BinarySearchFunc(parts, upper.first, func(a part, id ruleID) int {
		if a.id < id {
			return -1
		}
		return 1
	})
	p.half(0).split(parts[:n], most, each)
	upper.split(parts[n:], most, each)
}

// start is where a page begins in a table. Where several begin with one id, one look finds them
// all.
type start struct {
	table TableID
	first ruleID
}

// again is the unit of the flows that have a rule table asked for its further pages.
type again struct {
	written
	table TableID
}

// The priorities of these flows are above and below all others of a rule table.
const (
	bandAdmitted uint16 = 700
	bandAgain    uint16 = 1
)

func (a *again) write(w *writer) {
	var as []openflow.Action
	for _, s := range w.startsOf(a.table) {
		as = append(as, setPage(uint32(s)), to(a.table))
	}
	switch starts := len(as) / 2; {
	case starts == 0:
		return
	case starts > w.capacity.pages:
		w.fail(&excessPages{w.startsOf(a.table)[w.capacity.pages]})
	}
	w.add(a.table, bandAdmitted, on(flags(FlagAdmitted)), setFlags(FlagAdmitted))
	w.add(a.table, bandAgain, on(pageKey(0)), append(as, setPage(0))...)
}

// startsOf returns where the pages of a table begin, but for page 0, in order.
func (x *index) startsOf(t TableID) []ruleID {
	var out []ruleID
	for s := range x.pages {
		if s.table == t && s.first > 0 {
			out = append(out, s.first)
		}
	}
	slices.Sort(out)
	return out
}

// turn notes pages that a unit has written, or, by -1, that it has no more.
func (x *index) turn(starts []start, by int) {
	for _, s := range starts {
		was := x.pages[s]
		if x.pages[s] += by; x.pages[s] == 0 {
			delete(x.pages, s)
		}
		if was == 0 || was+by == 0 {
			x.touch(x.again[s.table])
		}
	}
}

// continued is how far the further pages of a list are above its flow.
const continued = 10_000

// addList adds a flow whose actions may be too many for one: outputs to ports, or what is done for
// each of them. The flow then has its table asked again, page after page.
//
//	table=23, priority=100,arp actions=set_field:0x1->reg4,resubmit(,23),set_field:0x2->reg4,resubmit(,23)
//	table=23, priority=10100,arp,reg4=0x1 actions=set_field:0->reg4,output:1,output:2,…
func (w *writer) addList(t TableID, priority uint16, match []openflow.OXM,
	actions []openflow.Action) {
	var turns []openflow.Action
	for some := range slices.Chunk(actions, w.capacity.list-1) {
		n := uint32(len(turns)/2 + 1)
		turns = append(turns, setPage(n), to(t))
		w.addOne(t, priority+continued, append(on(pageKey(n)), match...),
			append([]openflow.Action{setPage(0)}, some...))
	}
	w.addOne(t, priority, match, turns)
}

// place is where clauses stand: a table and a band of priority in it.
type place struct {
	table TableID
	band  uint16
}

// part says that a match is one of the clauses of a rule.
type part struct {
	*rule
	clause openflow.Action
}

// clauses are the rules that one match is a part of. A flow carries all of them: a second flow of
// the same key would replace the first.
type clauses map[place][]part

func (c clauses) add(r *rule, k int) {
	at := place{r.table, r.band}
	c[at] = append(c[at], part{r, r.clauses[k-1]})
}

// sharedUnit is a unit of flows that rules share: the clauses, and what is matched for them.
type sharedUnit interface {
	unit
	clauses() (clauses, func(place) []openflow.OXM)
}

// each hands out the pages of each place, each with its rules in the order of their ids.
func (c clauses) each(most int, do func(place, page, []part)) {
	for at, parts := range c {
		slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.id, b.id) })
		// a network may be a peer of one rule for several reasons
		parts = slices.CompactFunc(parts, func(a, b part) bool { return a.id == b.id })
		page{}.split(parts, most, func(p page, some []part) { do(at, p, some) })
	}
}

// clauses writes a flow for each place where a unit has clauses, or several pages of it.
func (w *writer) clauses(u sharedUnit) {
	c, match := u.clauses()
	var excess []ruleID
	c.each(w.capacity.clauses, func(at place, p page, some []part) {
		if last, isLimited := w.out.last[at.table]; isLimited && p.bits > 0 && p.first >= last {
			for _, s := range some {
				excess = append(excess, s.id)
			}
			return
		}
		as := make([]openflow.Action, len(some))
		for n, s := range some {
			as[n] = s.clause
		}
		w.add(at.table, at.band, append(match(at), p.match()...), as...)
		if p.bits > 0 {
			w.pages = append(w.pages, start{at.table, p.first})
		}
	})
	if len(excess) > 0 {
		w.fail(&rulesError{excess,
			fmt.Errorf("too many rules of this host's groups share %s: more than %d pages of %d",
				nameOf(u), w.capacity.pages, w.capacity.clauses)})
	}
}
