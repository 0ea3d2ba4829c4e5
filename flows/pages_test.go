package flows_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/integration/trace"

	"github.com/portcullis/portcullis/flows/policytest"
)

// manyRules is a host with three databases, whose group has so many rules for members of frontend,
// each for one port of TCP, and a web server beside one elsewhere. Where the rules are for egress,
// all others let everybody in.
func manyRules(rules int, direction policy.Direction) flows.Input {
	g := &policy.Group{Name: "backend"}
	for n := range rules {
		g.Rules = append(g.Rules,
			policy.Rule{Direction: direction, Protocol: policy.TCP,
				Ports: []policy.PortRange{{First: uint16(n + 1), Last: uint16(n + 1)}},
				Peers: []policy.Peer{{Group: "frontend"}}, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP})
	}
	open := &policy.Group{Name: "open",
		Rules: []policy.Rule{policytest.Rule("ingress any", "0.0.0.0/0"),
			policytest.Rule("ingress any", "::/0")}}
	p := &policy.Policy{Groups: []*policy.Group{{Name: "frontend"}, g, open}}
	for n, i := range []policy.Instance{{Name: "db1", Groups: []string{"backend"}},
		{Name: "db2", Groups: []string{"backend"}}, {Name: "db3", Groups: []string{"backend"}},
		{Name: "web1", Groups: []string{"frontend"}},
		{Name: "web2", Groups: []string{"frontend"}, Host: "elsewhere"}, {Name: "lone"}} {
		if direction == policy.Egress && n >= 3 {
			i.Groups = append(i.Groups, "open")
		}
		i.Ports = []policy.Port{{Name: i.Name, MAC: policy.MAC{2, 0, 0, 0, 0, byte(n + 1)},
			Addresses: policytest.Nets(fmt.Sprintf("10.0.0.%d", n+1), fmt.Sprintf("2001:db8::%d", n+1))}}
		p.Instances = append(p.Instances, &i)
	}
	return flowtest.Bound(p, policy.Site{Host: "h"})
}

// asks is a first packet from one instance to another.
func asks(w spec.World, from, to int, port uint16, v6 bool) spec.Packet {
	a, b := w.Policy.Instances[from], w.Policy.Instances[to]
	p := spec.Packet{SrcMAC: a.Ports[0].MAC, DstMAC: b.Ports[0].MAC, EtherType: policy.EtherIPv4,
		HopLimit: 64}
	if a.IsLocal("h") {
		p.From = a.Ports[0].Name
	} else {
		p.FromUplink = true
	}
	n := 0
	if v6 {
		n, p.EtherType = 1, policy.EtherIPv6
	}
	p.Tuple = spec.Tuple{Src: a.Ports[0].Addresses[n].Addr(), Dst: b.Ports[0].Addresses[n].Addr(),
		Protocol: uint8(policy.TCP), SrcPort: 4000, DstPort: port}
	return p
}

// 20,000 rules of one group are in force on a real switch, of each direction and family: the first,
// the last, and those around what one flow carries; and what no rule admits is denied.
func TestTwentyThousandRules(t *testing.T) {
	bridge, _ := trace.Start(t, 6)
	for _, direction := range []policy.Direction{policy.Ingress, policy.Egress} {
		in := manyRules(20_000, direction)
		program, err := flows.Compile(in)
		require.NoError(t, err)
		require.Empty(t, program.LeftOut)
		require.NoError(t, flowtest.Lint(program.Flows, slices.Concat(oppositeRules, furtherPages)...))
		require.NoError(t, bridge.Install(t.Context(), program.Flows))
		have, err := bridge.Dump(t.Context())
		require.NoError(t, err)
		require.True(t, openflow.Diff(program.Flows, have).Empty(),
			"the switch prints the flows in another way")
		sw, err := flowtest.New(program.Flows)
		require.NoError(t, err)
		delivered := 0
		for _, port := range []uint16{1, 2, 3_999, 4_000, 4_001, 8_001, 12_345, 19_999, 20_000, 20_001,
			65_535} {
			for _, peer := range []int{3, 4, 5} { // of the group, here and elsewhere, and not of it
				for _, v6 := range []bool{false, true} {
					if judged(t, bridge, sw, in, direction, peer, port, v6) {
						delivered++
						require.True(t, port <= 20_000 && peer < 5)
					}
				}
			}
		}
		require.Equal(t, 9*2*2, delivered)
	}
}

