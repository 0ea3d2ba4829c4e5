package flowtest_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// program reads "table priority match => actions" lines; "*" matches every packet.
func program(t testing.TB, text string) []openflow.Flow {
	t.Helper()
	var fs []openflow.Flow
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		left, actions, ok := strings.Cut(strings.TrimSpace(line), " => ")
		words := strings.Fields(left)
		require.True(t, ok && len(words) == 3, line)
		table, err := strconv.ParseUint(words[0], 10, 8)
		require.NoError(t, err)
		priority, err := strconv.ParseUint(words[1], 10, 16)
		require.NoError(t, err)
		fs = append(fs, openflow.Flow{Table: uint8(table), Priority: uint16(priority),
			Match:   openflow.ParseMatch(strings.Replace(words[2], "*", "", 1)),
			Actions: openflow.ParseActions(actions)})
	}
	return fs
}

func newSwitch(t testing.TB, text string) *flowtest.Switch {
	t.Helper()
	sw, err := flowtest.New(program(t, text))
	require.NoError(t, err)
	return sw
}

func forward(t testing.TB, sw *flowtest.Switch, p flowtest.Packet) flowtest.Result {
	t.Helper()
	r, err := sw.Forward(p)
	require.NoError(t, err)
	return r
}

var (
	hostA = netip.MustParseAddr("10.0.0.1")
	hostB = netip.MustParseAddr("10.0.0.2")
)

func udp(in uint32, src, dst netip.Addr, sport, dport uint16) flowtest.Packet {
	return ip(in, 17, src, dst, sport, dport)
}

func tcp(in uint32, src, dst netip.Addr, sport, dport uint16) flowtest.Packet {
	return ip(in, 6, src, dst, sport, dport)
}

func ip(in uint32, proto uint8, src, dst netip.Addr, sport, dport uint16) flowtest.Packet {
	p := flowtest.Packet{InPort: in, EtherType: 0x0800, IPSrc: src, IPDst: dst, Proto: proto, TTL: 64,
		SrcPort: sport, DstPort: dport}
	if src.Is6() {
		p.EtherType = 0x86dd
	}
	return p
}

