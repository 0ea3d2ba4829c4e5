package trace

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

func TestParseFlow(t *testing.T) {
	for line, want := range map[string]openflow.Flow{
		"actions=drop":            {Priority: 0x8000, Actions: openflow.ParseActions("drop")},
		"priority=0 actions=drop": {Actions: openflow.ParseActions("drop")},
		"table=3, priority=5,ip,nw_src=10.0.0.1 actions=output:2": {Table: 3, Priority: 5,
			Match: openflow.ParseMatch("ip,nw_src=10.0.0.1"), Actions: openflow.ParseActions("output:2")},
		"cookie=0x1f, table=3, ip actions=drop": {Cookie: 0x1f, Table: 3,
			Priority: 0x8000, Match: openflow.ParseMatch("ip"), Actions: openflow.ParseActions("drop")},
	} {
		got, err := parseFlow(line)
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "priority=5,ip", "table=x, actions=drop",
		"priority=70000 actions=drop", "cookie=z, actions=drop"} {
		_, err := parseFlow(line)
		require.Error(t, err, line)
	}
}

func TestSpec(t *testing.T) {
	p := flowtest.Packet{InPort: 3, Src: policy.MAC{2}, EtherType: policy.EtherIPv6, Proto: 58,
		TTL: 255, ICMPType: 135}
	const head = "in_port=3,dl_src=02:00:00:00:00:00,dl_dst=00:00:00:00:00:00,"
	require.Equal(t, head+
		"dl_type=0x86dd,ipv6_src=::,ipv6_dst=::,nw_proto=58,nw_ttl=255,nw_frag=no,icmpv6_type=135,icmpv6_code=0", Spec(p))
	p.Fragment = flowtest.LaterFragment
	require.Equal(t, head+
		"dl_type=0x86dd,ipv6_src=::,ipv6_dst=::,nw_proto=44,nw_ttl=255,nw_frag=later", Spec(p))
	p = flowtest.Packet{InPort: 3, Src: policy.MAC{2}, EtherType: 0x88b5, VLAN: 0x3005}
	require.Equal(t, head+"dl_vlan=5,dl_vlan_pcp=1,dl_type=0x88b5", Spec(p))
}
