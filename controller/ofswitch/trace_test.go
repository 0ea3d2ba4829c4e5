package ofswitch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTrace(t *testing.T) {
	known := ports{own: map[uint32]uint32{1: 10, 2: 20, 3: 30}, others: map[uint32]bool{9: true}}
	for _, c := range []struct {
		text string
		want []uint32
		err  string
	}{
		{"Datapath actions: drop", nil, ""},
		{"Megaflow: x\nDatapath actions: 2,1", []uint32{10, 20}, ""},
		{"Datapath actions: ct(commit,zone=5,mark=0x1/0xff),recirc(0x1),3\n\nDatapath actions: " +
			"1,1\n", []uint32{10, 10, 30}, ""},
		{"Datapath actions: meter(3),2,9", []uint32{20}, ""},
		{"Datapath actions: clone(ct(zone=1),2,clone(3)),1", []uint32{10, 20, 30}, ""},
		{"Datapath actions: set(ipv4(src=1.2.3.4,dst=2.3.4.5)),ct_clear,2", []uint32{20}, ""},
		{"Datapath actions: 4", nil, "port 4 is not known"},
		{"Datapath actions: meter(0),userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=5,rule_cookie=0x5043000000000001,controller_id=0,max_len=128))", nil, ""},
		{"Datapath actions: userspace(pid=0)", nil, "not understood"},
		{"Datapath actions: 2,sample(sample=1%)", nil, "not understood"},
		{"Datapath actions: ", nil, "not understood"},
		{"Final flow: unchanged", nil, "no datapath actions"},
		{"", nil, "no datapath actions"},
		{"Datapath actions: drop\nTranslation failed (Recursion too deep), packet is dropped.", nil,
			ErrUntranslated.Error()},
	} {
		got, elsewhere, err := parseTrace(c.text, known)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, c.text)
			continue
		}
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
		require.Equal(t, strings.Contains(c.text, "9"), elsewhere, c.text)
	}
}

func TestParsePorts(t *testing.T) {
	require.Equal(t, ports{own: map[uint32]uint32{100: 65534, 1: 7},
		byName: map[string]uint32{"br0": 65534, "p1": 7, "patch0": 3},
		others: map[uint32]bool{5: true}},
		parsePorts(`dummy@ovs-dummy: hit:0 missed:0
  br0:
    br0 65534/100: (dummy-internal)
    p1 7/1: (dummy: configured_rx_queues=1)
    patch0 3/none: (patch: peer=patch1)
    px x/1: (dummy)
  br1:
    patch1 1/none: (patch: peer=patch0)
    eth1 2/5: (dummy)
`, "br0"))
}

func TestLastFlow(t *testing.T) {
	const text = "Flow: tcp\n\nbridge(\"br0\")\n 0. in_port=1, priority 100, cookie 0x5043\n    " +
		"resubmit(,53)\n53. reg1=0x2, priority 50\n    drop\n"
	require.Equal(t, "table 53: reg1=0x2, priority 50", TraceResult{Text: text}.Last())
	require.Empty(t, TraceResult{}.Last())
}
