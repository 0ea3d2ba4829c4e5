package flowtest

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Tie says which of several complete conjunctions of one priority decides. A switch promises
// nothing, so a test that allows ties runs with both.
type Tie uint8

// The lowest or the highest conjunction id decides.
const (
	LowestID Tie = iota
	HighestID
)

// Switch forwards packets through flows. It is made by [New] and is not safe for concurrent use.
type Switch struct {
	grammar grammar
	tables  [256]*table
	tracker conntrack
	tie     Tie

	exhausted map[uint32]bool // meters that drop
	// the rules of the last program, so that a small change costs little
	known map[openflow.Flow]*rule
}

// New returns a switch with the given flows and no connections. Its error names every flow that is
// not understood.
func New(fs []openflow.Flow) (*Switch, error) {
	s := &Switch{grammar: newGrammar(), tracker: conntrack{byTuple: map[zoneTuple]*connection{}}}
	return s, s.Replace(fs)
}

// Replace exchanges all flows, as a change of the policy does; connections stay. After an error the
// old flows stay.
func (s *Switch) Replace(fs []openflow.Flow) error {
	byTable, err := s.grammar.parse(fs, s.known)
	if err != nil {
		return err
	}
	var tables [256]*table
	for id, rules := range byTable {
		tables[id] = &table{}
		if err := tables[id].add(rules); err != nil {
			return err
		}
		if err := checkSizes(rules); err != nil {
			return fmt.Errorf("table %d: %w", id, err)
		}
	}
	s.tables, s.known = tables, make(map[openflow.Flow]*rule, len(fs))
	for _, rules := range byTable {
		for _, r := range rules {
			s.known[r.flow] = r
		}
	}
	return nil
}

// SetTie says which of several complete conjunctions decides from now on.
func (s *Switch) SetTie(t Tie) { s.tie = t }

// SetTracker says which tracker judges packets from now on; without it, [ReadsSCTPPorts].
func (s *Switch) SetTracker(t Tracker) { s.tracker.kind = t }

// Result is what became of a packet.
type Result struct {
	// Outputs are the ports that got a copy, in order, with repetitions. Empty = dropped.
	Outputs []uint32
	// Rewritten are the ports among them whose copy has other header fields than the packet that came
	// in.
	Rewritten []uint32
	// Commits are the entries of the connection tracker that were made or updated, in order.
	Commits []Connection
	// Meters are those that saw the packet, in order.
	Meters []uint32
	// Shown is how often controllers were sent a copy of it.
	Shown int
	// Trace is the way through the tables: one flow, or a miss, a line.
	Trace []string
	// Ties says where the outcome depends on what Open vSwitch leaves open.
	Ties []string
}

// Forward sends one packet through the tables, starting at table 0, and says what became of it. An
// error is a packet that contradicts itself or an endless way; then the packet went nowhere, as on
// a real switch.
func (s *Switch) Forward(p Packet) (Result, error) {
	return s.send(p, func(w *walk) error { return w.runTable(0) })
}

// Run does actions to one packet, as a packet-out does, and says what became of it, as Forward
// does.
func (s *Switch) Run(p Packet, actions openflow.Actions) (Result, error) {
	as, err := s.grammar.parseActions(actions.String(), &match{})
	if err != nil {
		return Result{}, err
	}
	return s.send(p, func(w *walk) error { return w.run(as) })
}

func (s *Switch) send(p Packet, begin func(*walk) error) (Result, error) {
	h, err := p.headers()
	if err != nil {
		return Result{}, fmt.Errorf("packet: %w", err)
	}
	var result Result
	w := walk{sw: s, packet: &p, original: &h, headers: h, result: &result, budget: new(int),
		clauses: map[uint32]uint64{}}
	if err := unmetered(begin(&w)); err != nil {
		return Result{Trace: result.Trace}, err
	}
	return result, nil
}

// The limits of Open vSwitch on resubmits: their depth, where only those that do not go to a later
// table count, and their number (MAX_DEPTH and MAX_RESUBMITS in ofproto-dpif-xlate.c).
const (
	maxDepth     = 64
	maxResubmits = maxDepth * maxDepth

	// maxRecircs is how often a packet may be recirculated (MAX_RECIRC_DEPTH in dpif-netdev.c).
	maxRecircs = 6
)

// walk is one packet on its way; a copy that ct() forks or clone() makes is a walk of its own.
type walk struct {
	sw       *Switch
	packet   *Packet
	original *headers // as it came in
	headers  headers
	result   *Result
	table    uint8
	depth    int
	recircs  int  // times the packet was recirculated
	budget   *int // resubmits since
	stack    []u128

	soft    []*rule // scratch of lookup
	done    []uint32
	clauses map[uint32]uint64
}

// runTable looks the packet up in a table and runs what it finds; a miss drops.
func (w *walk) runTable(id uint8) error {
	var r *rule
	if t := w.sw.tables[id]; t != nil {
		r = t.lookup(w)
	}
	if r == nil {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("table=%d no match", id))
		return nil
	}
	w.result.Trace = append(w.result.Trace, r.text)
	from := w.table
	w.table = id
	err := w.run(r.actions)
	w.table = from
	return err
}

