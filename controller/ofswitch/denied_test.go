package ofswitch

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// What `ovs-ofctl monitor` printed (OVS 3.1).
const shown = `NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=33 cookie=0x5043000000000001 total_len=54 ct_state=new|trk,ct_zone=7,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=4000,ct_tp_dst=80,ip,reg1=0x7,in_port=2 (via action) data_len=54 (unbuffered)
tcp,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=4000,tp_dst=80,tcp_flags=syn tcp_csum:8bf0
NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=33 cookie=0x5043000000000001 total_len=106 ct_state=new|trk,ct_zone=7,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=80,ip,reg1=0x7,in_port=2 (via action) data_len=106 (unbuffered)
 userdata=50.43
udp,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=4000,tp_dst=80 udp_csum:f767
NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=33 cookie=0x5043000000000001 total_len=46 ct_state=new|trk,ct_zone=7,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=132,ct_tp_src=0,ct_tp_dst=0,ip,reg1=0x7,in_port=2 (via action) data_len=46 (unbuffered)
sctp,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=4000,tp_dst=80 sctp_csum:0
NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=33 cookie=0x5043000000000001 total_len=34 ct_state=new|trk,ct_zone=7,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=47,ct_tp_src=0,ct_tp_dst=0,ip,reg1=0x7,in_port=2 (via action) data_len=34 (unbuffered)
ip,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_proto=47,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no
OFPT_PORT_STATUS (OF1.5) (xid=0x0): MOD: 2(p1): addr:aa:55:aa:55:00:01
     config:     0
NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=53 cookie=0x5043000000000001 total_len=126 ct_state=est|rpl|trk,ct_zone=9,ct_ipv6_src=2001:db8::1,ct_ipv6_dst=2001:db8::2,ct_nw_proto=58,ct_tp_src=128,ct_tp_dst=0,ipv6,reg0=0x2,reg1=0x9,in_port=2 (via action) data_len=126 (unbuffered)
icmp6,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,ipv6_label=0x00000,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,icmp_type=128,icmp_code=0 icmp6_csum:4004
`

func denials(text string) (out []Denied, said string) {
	said = eachDenied(strings.NewReader(text), func(d Denied) { out = append(out, d) })
	return out, said
}

func TestEachDenied(t *testing.T) {
	v4 := Denied{Table: 33, Zone: 7, Src: netip.MustParseAddr("10.0.0.1"),
		Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 4000, DstPort: 80}
	tcp, udp, sctp, gre := v4, v4, v4, v4
	tcp.Protocol, tcp.TCPFlags, udp.Protocol, sctp.Protocol = policy.TCP, "syn", policy.UDP,
		policy.SCTP
	gre.Protocol, gre.SrcPort, gre.DstPort = policy.GRE, 0, 0
	ping := Denied{Table: 53, Zone: 9, IsKnown: true, IsReply: true, Protocol: policy.ICMPv6,
		ICMPType: 128,
		Src:      netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}
	got, said := denials(shown + "ovs-ofctl: br-int: connection ended\n")
	require.Equal(t, []Denied{tcp, udp, sctp, gre, ping}, got)
	require.Equal(t, "ovs-ofctl: br-int: connection ended", said)
	got, _ = denials(strings.Replace(shown, "nw_frag=no,tp_src=4000,tp_dst=80 udp",
		"nw_frag=later,tp_src=0,tp_dst=0 udp", 1))
	require.True(t, got[1].IsLaterFragment)
}

func TestEachDeniedLeavesOutTheRest(t *testing.T) {
	one := strings.Join(strings.SplitAfter(shown, "\n")[:2], "")
	for name, text := range map[string]string{
		"somebody else's flow":   strings.Replace(one, "0x5043", "0x5044", 1),
		"no cookie":              strings.Replace(one, "cookie=", "crumb=", 1),
		"no port":                strings.Replace(one, "reg1=0x7", "reg1=0x0", 1),
		"a table that cannot be": strings.Replace(one, "table_id=33", "table_id=256", 1),
		"ARP":                    strings.Replace(one, "\ntcp,", "\narp,", 1),
		"no address": strings.Replace(one,
			"nw_src=10.0.0.1,nw_dst", "nw_dst", 1),
		"no packet": strings.SplitAfter(one, "\n")[0], "no arrival": strings.SplitAfter(one,
			"\n")[1],
		"a bad port": strings.Replace(one, "tp_dst=80,tcp", "tp_dst=70000,tcp", 1),
	} {
		got, _ := denials(text)
		require.Empty(t, got, name)
	}
}

// Whatever a switch prints, a packet that is shown has two addresses and a port that judged it.
func FuzzEachDenied(f *testing.F) {
	f.Add(shown)
	f.Add("NXT_PACKET_IN2: cookie=0x5043000000000001 reg1=1\nip,nw_src=1.1.1.1,nw_dst=::1\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := denials(text)
		for _, d := range got {
			require.NotZero(t, d.Zone)
			require.True(t, d.Src.IsValid() && d.Dst.IsValid())
		}
	})
}