// judged holds a packet between a database and a peer against the specification, and says whether
// it arrives.
func judged(t *testing.T, bridge *trace.Bridge, sw *flowtest.Switch, in flows.Input,
	direction policy.Direction, peer int, port uint16, v6 bool) bool {
	w := spec.World{Policy: in.Policy, Site: in.Site}
	p := asks(w, peer, 1, port, v6)
	if direction == policy.Egress {
		p = asks(w, 1, peer, port, v6)
	}
	want := spec.Decide(w, p)
	seen := flowtest.FromPolicy(p, in)
	fake, err := sw.Forward(seen)
	require.NoError(t, err)
	real, err := bridge.Trace(context.Background(), seen, slices.Repeat([]string{"trk,new"}, 8)...)
	require.NoError(t, err)
	require.Equal(t, flowtest.ReceiversOf(want), flowtest.Receivers(in, fake.Outputs), "%+v\n%s", p,
		strings.Join(fake.Trace, "\n"))
	require.Equal(t, flowtest.ReceiversOf(want), flowtest.Receivers(in, real.Outputs), "%+v\n%s", p,
		real.Text)
	return len(real.Outputs) > 0
}

// What fits one flow has no pages. One rule more has two, and takes back what it took; among 20,000
// rules one more is a handful of flows.
func TestPagesCostNothingWhereTheyAreNotNeeded(t *testing.T) {
	var c flows.Compiler
	_, err := c.Update(manyRules(4_000, policy.Ingress))
	require.NoError(t, err)
	require.NotContains(t, c.Program().String(), "reg4")
	few := c.Program()
	_, err = c.Update(manyRules(4_001, policy.Ingress))
	require.NoError(t, err)
	require.Contains(t, c.Program().String(),
		"table=52, priority=1,reg4=0 actions=set_field:0x80000000->reg4,resubmit(,52),set_field:0->reg4\n")
	require.NotContains(t, c.Program().String(), "table=32, priority=1,")
	_, err = c.Update(manyRules(4_000, policy.Ingress))
	require.NoError(t, err)
	require.Equal(t, few.String(), c.Program().String())

	_, err = c.Update(manyRules(20_000, policy.Ingress))
	require.NoError(t, err)
	more, err := c.Update(manyRules(20_001, policy.Ingress))
	require.NoError(t, err)
	require.Empty(t, more.Delete)
	require.Less(t, more.Len(), 15,
		"a page of each port and of each peer, the service, and what admits")
}

// More ports than one flow can name hear what all must hear, and each once.
func TestAnnouncementsToManyPorts(t *testing.T) {
	p := &policy.Policy{}
	for n := range 4_100 {
		p.Instances = append(p.Instances,
			&policy.Instance{Name: fmt.Sprintf("i%d", n), Ports: []policy.Port{{Name: fmt.Sprintf("p%d", n),
				MAC: policy.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)},
				Addresses: []netip.Prefix{
					netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32)}}}})
	}
	gateway := netip.MustParseAddr("10.9.0.1")
	in := flowtest.Bound(p, policy.Site{Host: "h", Gateways: []netip.Addr{gateway}})
	program, err := flows.Compile(in)
	require.NoError(t, err)
	require.Empty(t, program.LeftOut)
	require.NoError(t, flowtest.Lint(program.Flows, slices.Concat(oppositeRules, furtherPages)...))
	sw, err := flowtest.New(program.Flows)
	require.NoError(t, err)
	packet := spec.Packet{FromUplink: true, SrcMAC: policy.MAC{2, 9}, DstMAC: policy.BroadcastMAC,
		EtherType: policy.EtherARP,
		ARP:       spec.ARP{Op: policy.ARPRequest, SHA: policy.MAC{2, 9}, SPA: gateway, TPA: gateway}}
	seen := flowtest.FromPolicy(packet, in)
	got, err := sw.Forward(seen)
	require.NoError(t, err)
	require.Len(t, got.Outputs, 4_100)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(got.Outputs))), 4_100)
	require.Equal(t, flowtest.ReceiversOf(spec.Decide(spec.World{Policy: p, Site: in.Site}, packet)),
		flowtest.Receivers(in, got.Outputs))

	bridge, _ := trace.Start(t, 0)
	require.NoError(t, bridge.Install(t.Context(), program.Flows))
	have, err := bridge.Dump(t.Context())
	require.NoError(t, err)
	require.True(t, openflow.Diff(program.Flows, have).Empty())
}