func (w *walk) run(as []action) error {
	for _, a := range as {
		if err := a.run(w); err != nil {
			return err
		}
	}
	return nil
}

// fork returns a copy, its stack included, whose writes do not come back.
func (w *walk) fork() *walk {
	c := *w
	c.stack = slices.Clone(w.stack)
	c.soft, c.done, c.clauses = nil, nil, map[uint32]uint64{}
	return &c
}

func (a output) run(w *walk) error {
	if number(a.port) == w.headers[slotInPort] {
		return nil
	}
	w.result.Outputs = append(w.result.Outputs, a.port)
	if w.rewritten() {
		w.result.Rewritten = append(w.result.Rewritten, a.port)
	}
	return nil
}

// rewritten says whether a header field, rather than a register, differs from the packet that came
// in. A tag that was taken off is no difference to who reads the rest.
func (w *walk) rewritten() bool {
	return !slices.Equal(w.headers[slotVLAN+1:], w.original[slotVLAN+1:])
}

func (a show) run(w *walk) error {
	w.result.Shown++
	return nil
}

func (a resubmit) run(w *walk) error {
	*w.budget++
	if w.depth >= maxDepth || *w.budget > maxResubmits {
		return fmt.Errorf("table %d: %s: resubmits too deep or too many", w.table, a)
	}
	deeper := 0
	if a.table <= w.table {
		deeper = 1
	}
	w.depth += deeper
	err := w.runTable(a.table)
	w.depth -= deeper
	return err
}

func (a setField) run(w *walk) error {
	w.headers[a.slot] = w.headers[a.slot].andNot(a.mask).or(a.value)
	return nil
}

// run of a move does nothing to a packet that lacks the fields, as a later fragment lacks ports.
func (a move) run(w *walk) error {
	if f := (knownHeaders{&w.headers, nil}); f.holds(a.from.needs) && f.holds(a.to.needs) {
		a.to.write(&w.headers, a.from.read(&w.headers))
	}
	return nil
}

func (a push) run(w *walk) error {
	w.stack = append(w.stack, a.from.read(&w.headers))
	return nil
}

func (a pop) run(w *walk) error {
	if len(w.stack) == 0 {
		return fmt.Errorf("table %d: %s: the stack is empty", w.table, a)
	}
	last := len(w.stack) - 1
	a.to.write(&w.headers, w.stack[last])
	w.stack = w.stack[:last]
	return nil
}

func (ctClear) run(w *walk) error {
	clearTracking(&w.headers)
	return nil
}

func (popVLAN) run(w *walk) error {
	w.headers[slotVLAN] = u128{}
	return nil
}

func (a clone) run(w *walk) error { return unmetered(w.fork().run(a.actions)) }

// run of ct() tracks the packet, goes on with a copy that knows its state where a table is given,
// and leaves the packet itself untracked: `ovs-appctl ofproto/trace` says "Sets the packet to an
// untracked state, and clears all the conntrack fields".
func (a track) run(w *walk) error {
	if w.rewritten() {
		return fmt.Errorf("table %d: %s: tracking a rewritten packet is not understood", w.table, a)
	}
	zone := a.zone
	if a.zoneFrom != nil {
		zone = uint16(a.zoneFrom.read(&w.headers).lo)
	}
	v := w.sw.tracker.verdictOn(zone, w.packet)
	if a.commit {
		if err := a.save(w, zone, &v); err != nil {
			return err
		}
	}
	if a.recircs {
		if w.recircs == maxRecircs {
			return fmt.Errorf("table %d: %s: recirculated too often", w.table, a)
		}
		c := w.fork()
		v.show(&c.headers, zone)
		c.depth, c.budget, c.recircs = 0, new(int), w.recircs+1
		if err := unmetered(c.runTable(a.table)); err != nil {
			return err
		}
	}
	clearTracking(&w.headers)
	return nil
}

// save commits. The nested actions run on the fields that the packet has now; only the bits that
// they write reach the entry.
func (a track) save(w *walk, zone uint16, v *verdict) error {
	c := w.fork()
	var markMask, labelMask u128
	for _, e := range a.exec {
		if err := e.run(c); err != nil {
			return err
		}
		to, mask := written(e)
		if to == slotCTMark {
			markMask = markMask.or(mask)
		} else {
			labelMask = labelMask.or(mask)
		}
	}
	mark, label := c.headers[slotCTMark], c.headers[slotCTLabel]
	conn := w.sw.tracker.commit(zone, *v, func(m uint32, l u128) (uint32, u128) {
		merged := number(m).andNot(markMask).or(mark.and(markMask))
		return uint32(merged.lo), l.andNot(labelMask).or(label.and(labelMask))
	})
	if conn != nil {
		v.conn = conn
		w.result.Commits = append(w.result.Commits, conn.export())
	}
	return nil
}

// written returns what an action within exec() writes.
func written(a action) (slot, u128) {
	switch a := a.(type) {
	case setField:
		return a.slot, a.mask
	case move:
		return a.to.slot, a.to.mask()
	}
	return 0, u128{}
}
