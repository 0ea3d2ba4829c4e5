package trace

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

func TestParseTrace(t *testing.T) {
	ports := map[uint32]uint32{1: 10, 2: 20, 3: 30}
	for _, c := range []struct {
		text string
		want []uint32
		err  string
	}{
		{"Datapath actions: drop", nil, ""},
		{"Megaflow: x\nDatapath actions: 2,1", []uint32{10, 20}, ""},
		{"Datapath actions: ct(commit,zone=5,mark=0x1/0xff),recirc(0x1),3\n\nDatapath actions: 1,1\n", []uint32{10, 10, 30}, ""},
		{"Datapath actions: clone(ct(zone=1),2,clone(3)),1", []uint32{10, 20, 30}, ""},
		{"Datapath actions: set(ipv4(src=1.2.3.4,dst=2.3.4.5)),ct_clear,2", []uint32{20}, ""},
		{"Datapath actions: 4", nil, "port 4 is not known"},
		{"Datapath actions: userspace(pid=0)", nil, "not understood"},
		{"Datapath actions: 2,sample(sample=1%)", nil, "not understood"},
		{"Datapath actions: ", nil, "not understood"},
		{"Final flow: unchanged", nil, "no datapath actions"},
		{"", nil, "no datapath actions"},
		{"Datapath actions: drop\nTranslation failed (Recursion too deep), packet is dropped.", nil, ErrUntranslated.Error()},
	} {
		got, err := parseTrace(c.text, ports)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, c.text)
			continue
		}
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

func TestParsePorts(t *testing.T) {
	require.Equal(t, map[uint32]uint32{100: 65534, 1: 7}, parsePorts(`dummy@ovs-dummy: hit:0 missed:0
  br0:
    br0 65534/100: (dummy-internal)
    p1 7/1: (dummy: configured_rx_queues=1)
    px x/1: (dummy)
`))
}

func TestParseFlow(t *testing.T) {
	for line, want := range map[string]flows.Flow{
		"actions=drop":            {Priority: 0x8000, Actions: "drop"},
		"priority=0 actions=drop": {Actions: "drop"},
		"table=3, priority=5,ip,nw_src=10.0.0.1 actions=output:2": {Table: 3, Priority: 5, Match: "ip,nw_src=10.0.0.1", Actions: "output:2"},
		"cookie=0x1f, table=3, ip actions=drop":                   {Cookie: 0x1f, Table: 3, Priority: 0x8000, Match: "ip", Actions: "drop"},
	} {
		got, err := parseFlow(line)
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "priority=5,ip", "table=x, actions=drop", "priority=70000 actions=drop", "cookie=z, actions=drop"} {
		_, err := parseFlow(line)
		require.Error(t, err, line)
	}
}

func TestSpec(t *testing.T) {
	p := flowtest.Packet{InPort: 3, Src: policy.MAC{2}, EtherType: policy.EtherIPv6, Proto: 58, TTL: 255, ICMPType: 135}
	const head = "in_port=3,dl_src=02:00:00:00:00:00,dl_dst=00:00:00:00:00:00,"
	require.Equal(t, head+"dl_type=0x86dd,ipv6_src=::,ipv6_dst=::,nw_proto=58,nw_ttl=255,nw_frag=no,icmpv6_type=135,icmpv6_code=0", Spec(p))
	p.Fragment = flowtest.LaterFragment
	require.Equal(t, head+"dl_type=0x86dd,ipv6_src=::,ipv6_dst=::,nw_proto=44,nw_ttl=255,nw_frag=later", Spec(p))
	p = flowtest.Packet{InPort: 3, Src: policy.MAC{2}, EtherType: 0x88b5, VLAN: 0x3005}
	require.Equal(t, head+"dl_vlan=5,dl_vlan_pcp=1,dl_type=0x88b5", Spec(p))
}
