package flowtest_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// seed is a web server that takes port 80 from anywhere, and its neighbour that takes nothing, on
// ports 1 and 2; port 9 is the uplink.
func seed() flows.Input {
	port := func(name string, last byte) policy.Port {
		return policy.Port{Name: name, MAC: policy.MAC{2, 0, 0, 0, 0, last},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 32)}}
	}
	web := &policy.Group{Name: "web",
		Rules: []policy.Rule{{Direction: policy.Ingress, Protocol: policy.TCP,
			Ports: []policy.PortRange{{First: 80, Last: 80}}, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
			Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}}}}
	return flows.Input{
		Policy: &policy.Policy{Groups: []*policy.Group{web}, Instances: []*policy.Instance{
			{Name: "a", Ports: []policy.Port{port("tap-a", 1)}},
			{Name: "b", Groups: []string{"web"}, Ports: []policy.Port{port("tap-b", 2)}}}},
		Bindings: []flows.Binding{{Port: "tap-a", OFPort: 1, Zone: 1, Epoch: 7},
			{Port: "tap-b", OFPort: 2, Zone: 2, Epoch: 7}},
		Uplinks: []flows.Uplink{{Name: "eth1", OFPort: 9}},
	}
}

// toWeb is what a sends to b.
func toWeb(port uint16) spec.Packet {
	return spec.Packet{From: "tap-a", SrcMAC: policy.MAC{2, 0, 0, 0, 0, 1},
		DstMAC: policy.MAC{2, 0, 0, 0, 0, 2}, EtherType: policy.EtherIPv4,
		HopLimit: 64, Tuple: spec.Tuple{Src: hostA, Dst: hostB, Protocol: uint8(policy.TCP),
			SrcPort: 1000, DstPort: port}}
}

func compiled(t testing.TB) []openflow.Flow {
	t.Helper()
	p, err := flows.Compile(seed())
	require.NoError(t, err)
	return p.Flows
}

func TestCompiledProgram(t *testing.T) {
	fs := compiled(t)
	require.NoError(t, flowtest.Lint(fs, flowtest.Edge{From: 51, To: 32},
		flowtest.Edge{From: 48, To: 32}))
	require.ErrorContains(t, flowtest.Lint(fs), "table 32 is not a later table")
	sw, err := flowtest.New(fs)
	require.NoError(t, err)

	r := forward(t, sw, flowtest.FromPolicy(toWeb(80), seed()))
	require.Equal(t, []uint32{2}, r.Outputs)
	require.Len(t, r.Commits, 2)
	require.Equal(t, uint32(7), r.Commits[1].Mark)
	require.Empty(t, forward(t, sw, flowtest.FromPolicy(toWeb(81), seed())).Outputs)
	require.Empty(t, sw.Connections(), "what is made known is not kept")

	uplink := toWeb(80)
	uplink.From, uplink.FromUplink, uplink.SrcMAC[5], uplink.Src = "", true, 99,
		netip.MustParseAddr("192.0.2.1")
	require.Equal(t, []uint32{2}, forward(t, sw, flowtest.FromPolicy(uplink, seed())).Outputs)
	uplink.Tagged = true
	require.Empty(t, forward(t, sw, flowtest.FromPolicy(uplink, seed())).Outputs)
}

// Known overrides the tracker: a reply of a connection that nothing admits any more, and one that
// the fast path lets pass.
func TestKnownConnections(t *testing.T) {
	sw, err := flowtest.New(compiled(t))
	require.NoError(t, err)
	original := spec.Tuple{Src: hostB, Dst: hostA, Protocol: uint8(policy.TCP), SrcPort: 80,
		DstPort: 1000}
	p := toWeb(80)
	p.SrcPort, p.DstPort = 1000, 80
	p.Conntrack = map[string]spec.Connection{"tap-a": {Side: spec.ReplySide, Original: original}}
	converted := flowtest.FromPolicy(p, seed())
	require.Empty(t, forward(t, sw, converted).Outputs,
		"ingress to a is closed, so its answers are too")

	k := converted.Known[1]
	k.Mark = 7
	converted.Known[1] = k
	require.Equal(t, []uint32{2}, forward(t, sw, converted).Outputs,
		"the mark of the epoch passes without rules")
	for _, side := range []spec.Side{spec.Invalid, spec.RelatedReply} {
		converted.Known[1] = flowtest.Known{Side: side, Original: original}
		require.Empty(t, forward(t, sw, converted).Outputs, side)
	}
}

// A packet through the whole pipeline of a host with 20 ports, some 560 flows.
func BenchmarkForward(b *testing.B) {
	in := seed()
	for n := byte(3); n <= 20; n++ {
		name := fmt.Sprintf("tap-%d", n)
		in.Policy.Instances = append(in.Policy.Instances,
			&policy.Instance{Name: name, Groups: []string{"web"}, Ports: []policy.Port{{
				Name: name, MAC: policy.MAC{2, 0, 0, 0, 0, n},
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 32)}}}})
		in.Bindings = append(in.Bindings,
			flows.Binding{Port: name, OFPort: 100 + uint32(n), Zone: uint16(n), Epoch: 7})
	}
	program, err := flows.Compile(in)
	require.NoError(b, err)
	sw, err := flowtest.New(program.Flows)
	require.NoError(b, err)
	p := flowtest.FromPolicy(toWeb(80), in)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sw.Forward(p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(program.Flows)), "flows")
}
