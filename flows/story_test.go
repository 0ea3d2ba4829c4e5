package flows_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// story is what one switch lives through: programs that replace one another, and packets. What
// becomes of each packet was held against the specification when the story was written; told again
// with another program, it tells whether that program does the same.
type story struct {
	inputs    []flows.Input
	programs  [][]openflow.Flow
	steps     []step
	sw        *flowtest.Switch
	dense     bool // every step is about every flow
	discovery bool
	// the switch's own connections count, so that the steps have to be told in order and from the
	// first
	tracked bool
}

// step is one packet and what becomes of it.
type step struct {
	program int
	packet  spec.Packet
	seen    flowtest.Packet
	want    outcome
	trace   []string
	entries []flowtest.Connection // what the connection tracker remembered
	of      []string              // the flows that the packet has met which it was made of
	tables  uint64                // the tables that it has met, as bits
}

// outcome is what can be seen of a packet's fate.
type outcome struct {
	Receivers string
	commits   string // zones and marks
	refused   string // the port whose counter of refused packets it ended in
	asked     bool   // a rule table was asked
	held      uint64 // the state tables that a fragment came to, as bits: there it is put together
}

// outcomeOf reads an outcome; an error is what no packet may show: rewritten headers, or a
// connection in the name of a rule that does not admit it.
func (s *story) outcomeOf(st *step, r flowtest.Result) (outcome, error) {
	in := s.inputs[st.program]
	out := outcome{Receivers: flowtest.Receivers(in, r.Outputs),
		asked: slices.ContainsFunc(r.Trace, askedRules)}
	if st.packet.Fragment != spec.Whole {
		out.held = tablesOf(r.Trace) & (1<<31 | 1<<51)
	}
	for _, c := range r.Commits {
		out.commits += fmt.Sprintf("zone %d mark %d, ", c.Zone, c.Mark)
		if !slices.Contains(st.entries, c) && !admittedBy(in, st.packet, c) {
			return out, fmt.Errorf("rule %d does not admit it in zone %d", c.Rule, c.Zone)
		}
	}
	if last := r.Trace[len(r.Trace)-1]; strings.Contains(last, "priority=50,") {
		out.refused = last[strings.Index(last, "table="):]
	}
	if len(r.Rewritten) > 0 {
		return out, fmt.Errorf("rewritten for %v", r.Rewritten)
	}
	return out, nil
}

// admittedBy says whether the rule that a new entry names would admit the packet by itself.
func admittedBy(in flows.Input, p spec.Packet, c flowtest.Connection) bool {
	at := slices.IndexFunc(in.Bindings, func(b flows.Binding) bool { return b.Zone == c.Zone })
	if at < 0 {
		return false
	}
	port := in.Bindings[at].Port
	if port == p.From && sentToItself(in, p) {
		return true // both directions of one port are asked, and nobody receives it
	}
	needed := policy.Ingress
	if sender, reply := port == p.From, p.Conntrack[port].Side == spec.ReplySide; sender != reply {
		needed = policy.Egress
	}
	alone := in.Policy.Clone()
	ids := flows.RuleIDs(in.Policy)
	for _, g := range alone.Groups {
		g.Rules = slices.DeleteFunc(g.Rules, func(r policy.Rule) bool {
			return c.Rule != 1 && (ids[flows.RuleKey(g.Name, r)] != c.Rule || r.Direction != needed)
		})
	}
	if c.Rule != 1 && !slices.ContainsFunc(alone.Groups,
		func(g *policy.Group) bool { return len(g.Rules) > 0 }) {
		return false
	}
	for _, i := range alone.Instances { // nobody else is asked
		if other := &i.Ports[0]; other.Name != port {
			other.Trusted = true
		}
	}
	d := spec.Decide(spec.World{Policy: alone, Site: in.Site}, p)
	verdict := d.Ingress
	if port == p.From {
		verdict = d.Egress
	}
	return verdict.Admitted && (c.Rule == 1) == (verdict.Rule == nil)
}

// sentToItself says whether a port sends to a MAC of its own.
func sentToItself(in flows.Input, p spec.Packet) bool {
	for _, i := range in.Policy.Instances {
		for _, port := range i.Ports {
			own := func(u policy.Use) bool { return u.MAC == p.DstMAC }
			if port.Name == p.From && (port.MAC == p.DstMAC || slices.ContainsFunc(port.Uses(), own)) {
				return true
			}
		}
	}
	return false
}

