package ofswitch

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// The lines that a switch with the userspace datapath printed (OVS 3.1), and those of a kernel for
// what differs there.
func TestParseConnection(t *testing.T) {
	v4 := func(c Connection) Connection {
		c.Src, c.Dst = netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.21")
		return c
	}
	v6 := func(c Connection) Connection {
		c.Src, c.Dst = netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("2001:db8::21")
		return c
	}
	const mark = 1795365821
	for _, c := range []struct {
		line string
		want Connection
	}{
		{"tcp,orig=(src=203.0.113.11,dst=203.0.113.21,sport=40223,dport=80)," +
			"reply=(src=203.0.113.21,dst=203.0.113.11,sport=80,dport=40223)," +
			"zone=1,mark=1795365821,labels=0x6fc01622,protoinfo=(state=ESTABLISHED)",
			v4(Connection{Protocol: policy.TCP, SrcPort: 40223, DstPort: 80, State: "ESTABLISHED",
				Zone: 1, Mark: mark, Rule: 0x6fc01622})},
		{"tcp,orig=(src=2001:db8::11,dst=2001:db8::21,sport=20006,dport=81)," +
			"reply=(src=2001:db8::21,dst=2001:db8::11,sport=81,dport=20006)," +
			"id=0,zone=2,status=0,timeout=29,mark=1795365821,labels=0x1," +
			"protoinfo=(state_orig=TIME_WAIT,state_reply=TIME_WAIT,flags_orig=0,flags_reply=0)",
			v6(Connection{Protocol: policy.TCP, SrcPort: 20006, DstPort: 81, Zone: 2, Mark: mark,
				Rule: 1})},
		{"udp,orig=(src=203.0.113.11,dst=203.0.113.21,sport=20003,dport=7)," +
			"reply=(src=203.0.113.21,dst=203.0.113.11,sport=7,dport=20003)," +
			"zone=1,mark=1795365821,labels=0x6fc01622",
			v4(Connection{Protocol: policy.UDP, SrcPort: 20003, DstPort: 7, Zone: 1, Mark: mark,
				Rule: 0x6fc01622})},
		{"udp,orig=(src=2001:db8::11,dst=2001:db8::21,sport=59835,dport=53)," +
			"reply=(src=2001:db8::21,dst=2001:db8::11,sport=53,dport=59835)," +
			"zone=1,timeout=29,mark=1795365821,labels=0x5f0b8c76",
			v6(Connection{Protocol: policy.UDP, SrcPort: 59835, DstPort: 53, Zone: 1, Mark: mark,
				Rule: 0x5f0b8c76})},
		{"icmp,orig=(src=203.0.113.11,dst=203.0.113.21,id=3,type=8,code=0)," +
			"reply=(src=203.0.113.21,dst=203.0.113.11,id=3,type=0,code=0)," +
			"zone=1,mark=1795365821,labels=0x6fc01622",
			v4(Connection{Protocol: policy.ICMP, ICMPID: 3, ICMPType: 8, Zone: 1, Mark: mark,
				Rule: 0x6fc01622})},
		{"icmpv6,orig=(src=2001:db8::11,dst=2001:db8::21,id=6,type=128,code=0)," +
			"reply=(src=2001:db8::21,dst=2001:db8::11,id=6,type=129,code=0)," +
			"zone=1,mark=1795365821,labels=0x5f0b8c76",
			v6(Connection{Protocol: policy.ICMPv6, ICMPID: 6, ICMPType: 128, Zone: 1, Mark: mark,
				Rule: 0x5f0b8c76})},
		{"sctp,orig=(src=203.0.113.11,dst=203.0.113.21,sport=0,dport=0)," +
			"reply=(src=203.0.113.21,dst=203.0.113.11,sport=0,dport=0)," +
			"zone=1,mark=1795365821,labels=0x6fc01622",
			v4(Connection{Protocol: policy.SCTP, Zone: 1, Mark: mark, Rule: 0x6fc01622})},
		{"sctp,orig=(src=2001:db8::11,dst=2001:db8::21,sport=5000,dport=99)," +
			"reply=(src=2001:db8::21,dst=2001:db8::11,sport=99,dport=5000)," +
			"zone=1,mark=1795365821,labels=0xabcdef0123456789000000006fc01622," +
			"protoinfo=(state=COOKIE_WAIT,vtag_orig=1,vtag_reply=0)",
			v6(Connection{Protocol: policy.SCTP, SrcPort: 5000, DstPort: 99, State: "COOKIE_WAIT",
				Zone: 1, Mark: mark, Rule: 0x6fc01622})},
		{"47,orig=(src=2001:db8::11,dst=2001:db8::21,sport=0,dport=0)," +
			"reply=(src=2001:db8::21,dst=2001:db8::11,sport=0,dport=0)," +
			"zone=1,mark=1795365821,labels=0x5f0b8c76",
			v6(Connection{Protocol: policy.GRE, Zone: 1, Mark: mark, Rule: 0x5f0b8c76})},
		// Somebody else's, of the host itself, with counters.
		{"udp,orig=(src=203.0.113.11,dst=203.0.113.21,sport=1,dport=2,packets=3,bytes=4)," +
			"reply=(src=203.0.113.21,dst=203.0.113.11,sport=2,dport=1)," +
			"start=2026-01-02T03:04:05.006,helper=ftp",
			v4(Connection{Protocol: policy.UDP, SrcPort: 1, DstPort: 2})},
	} {
		got, err := parseConnection(c.line)
		require.NoError(t, err, c.line)
		require.Equal(t, c.want, got, c.line)
	}
}

