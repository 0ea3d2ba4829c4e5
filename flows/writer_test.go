package flows

import (
	"net/netip"
	"testing"

	"github.com/digitalocean/go-openvswitch/ovs"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The writer refuses what the pipeline does not declare, and the first refusal sticks.
func TestWriterHoldsTheContract(t *testing.T) {
	cases := []struct {
		name    string
		table   TableID
		match   []openflow.OXM
		actions []openflow.Action
		want    string
	}{
		{"declared", tableDestination, on(dlDst(policy.MAC{2})),
			[]openflow.Action{setPort(1), to(tableDestinationGuard)}, ""},
		{"unknown table", 99, nil, nil, "no such table"},
		{"field not declared", tableDestination, on(proto(ovs.ProtocolUDPv4), udpDst(80)), nil,
			"destination may not match tp_dst"},
		{"field of no table", tableDestination, on(openflow.Number(openflow.CTPortSrc, 1)), nil,
			"it lacks what the field needs"},
		{"register not declared", tableDestination, nil, []openflow.Action{setRule(1)},
			"destination may not write reg3"},
		{"edge not declared", tableDestination, nil, []openflow.Action{to(tableOutput)},
			"destination may not go to table 60"},
		{"conntrack to a table not declared", tableEgressTrack, on(proto(ovs.ProtocolIPv4)),
			track(tableIngressState), "may not go to table 51"},
		{"output not declared", tableEgressRules, nil, []openflow.Action{openflow.Output{Port: 1}},
			"egress_rules may not output"},
		{"flood", tableOutput, nil, []openflow.Action{openflow.Output{Port: 0xfffffffb}},
			"output may not output to 4294967291"},
		{"normal", tableOutput, nil, []openflow.Action{openflow.Output{Port: 0xfffffffa}},
			"output may not output to 4294967290"},
		{"all", tableOutput, nil, []openflow.Action{openflow.Output{Port: 0xfffffffc}},
			"output may not output to 4294967292"},
		{"further page", tableIngressRules, on(pageKey(0)),
			[]openflow.Action{setPage(1), to(tableIngressRules)}, ""},
		{"page not declared", tableOutput, on(pageKey(0)), nil, "output may not match reg4"},
		{"asked again, not declared", tableDispatch, nil, []openflow.Action{to(tableDispatch)},
			"dispatch may not go to table 13"},
		{"no value", tableOutput, on(openflow.Masked(RegPort, 3, 1)), nil, "not a value of its field"},
		{"no address", tableOutput, on(ipSrc(netip.Prefix{})), nil, "not a value of its field"},
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
	w.add(tableOutput, 5, on(portKey(1)), openflow.Output{Port: 1})
	w.add(tableOutput, 5, on(portKey(1)), openflow.Output{Port: 1})
	require.NoError(t, w.err)
	w.add(tableOutput, 5, on(portKey(1)), openflow.Output{Port: 2})
	var conflict *ConflictError
	require.ErrorAs(t, w.err, &conflict)
}

// Masks cover a range exactly: every port of some 500 ranges, by counting.
func TestPortMasksAreExact(t *testing.T) {
	edges := []uint16{1, 2, 3, 4, 7, 8, 22, 79, 80, 81, 127, 128, 443, 1023, 1024, 1025, 2047, 32767,
		32768, 49153, 65533, 65534, 65535}
	checked := 0
	for _, first := range edges {
		for _, last := range edges {
			r := policy.PortRange{First: first, Last: last}
			masks := portMasks(r)
			for port := range 65536 {
				hits := 0
				for _, p := range masks {
					if uint16(port)&p.mask == p.first {
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