// Pages of both directions, and of lists, do not get in each other's way: a packet passes the pages
// of its sender's rules and then those of each receiver's, which share a MAC. One rule admits it in
// each table, although others on later pages would.
func TestPagesAfterPages(t *testing.T) {
	virtual := policy.MAC{0, 0, 0x5e, 0, 1, 5}
	g := &policy.Group{Name: "g"}
	for _, direction := range []string{"ingress", "egress"} {
		for n := range 12 {
			// each overlaps with the next
			g.Rules = append(g.Rules,
				policytest.Rule(fmt.Sprintf("%s tcp %d-%d", direction, 10*n+1, 10*n+15), "g"))
		}
	}
	p := &policy.Policy{Groups: []*policy.Group{g}}
	for n := range 4 {
		port := policy.Port{Name: fmt.Sprintf("p%d", n), MAC: policy.MAC{2, 0, 0, 0, 0, byte(n + 1)},
			Addresses: policytest.Nets(fmt.Sprintf("10.0.0.%d", n+1))}
		if n >= 2 {
			port.Allowed = []policy.AllowedAddress{{Prefix: policytest.Nets("10.0.0.100")[0], MAC: virtual}}
		}
		p.Instances = append(p.Instances,
			&policy.Instance{Name: port.Name, Groups: []string{"g"}, Ports: []policy.Port{port}})
	}
	in := flowtest.Bound(p, policy.Site{Host: "h"})
	w := spec.World{Policy: p, Site: in.Site}
	for _, list := range []int{3, 4000} { // else no station has pages
		c := flows.NewNarrow(flows.Narrow{Bits: 48, Clauses: 2, List: list, Pages: 1000})
		_, err := c.Update(in)
		require.NoError(t, err)
		require.Contains(t, c.Program().String(), "table=32, priority=1,reg4=0 ")
		require.Contains(t, c.Program().String(), "table=52, priority=1,reg4=0 ")
		require.Equal(t, list == 3,
			strings.Contains(c.Program().String(),
				"table=40, priority=10200,reg4=0x2,dl_dst=00:00:5e:00:01:05 "))
		sw, err := flowtest.New(c.Program().Flows)
		require.NoError(t, err)
		for port := uint16(1); port <= 130; port++ {
			packet := asks(w, 0, 2, port, false)
			packet.DstMAC, packet.Dst = virtual, netip.MustParseAddr("10.0.0.100")
			for _, fragment := range []spec.Fragment{spec.Whole, spec.LaterFragment} {
				packet.Fragment = fragment
				admittedOnce(t, sw, w, in, packet)
			}
		}
	}
}

// admittedOnce holds a packet for two ports against the specification, and that one rule of each
// admits it, and one of its sender, as often as they are asked.
func admittedOnce(t *testing.T, sw *flowtest.Switch, w spec.World, in flows.Input, p spec.Packet) {
	t.Helper()
	got, err := sw.Forward(flowtest.FromPolicy(p, in))
	require.NoError(t, err)
	way := strings.Join(got.Trace, "\n")
	want := spec.Decide(w, p)
	require.Equal(t, flowtest.ReceiversOf(want), flowtest.Receivers(in, got.Outputs),
		"port %d: %s\n%s", p.DstPort, want.Reason, way)
	if len(got.Outputs) > 0 {
		asked := 1
		if p.Fragment != spec.Whole {
			asked = 2 // also before it is tracked
		}
		require.Equal(t, 3*asked, strings.Count(way, "conj_id="), way)
	}
}

// A rule whose page is long in one flow, and short in another, is met all the same: of 42 rules each
// service is shared by six and each peer by seven, and all are told apart by their ids.
func TestPagesWithinPages(t *testing.T) {
	p := &policy.Policy{}
	guarded := &policy.Group{Name: "g"}
	for peer := range 7 {
		g := peerGroup(peer)
		for port := range 7 {
			if port != peer {
				guarded.Rules = append(guarded.Rules,
					policytest.Rule(fmt.Sprintf("ingress udp %d", port+1), g.Name))
			}
		}
		p.Groups = append(p.Groups, g)
	}
	p.Groups = append(p.Groups, guarded)
	p.Instances = membersOf(guarded)
	in := flowtest.Bound(p, policy.Site{Host: "h"})
	c := flows.NewNarrow(flows.Narrow{Bits: 48, Clauses: 1, List: 4000, Pages: 1000})
	_, err := c.Update(in)
	require.NoError(t, err)
	sw, err := flowtest.New(c.Program().Flows)
	require.NoError(t, err)
	for peer, group := range p.Groups[:7] {
		for port := range 7 {
			got, err := sw.Forward(flowtest.FromPolicy(datagram("", beyondMAC, smallMAC(2),
				group.ExternalSources[1].Addr(), policytest.Hosts4[1].Addr(), 4000, uint16(port+1)), in))
			require.NoError(t, err)
			require.Equal(t, port != peer, len(got.Outputs) > 0, "from peer %d to port %d:\n%s", peer,
				port+1, strings.Join(got.Trace, "\n"))
		}
	}
}
