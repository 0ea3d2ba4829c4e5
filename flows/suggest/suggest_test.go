package suggest_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/flows/suggest"
)

// world has web-1 and web-2 in web, db-1 in db and in all, lone in no group.
func world() *policy.Policy {
	instance := func(n byte, name string, groups ...string) *policy.Instance {
		return &policy.Instance{Name: name, Groups: groups, Ports: []policy.Port{{Name: "tap-" + name,
			MAC: policy.MAC{2, 0, 0, 0, 0, n}, Addresses: []netip.Prefix{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 32),
				netip.MustParsePrefix("2001:db8::" + string('0'+rune(n)) + "/128")}}}}
	}
	closed := policy.Rule{Direction: policy.Egress, Protocol: policy.ICMP, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("192.0.2.0/24")}}}
	return &policy.Policy{Groups: []*policy.Group{{Name: "all"}, {Name: "db"},
		{Name: "web", Rules: []policy.Rule{closed}}}, Instances: []*policy.Instance{
		instance(1, "web-1", "web"), instance(2, "web-2", "web"), instance(3, "db-1", "all", "db"),
		instance(4, "lone"), instance(5, "more", "all")}}
}

func packet(protocol policy.Protocol, src, dst string, number uint16) spec.Tuple {
	t := spec.Tuple{Protocol: uint8(protocol), Src: netip.MustParseAddr(src),
		Dst: netip.MustParseAddr(dst)}
	if protocol.HasTypes() {
		t.ICMPType = uint8(number)
	} else {
		t.SrcPort, t.DstPort = 40000, number
	}
	return t
}

// words are what is suggested for a need.
func words(n suggest.Need) (out []string) {
	for _, c := range n.Choices {
		out = append(out, c.Group+": "+c.Rule.String())
	}
	return out
}

// Both ends deny it: each has its own rules, the narrowest first.
func TestBothEnds(t *testing.T) {
	a, err := suggest.For(explain.NewIndex(world()), packet(policy.TCP, "10.0.0.1", "10.0.0.3", 3306))
	require.NoError(t, err)
	require.Len(t, a.Needs, 2)
	assert.Equal(t, "egress", a.Needs[0].Direction)
	assert.Equal(t, []string{"web: egress tcp 3306 to group db", "web: egress tcp 3306 to 10.0.0.3/32",
		"web: egress tcp 3306 to group all"}, words(a.Needs[0]))
	assert.Equal(t, "db-1", a.Needs[1].Instance)
	assert.Equal(t, []string{"db: ingress tcp 3306 from 10.0.0.1/32", "all: ingress tcp 3306 from 10.0.0.1/32",
		"db: ingress tcp 3306 from group web", "all: ingress tcp 3306 from group web"}, words(a.Needs[1]))
	assert.Equal(t, 1, a.Needs[1].Choices[0].Members)
}

// Whatever is suggested admits the packet, and nothing else is needed: each first choice is made.
func TestWhatIsSuggestedAdmits(t *testing.T) {
	for _, c := range []spec.Tuple{packet(policy.TCP, "10.0.0.1", "10.0.0.3", 3306),
		packet(policy.UDP, "2001:db8::1", "2001:db8::3", 53),
		packet(policy.ICMP, "198.51.100.7", "10.0.0.3", 8),
		packet(policy.ICMPv6, "2001:db8::1", "2001:db8:ffff::9", 128),
		packet(policy.ESP, "10.0.0.3", "10.0.0.1", 0), packet(policy.SCTP, "10.0.0.2", "10.0.0.1", 9)} {
		p := world()
		before, err := suggest.For(explain.NewIndex(p), c)
		require.NoError(t, err)
		require.False(t, before.IsAdmitted, c)
		for _, n := range before.Needs {
			require.NotEmpty(t, n.Choices, c)
			for _, g := range p.Groups {
				if g.Name == n.Choices[0].Group {
					g.Rules = append(g.Rules, n.Choices[0].Rule)
				}
			}
		}
		assert.Empty(t, policy.Validate(p))
		after, err := suggest.For(explain.NewIndex(p), c)
		require.NoError(t, err)
		assert.True(t, after.IsAdmitted, c)
	}
}

// Where no rule could help, it is said why.
func TestNoRuleHelps(t *testing.T) {
	a, err := suggest.For(explain.NewIndex(world()), packet(policy.TCP, "198.51.100.7", "10.0.0.4", 22))
	require.NoError(t, err)
	require.Len(t, a.Needs, 1)
	assert.Empty(t, a.Needs[0].Choices)
	assert.Contains(t, a.Needs[0].Reason, "in no group")
	_, err = suggest.For(explain.NewIndex(world()), packet(policy.TCP, "198.51.100.7", "203.0.113.9", 22))
	assert.ErrorContains(t, err, "neither address is of an instance")
}