// send adds a packet to the story: the switch must do what the specification says.
func (s *story) send(t require.TestingT, sw *flowtest.Switch, p spec.Packet,
	seen flowtest.Packet) (step, flowtest.Result) {
	st := step{program: len(s.programs) - 1, packet: p, seen: seen}
	in := s.inputs[st.program]
	want := spec.Decide(spec.World{Policy: in.Policy, Site: in.Site}, p)
	got, err := sw.Forward(seen)
	require.NoError(t, err)
	st.want, err = s.outcomeOf(&st, got)
	require.NoError(t, err, "%+v\n%s", p, strings.Join(got.Trace, "\n"))
	require.Equal(t, strings.Replace(flowtest.ReceiversOf(want), "eth1", "eth1 eth1", 1),
		st.want.Receivers, "%+v: %s\n%s", p, want.Reason, strings.Join(got.Trace, "\n"))
	for _, c := range got.Commits {
		for _, b := range in.Bindings {
			require.True(t, b.Zone != c.Zone || b.Epoch == c.Mark, "%+v commits %s", p, c)
		}
	}
	if side := p.Conntrack[p.From].Side; strings.HasPrefix(want.Reason, "egress: no rule") &&
		side <= spec.ReplySide {
		require.NotEmpty(t, st.want.refused, "%+v is refused, but not counted\n%s", p,
			strings.Join(got.Trace, "\n"))
	}
	st.trace, st.entries, st.tables = got.Trace, got.Commits, tablesOf(got.Trace)
	return st, got
}

// tablesOf returns the tables of a trace.
func tablesOf(trace []string) uint64 {
	var bits uint64
	for _, line := range trace {
		_, rest, _ := strings.Cut(line, "table=")
		number, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.Atoi(number)
		bits |= 1 << n
	}
	return bits
}

// install adds a program, with two uplinks that get the same.
func (s *story) install(t require.TestingT, sw *flowtest.Switch, in flows.Input) {
	in.Uplinks = append(slices.Clone(in.Uplinks), flows.Uplink{Name: "eth1", OFPort: 99})
	p, err := flows.Compile(in)
	require.NoError(t, err)
	require.NoError(t, sw.Replace(p.Flows))
	s.inputs, s.programs = append(s.inputs, in), append(s.programs, p.Flows)
}

// boundApart binds as bound does, but no two ports have the same epoch, and none that of its zone.
func boundApart(p *policy.Policy, site policy.Site) flows.Input {
	in := flowtest.Bound(p, site)
	for n := range in.Bindings {
		in.Bindings[n].Epoch = uint32(n) + 101
	}
	return in
}

// newStorySwitch returns a switch with the first program of a story.
func newStorySwitch(must require.TestingT, s *story, in flows.Input) *flowtest.Switch {
	sw, err := flowtest.New(nil)
	require.NoError(must, err)
	s.install(must, sw, in)
	s.sw = sw
	return sw
}

// drawStory tells of one world: packets that hit as many flows as can be, and for each flow packets
// that just miss it: the same distorted in one field.
func drawStory(must require.TestingT, t *rapid.T) *story {
	w := policytest.DrawWorld(t)
	s := &story{}
	sw := newStorySwitch(must, s, boundApart(w.Policy, w.Site))
	met := map[string]int{}
	for n := range 900 {
		p, ok := policytest.DrawAimed(t, w)
		if n%3 == 0 || !ok {
			p = policytest.DrawPacket(t, w)
		}
		st, _ := s.send(must, sw, p, s.seen(p, outOfDate))
		rare := false
		for _, line := range st.trace {
			met[line]++
			rare = rare || met[line] <= 2
		}
		s.steps = append(s.steps, st)
		if rare {
			s.nearMisses(must, sw, st)
		}
	}
	return s
}

// nearMisses adds the packet again with connections that are current, then distorted in each of its
// fields.
func (s *story) nearMisses(must require.TestingT, sw *flowtest.Switch, of step) {
	add := func(p spec.Packet, age age) {
		st, _ := s.send(must, sw, p, s.seen(p, age))
		st.of = of.trace
		s.steps = append(s.steps, st)
	}
	add(of.packet, current)
	for _, p := range append(distortedInEachField(of.packet, s.inputs[0]),
		distortedAtEdges(of.packet, of.trace)...) {
		add(p, outOfDate)
	}
}

