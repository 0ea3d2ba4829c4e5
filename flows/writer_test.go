package flows

import (
	"fmt"
	"testing"

	"github.com/digitalocean/go-openvswitch/ovs"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// The writer refuses what the pipeline does not declare, and the first refusal sticks.
func TestWriterHoldsTheContract(t *testing.T) {
	cases := []struct {
		name    string
		table   TableID
		match   []ovs.Match
		actions []ovs.Action
		want    string
	}{
		{"declared", tableDestination, on(dlDst(policy.MAC{2})), []ovs.Action{set(regPort, "0x1"), to(tableDestinationGuard)}, ""},
		{"unknown table", 99, nil, nil, "no such table"},
		{"field not declared", tableDestination, on(tpDst(80)), nil, "destination may not match tp_dst"},
		{"field of no table", tableDestination, on(ovs.TunnelID(1)), nil, "no such field"},
		{"register not declared", tableDestination, nil, []ovs.Action{set(regRule, "0x1")}, "destination may not write reg3"},
		{"edge not declared", tableDestination, nil, []ovs.Action{to(tableOutput)}, "destination may not go to table 60"},
		{"conntrack to a table not declared", tableEgressTrack, on(proto(ovs.ProtocolIPv4)), track(tableIngressState), "may not go to table 51"},
		{"output not declared", tableEgressRules, nil, []ovs.Action{ovs.Output(1)}, "egress_rules may not output"},
		{"flood", tableOutput, nil, []ovs.Action{ovs.Flood()}, "output may not flood"},
		{"normal", tableOutput, nil, []ovs.Action{ovs.Normal()}, "output may not normal"},
		{"all", tableOutput, nil, []ovs.Action{ovs.All()}, "output may not all"},
		{"further page", tableIngressRules, on(reg(regPage, "0")), []ovs.Action{set(regPage, "0x1"), to(tableIngressRules)}, ""},
		{"page not declared", tableOutput, on(reg(regPage, "0")), nil, "output may not match reg4"},
		{"asked again, not declared", tableDispatch, nil, []ovs.Action{to(tableDispatch)}, "dispatch may not go to table 13"},
		{"no value", tableOutput, on(reg(regPort, "0x1 actions=NORMAL")), nil, "not a value of its field"},
		{"no text", tableOutput, on(ovs.DataLinkSource("nonsense")), nil, "nonsense"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWriter(&index{capacity: capacity{}.orDefault()})
			w.add(c.table, 1, c.match, c.actions...)
			err := w.err
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			w.add(tableOutput, 1, nil) // a good flow does not heal it
			require.Error(t, w.err)
		})
	}
}

// Two different flows of one key would replace one another without a word.
func TestWriterRefusesConflicts(t *testing.T) {
	w := newWriter(&index{capacity: capacity{}.orDefault()})
	w.add(tableOutput, 5, on(portKey(1)), ovs.Output(1))
	w.add(tableOutput, 5, on(portKey(1)), ovs.Output(1))
	require.NoError(t, w.err)
	w.add(tableOutput, 5, on(portKey(1)), ovs.Output(2))
	var conflict *ConflictError
	require.ErrorAs(t, w.err, &conflict)
}

// Masks cover a range exactly: every port of some 500 ranges, by counting.
func TestPortMasksAreExact(t *testing.T) {
	edges := []uint16{1, 2, 3, 4, 7, 8, 22, 79, 80, 81, 127, 128, 443, 1023, 1024, 1025, 2047, 32767, 32768, 49153, 65533, 65534, 65535}
	checked := 0
	for _, first := range edges {
		for _, last := range edges {
			r := policy.PortRange{First: first, Last: last}
			masks := portMasks(r)
			pairs := readMasks(t, masks)
			for port := range 65536 {
				hits := 0
				for _, p := range pairs {
					if uint32(port)&p[1] == p[0] {
						hits++
					}
				}
				if want := r.Contains(uint16(port)); want != (hits == 1) || hits > 1 {
					t.Fatalf("range %v, port %d: %d masks match", r, port, hits)
				}
			}
			require.LessOrEqual(t, len(masks), 30)
			checked++
		}
	}
	t.Logf("%d ranges, each against 65,536 ports", checked)
	require.Empty(t, portMasks(policy.PortRange{}), "the zero range holds nothing")
}

func readMasks(t *testing.T, masks []string) [][2]uint32 {
	var pairs [][2]uint32
	for _, m := range masks {
		p := [2]uint32{0, 0xffff}
		if n, _ := fmt.Sscanf(m, "0x%x/0x%x", &p[0], &p[1]); n != 2 {
			_, err := fmt.Sscanf(m, "%d", &p[0])
			require.NoError(t, err)
		}
		pairs = append(pairs, p)
	}
	return pairs
}