func TestParseConnectionRefuses(t *testing.T) {
	const whole = "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2)," +
		"reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=1),zone=1,mark=2,labels=0x3"
	_, err := parseConnection(whole)
	require.NoError(t, err)
	for _, line := range []string{
		"", "tcp", "ovs-vswitchd: datapath not found (Invalid argument)", "256" + whole[3:], "xyz" +
			whole[3:],
		strings.Replace(whole, "src=10.0.0.1", "src=10.0.0", 1), strings.Replace(whole,
			"src=10.0.0.1", "src=2001:db8::1", 1),
		strings.Replace(whole, "dport=2", "dport=65536", 1), strings.Replace(whole, "zone=1",
			"zone=65536", 1),
		strings.Replace(whole, "mark=2", "mark=4294967296", 1), strings.Replace(whole, "0x3", "3",
			1), strings.Replace(whole, "0x3", "0xg3", 1),
		strings.Replace(whole, "0x3", "0x"+strings.Repeat("1", 33), 1), strings.Replace(whole,
			"(src", "src", 1), strings.Replace(whole, "orig=", "twig=", 1),
	} {
		_, err := parseConnection(line)
		require.Error(t, err, line)
	}
}

func TestEachConnectionStops(t *testing.T) {
	line := "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2)," +
		"reply=(src=10.0.0.2,dst=10.0.0.1,sport=2,dport=1),zone=1\n"
	taken := 0
	enough, err := eachConnection(strings.NewReader(strings.Repeat(line, 5)+"broken\n"),
		func(Connection) bool { taken++; return taken < 3 })
	require.NoError(t, err)
	require.True(t, enough)
	require.Equal(t, 3, taken)
	_, err = eachConnection(strings.NewReader(line+"broken\n"),
		func(Connection) bool { return true })
	require.ErrorContains(t, err, "broken")
}

// Whatever a switch prints: an error, or a connection between two addresses of one family.
func FuzzParseConnection(f *testing.F) {
	f.Add("tcp,orig=(src=203.0.113.11,dst=203.0.113.21,sport=40223,dport=80)," +
		"reply=(src=203.0.113.21,dst=203.0.113.11,sport=80,dport=40223)," +
		"zone=1,mark=1795365821,labels=0x6fc01622,protoinfo=(state=ESTABLISHED)")
	f.Add("icmpv6,orig=(src=2001:db8::11,dst=2001:db8::21,id=6,type=128,code=0)," +
		"reply=(src=2001:db8::21,dst=2001:db8::11,id=6,type=129,code=0),zone=1")
	f.Add("47,orig=((src=),,=),labels=0x")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parseConnection(line)
		if err != nil {
			require.Zero(t, c)
			return
		}
		require.Equal(t, c.Src.Is4(), c.Dst.Is4())
		require.LessOrEqual(t, c.Protocol, policy.Protocol(255))
	})
}