// age says whether the connections of a packet were admitted in this epoch.
type age uint8

const (
	outOfDate age = iota
	current
)

// seen returns the packet as it meets the switch. What is current is admitted still; and an ICMP
// error passes only by a current connection, so that those are never out of date.
func (s *story) seen(p spec.Packet, a age) flowtest.Packet {
	in := s.inputs[len(s.inputs)-1]
	seen := flowtest.FromPolicy(p, in)
	want := spec.Decide(spec.World{Policy: in.Policy, Site: in.Site}, p)
	for n, b := range in.Bindings {
		known := seen.Known[b.Zone]
		admitted := slices.Contains(want.Ports, b.Port) || b.Port == p.From && want.Egress.Admitted
		related := known.Side == spec.RelatedOriginal || known.Side == spec.RelatedReply
		if admitted && (related || a == current &&
			(known.Side == spec.OriginalSide || known.Side == spec.ReplySide)) {
			known.Mark = b.Epoch
		} else if other := in.Bindings[(n+1)%len(in.Bindings)].Epoch; other != b.Epoch {
			known.Mark = other // which is no epoch of this port
		}
		seen.Known[b.Zone] = known
	}
	return seen
}

// drawHistory tells of connections that live through changes of the policy, as
// TestRevocationIsExact does.
func drawHistory(must require.TestingT, t *rapid.T) *story {
	w := policytest.DrawWorld(t)
	in := flowtest.Bound(w.Policy, w.Site)
	scratch, err := flowtest.New(compile(t, in).Flows)
	require.NoError(must, err)
	opened := openConnections(t, w, in, scratch)
	s := &story{tracked: true}
	sw := newStorySwitch(must, s, in)
	for _, c := range opened {
		c.known, c.mixed = map[string]bool{}, sentToItself(in, c.first)
		s.continued(must, sw, c, c.first)
		s.continued(must, sw, c, c.reply)
		s.continued(must, sw, c, c.first)
	}
	for range 3 {
		next := changed(t, w)
		after := in
		after.Policy, after.Bindings = next.Policy, slices.Clone(in.Bindings)
		for i := range after.Bindings {
			if slices.Contains(flows.RevokedPorts(in, after), after.Bindings[i].Port) {
				after.Bindings[i].Epoch += 10
			}
		}
		s.install(must, sw, after)
		for _, c := range opened {
			for _, p := range []spec.Packet{c.reply, c.first, c.reply} {
				s.continued(must, sw, c, p)
			}
		}
		w, in = next, after
	}
	return s
}

// historyStories tells of worlds in which something happens: in half of those that are drawn nobody
// opens a connection.
func historyStories(must require.TestingT) []teller {
	var out []teller
	for n := 0; len(out) < 20; n++ {
		if len(nthStory(must, drawHistory, n).steps) >= 50 {
			out = append(out, func() *story { return nthStory(must, drawHistory, n) })
		}
	}
	return out
}

// continued adds a packet of a connection whose entries the switch holds itself.
func (s *story) continued(must require.TestingT, sw *flowtest.Switch, c *connection,
	p spec.Packet) {
	if c.mixed {
		return
	}
	in := s.inputs[len(s.inputs)-1]
	side := c.tracked(&p, in)
	seen := flowtest.FromPolicy(p, in)
	seen.Known = nil
	st, got := s.send(must, sw, p, seen)
	for _, commit := range got.Commits {
		for _, b := range in.Bindings {
			if b.Zone == commit.Zone && !c.known[b.Port] {
				c.known[b.Port], c.mixed = true, side == spec.ReplySide
			}
		}
	}
	s.steps = append(s.steps, st)
}

// The stories are true: what this test would not find, the mutations could not either.
func TestStoriesAgreeWithTheSpecification(t *testing.T) {
	for n := range 2 {
		s, h := nthStory(t, drawStory, n), nthStory(t, drawHistory, n)
		t.Logf("%d packets, and %d in %d programs", len(s.steps), len(h.steps), len(h.programs))
		require.Greater(t, len(s.steps), 700)
	}
}

// nthStory returns the n-th story of a kind, always the same.
func nthStory(must require.TestingT, draw func(require.TestingT, *rapid.T) *story, n int) *story {
	return rapid.Custom(func(t *rapid.T) *story { return draw(must, t) }).Example(n)
}