func TestPrecedence(t *testing.T) {
	for name, c := range map[string]struct {
		flows string
		want  []uint32
		trace []string // what the trace's lines must hold
	}{
		"the highest priority wins": {
			flows: `0 5 ip => output:2
			        0 9 tcp => output:3
			        0 7 tcp,tp_dst=80 => output:4`, want: []uint32{3}},
		"a miss drops": {flows: "0 5 udp => output:2", trace: []string{"table=0 no match"}},
		"drop drops": {flows: `0 5 * => drop
			0 4 ip => output:2`},
		"a masked port": {
			flows: `0 5 tcp,tp_dst=0x50/0xfff0 => output:2
			        0 4 tcp => output:3`, want: []uint32{2}},
		"E1: the accept flow is looked up in the whole table": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 50 ip => output:3
			        0 40 conj_id=1,ip => output:2`, want: []uint32{3}},
		"E1, its twin: the accept flow at the priority of the clauses": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 50 ip => output:3
			        0 100 conj_id=1,ip => output:2`, want: []uint32{2}},
		"E2: the first complete id decides, also where it has no accept flow": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2),conjunction(2,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2),conjunction(2,2/2)
			        0 100 conj_id=2,ip => output:2`},
		"an incomplete conjunction is none": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/3)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/3)
			        0 100 tcp,tp_dst=81 => conjunction(1,3/3)
			        0 100 conj_id=1,ip => output:2
			        0 1 * => output:4`, want: []uint32{4}},
		"the clauses of two ids are not added up": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(2,2/2)
			        0 100 conj_id=1,ip => output:2
			        0 100 conj_id=2,ip => output:3`},
		"E6: clauses at two priorities never combine": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 90 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 100 conj_id=1,ip => output:2`},
		"E10: a hard flow of the same priority wins": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 100 conj_id=1,ip => output:2
			        0 100 ip,nw_dst=10.0.0.2 => output:3`, want: []uint32{3}},
		"a hard flow below the clauses loses": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 99 ip,nw_dst=10.0.0.2 => output:3
			        0 100 conj_id=1,ip => output:2`, want: []uint32{2}},
		"a lower conjunction counts when the higher one is incomplete": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=81 => conjunction(1,2/2)
			        0 90 ip,nw_src=10.0.0.1 => conjunction(2,1/2)
			        0 90 tcp,tp_dst=80 => conjunction(2,2/2)
			        0 100 conj_id=1,ip => output:2
			        0 90 conj_id=2,ip => output:3`, want: []uint32{3}},
		"a hard flow of the same match beneath a clause": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 50 ip,nw_src=10.0.0.1 => output:3`, want: []uint32{3}},
		"it is found too where the conjunction has no accept flow": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 50 ip,nw_src=10.0.0.1 => output:3`, want: []uint32{3}},
		"unless the second lookup finds any other": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 50 ip,nw_src=10.0.0.1 => output:3
			        0 30 ip => output:4`, want: []uint32{4}},
		"that hard flow is hidden from the second lookup": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 50 ip,nw_src=10.0.0.1 => output:3
			        0 40 conj_id=1,ip => output:2`, want: []uint32{2}},
		"beneath a clause the higher of two hard flows wins": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 60 ip,nw_src=10.0.0.1 => output:3
			        0 50 ip => output:4`, want: []uint32{3}},
		"beneath a clause a lower hard flow does not": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 40 ip,nw_src=10.0.0.1 => output:3
			        0 50 ip => output:4`, want: []uint32{4}},
		"conj_id is forgotten after the lookup": {
			flows: `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2)
			        0 100 tcp,tp_dst=80 => conjunction(1,2/2)
			        0 100 conj_id=1,ip => resubmit(,1)
			        1 5 conj_id=1 => output:2
			        1 4 * => output:3`, want: []uint32{3}},
		"a clone has the stack, and pops only its own": {
			flows: `0 5 ip => set_field:0x7->reg5,push:NXM_NX_REG5[],clone(pop:NXM_NX_REG1[],resubmit(,1)),pop:NXM_NX_REG2[],resubmit(,1)
			        1 5 reg1=0x7 => output:3
			        1 5 reg2=0x7 => output:4`, want: []uint32{3, 4}},
		"so has what ct forks": {
			flows: `0 5 ip => set_field:0x7->reg5,push:NXM_NX_REG5[],ct(table=1),pop:NXM_NX_REG2[],resubmit(,2)
			        1 5 ip => pop:NXM_NX_REG1[],resubmit(,2)
			        2 5 reg1=0x7 => output:3
			        2 5 reg2=0x7 => output:4`, want: []uint32{3, 4}},
		"E12: ip matches tagged packets, vlan_tci does not": {
			flows: `0 5 ip,vlan_tci=0x0000/0x1fff => output:2
			        0 4 ip => output:3`, want: []uint32{2}},
		"E18: output to the port it came from is skipped": {
			flows: "0 5 * => output:1,output:2", want: []uint32{2}},
		"resubmit comes back, registers stay": {
			flows: `0 5 ip => set_field:0x10/0x30->reg0,resubmit(,1),output:4
			        1 5 reg0=0x10/0x30 => set_field:0x7->reg1,resubmit(,2),output:3
			        2 5 reg0=0x10,reg1=0x7 => output:2`, want: []uint32{2, 3, 4},
			trace: []string{"table=0, priority=5,ip", "table=1", "table=2"}},
		"clone forgets what it writes": {
			flows: `0 5 ip => clone(set_field:0x1->reg0,resubmit(,1)),resubmit(,1)
			        1 5 reg0=0x1 => output:2
			        1 4 * => output:3`, want: []uint32{2, 3}},
		"set_field keeps the bits outside the mask": {
			flows: `0 5 ip => set_field:0xff->reg0,set_field:0/0xf0->reg0,resubmit(,1)
			        1 5 reg0=0xf => output:2`, want: []uint32{2}},
	} {
		t.Run(name, func(t *testing.T) {
			r := forward(t, newSwitch(t, c.flows), tcp(1, hostA, hostB, 1000, 80))
			require.Equal(t, c.want, r.Outputs, "%s", strings.Join(r.Trace, "\n"))
			for i, want := range c.trace {
				require.Contains(t, r.Trace[i], want)
			}
			require.Empty(t, r.Rewritten)
		})
	}
}

func TestTiesAreReported(t *testing.T) {
	sw := newSwitch(t, `0 100 ip,nw_src=10.0.0.1 => conjunction(1,1/2),conjunction(2,1/2)
		0 100 tcp,tp_dst=80 => conjunction(1,2/2),conjunction(2,2/2)
		0 100 conj_id=1,ip => output:2
		0 100 conj_id=2,ip => output:3`)
	r := forward(t, sw, tcp(1, hostA, hostB, 1000, 80))
	require.Equal(t, []uint32{2}, r.Outputs)
	require.Equal(t, []string{"conjunctions [1 2] are all complete"}, r.Ties)
	sw.SetTie(flowtest.HighestID)
	require.Equal(t, []uint32{3}, forward(t, sw, tcp(1, hostA, hostB, 1000, 80)).Outputs)

	sw = newSwitch(t, "0 5 tcp => output:2\n0 5 ip,nw_src=10.0.0.1 => output:3\n0 5 ip,nw_src=10.0.0.2 => output:4")
	r = forward(t, sw, tcp(1, hostA, hostB, 1000, 80))
	require.Len(t, r.Ties, 1)
	require.Contains(t, r.Ties[0], "output:2 and")
	sw = newSwitch(t, "0 5 tcp => output:2\n0 5 ip,nw_src=10.0.0.1 => output:2")
	require.Empty(t, forward(t, sw, tcp(1, hostA, hostB, 1000, 80)).Ties)
}

func TestEndlessWays(t *testing.T) {
	// count goes n times from the table to itself and then does what comes last.
	count := func(table, n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d 5 reg1=%#x => set_field:%#x->reg1,resubmit(,%d)\n", table, i+1, i+2, table)
		}
		return b.String() + fmt.Sprintf("%d 5 ip,reg1=%#x => %s\n", table, n+1, last)
	}
	const begin = "0 4 * => set_field:0x1->reg1,resubmit(,1)\n1 5 * => resubmit(,0)" // one deeper
	chain := func(n int) string { return count(0, n, "output:2") + begin }
	for name, c := range map[string]struct {
		flows, want string
	}{
		"a circle":              {"0 5 * => resubmit(,0)", "resubmits"},
		"63 deeper":             {chain(63), ""},
		"64 deeper":             {chain(64), "resubmits"},
		"a later table is free": {"0 5 * => " + strings.Repeat("resubmit(,1),", 4095) + "output:2", ""},
		"but only 4096 times": {"0 5 * => " + strings.Repeat("resubmit(,1),", 4097) +
			"output:2\n1 5 * => drop", "resubmits"},
		"ct begins anew": {count(0, 40, "set_field:0x1->reg1,ct(table=2)") +
			count(2, 40, "output:2") + begin, ""},
		"and counts on without": {count(0, 40, "set_field:0x1->reg1,resubmit(,2)") +
			count(2, 40, "output:2") + begin, "resubmits"},
		"back from a later table": {count(0, 62, "resubmit(,5),resubmit(,3)") +
			"3 5 * => resubmit(,4)\n4 5 * => output:2\n5 5 * => drop\n" + begin, ""},
		"a circle through ct": {"0 5 ip => ct(table=0)", "recirculated"},
		"an empty stack":      {"0 5 ip => pop:NXM_NX_REG1[]", "stack"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newSwitch(t, c.flows).Forward(tcp(1, hostA, hostB, 1000, 80))
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, []uint32{2}, r.Outputs)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.Empty(t, r.Outputs, "a packet that fails goes nowhere")
		})
	}
}

func TestStackMovesAndRewriting(t *testing.T) {
	sw := newSwitch(t, `0 5 ct_state=+rpl+trk,tcp => push:NXM_OF_IP_SRC[],push:NXM_OF_TCP_SRC[],move:NXM_NX_CT_NW_SRC[]->NXM_OF_IP_SRC[],move:NXM_NX_CT_TP_SRC[]->NXM_OF_TCP_SRC[],resubmit(,1),pop:NXM_OF_TCP_SRC[],pop:NXM_OF_IP_SRC[],output:3
		0 4 ct_state=+new+trk,ip => ct(commit)
		0 3 ct_state=-trk,ip => ct(table=0)
		1 5 tcp,nw_src=10.0.0.1,tp_src=1000 => output:2`)
	forward(t, sw, tcp(1, hostA, hostB, 1000, 80))
	r := forward(t, sw, tcp(1, hostB, hostA, 80, 1000))
	require.Equal(t, []uint32{2, 3}, r.Outputs, "%s", strings.Join(r.Trace, "\n"))
	require.Equal(t, []uint32{2}, r.Rewritten, "the headers are back before port 3")

	later := tcp(1, hostB, hostA, 80, 1000)
	later.Fragment = flowtest.LaterFragment
	r = forward(t, sw, later)
	require.Equal(t, []uint32{3}, r.Outputs, "a later fragment has no ports to move: %s",
		strings.Join(r.Trace, "\n"))
	require.Empty(t, r.Rewritten)
}
