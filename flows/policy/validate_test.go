package policy_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// fleet is a valid policy of so many ports, with an IPv4 and an IPv6 address each.
func fleet(ports int) *policy.Policy {
	p := &policy.Policy{}
	for n := range ports / 5 {
		p.Groups = append(p.Groups, &policy.Group{Name: fmt.Sprintf("g%d", n), Rules: []policy.Rule{
			{Direction: policy.Ingress, Protocol: policy.TCP,
				Ports:    []policy.PortRange{{First: 80, Last: 80}},
				ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
				Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}},
			{Direction: policy.Egress, Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
				ICMPCode: policy.AnyICMP, Peers: []policy.Peer{{
					Group: fmt.Sprintf("g%d", (n+1)%(ports/5))}}},
		}})
	}
	for n := range ports {
		high, low := byte(n>>8), byte(n)
		v4 := netip.AddrFrom4([4]byte{10, byte(n >> 16), high, low})
		v6 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(n >> 16), 14: high, 15: low})
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprintf("i%d", n),
			Host: fmt.Sprintf("hv%d", n%100), Groups: []string{fmt.Sprintf("g%d", n/5)},
			Ports: []policy.Port{{Name: fmt.Sprintf("tap%d", n),
				MAC:       policy.MAC{2, 0, 0, byte(n >> 16), high, low},
				Addresses: []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128)}}}})
	}
	return p
}

// A valid policy costs a validator that knows one of its size no memory at all.
func TestValidateAllocatesNothing(t *testing.T) {
	p := fleet(1000)
	var v policy.Validator
	require.Empty(t, v.Validate(p))
	require.Zero(t, testing.AllocsPerRun(10, func() { v.Validate(p) }))
}

// The budget is 10 ms for 10,000 ports.
func BenchmarkValidate(b *testing.B) {
	p := fleet(10_000)
	b.Run("again", func(b *testing.B) {
		var v policy.Validator
		b.ReportAllocs()
		for b.Loop() {
			if len(v.Validate(p)) > 0 {
				b.Fatal("the policy is valid")
			}
		}
	})
	b.Run("once", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.Validate(p)
		}
	})
	b.Run("doubts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			new(policy.Validator).Doubts(p)
		}
	})
}

// Whoever made the policy: each mistake names its object, its field, and what would be right.
func TestValidateNamesObjectAndField(t *testing.T) {
	for _, c := range []struct {
		change func(p *policy.Policy)
		want   string
	}{
		{func(p *policy.Policy) { p.Groups = append(p.Groups, &policy.Group{Name: "g0"}) },
			`group "g0": name: the group "g0" is defined twice; the first is at groups[0].name`},
		{func(p *policy.Policy) { p.Groups[0].Description = "a\n" },
			`group "g0": description: must not hold control or invisible characters`},
		{func(p *policy.Policy) { p.Groups[0].ExternalSources = []netip.Prefix{{}} },
			`group "g0": external_sources[0]: is no network`},
		{func(p *policy.Policy) { rule(p).Direction = 0 },
			`group "g0": rules[0]: a rule needs a direction`},
		{func(p *policy.Policy) { rule(p).Protocol = 257 },
			`group "g0": rules[0].protocol: must be a number`},
		{func(p *policy.Policy) { rule(p).Ports = nil },
			`group "g0": rules[0]: tcp needs ports`},
		{func(p *policy.Policy) { rule(p).Ports = []policy.PortRange{{First: 2, Last: 1}} },
			`group "g0": rules[0].ports: is 2-1; must be a range`},
		{func(p *policy.Policy) { rule(p).Protocol = policy.GRE },
			`group "g0": rules[0].ports: protocol gre has no ports`},
		{func(p *policy.Policy) { rule(p).ICMPType = 8 },
			`group "g0": rules[0].icmp_type: protocol tcp has no ICMP`},
		{func(p *policy.Policy) { rule(p).Peers = nil },
			`group "g0": rules[0]: a rule needs a peer`},
		{func(p *policy.Policy) { rule(p).Peers[0].Group = "g1" },
			`group "g0": rules[0]: cidr and group are both given`},
		{func(p *policy.Policy) { rule(p).Peers = []policy.Peer{{Group: "g9"}} },
			`group "g0": rules[0].group: there is no group "g9"`},
		{func(p *policy.Policy) { rule(p).Peers[0].CIDR = netip.MustParsePrefix("10.0.0.1/8") },
			`group "g0": rules[0].cidr: is 10.0.0.1/8, an address with a netmask`},
		{func(p *policy.Policy) { p.Instances[0].Host = " h" },
			`instance "i0": host: must not begin`},
		{func(p *policy.Policy) { p.Instances[0].MigratingTo = "hv0" },
			`instance "i0": migrating_to: is "hv0", where it runs; name the host that it moves to`},
		{func(p *policy.Policy) { p.Instances[0].MigratingTo = policy.Nowhere },
			`instance "i0": migrating_to: is "-", which is no host`},
		{func(p *policy.Policy) { p.Instances[0].Host, p.Instances[0].MigratingTo = "", "hv1" },
			`instance "i0": migrating_to: an instance without a host is on every host`},
		{func(p *policy.Policy) {
			p.Instances[0].Host, p.Instances[0].MigratingTo = policy.Nowhere, "hv1"
		}, `instance "i0": migrating_to: an instance that is on no host does not move`},
		{func(p *policy.Policy) { p.Instances[0].MigratingTo, port(p).Name = "hv1", "tap1" },
			`instance "i1": ports[0].name: the port "tap1" is on this host twice`},
		{func(p *policy.Policy) { port(p).IfaceID = " a" },
			`instance "i0": ports[0].iface_id: must not begin or end with a space`},
		{func(p *policy.Policy) { port(p).IfaceID, p.Instances[1].Ports[0].IfaceID = "a", "a" },
			`instance "i1": ports[0].iface_id: "a" is the iface_id of the port "tap0" already, at ` +
				`instances[0].ports[0].iface_id`},
		{func(p *policy.Policy) {
			port(p).IfaceID, port(p).Name, port(p).Type = "a", "a", policy.InternalDevice
		}, `instance "i0": ports[0].iface_id: a device that Open vSwitch makes for the port needs a name`},
		{func(p *policy.Policy) { p.Instances[0].Groups = []string{"g0", "x"} },
			`instance "i0": groups[1]: there is no group "x"`},
		{func(p *policy.Policy) { port(p).Name = "a/b" }, `instance "i0": ports[0].name: is "a/b"`},
		{func(p *policy.Policy) { port(p).MAC = policy.MAC{} },
			`instance "i0": ports[0].mac: is all zeros`},
		{func(p *policy.Policy) { port(p).MAC = p.Instances[1].Ports[0].MAC },
			`instance "i1": ports[0].mac: 02:00:00:00:00:01 is the MAC of the port "tap0" already, ` +
				`at instances[0].ports[0].mac`},
		{func(p *policy.Policy) {
			port(p).Addresses = []netip.Prefix{
				netip.MustParsePrefix("127.0.0.1/32")}
		},
			`instance "i0": ports[0].addresses[0]: is 127.0.0.1, one of loopback addresses`},
		{func(p *policy.Policy) { port(p).Addresses = p.Instances[1].Ports[0].Addresses[:1] },
			`instance "i1": ports[0].addresses[0]: 10.0.0.1 belongs to the port "tap0" already`},
		{func(p *policy.Policy) {
			port(p).Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}
		}, `instance "i0": ports[0].allowed_addresses[0].address: is 0.0.0.0/0, which is every address`},
		{func(p *policy.Policy) { port(p).EtherTypes = []uint16{0x8100} },
			`instance "i0": ports[0].ethertypes[0]: 0x8100 is a VLAN tag`},
		{func(p *policy.Policy) { port(p).Type = "dpdk" },
			`instance "i0": ports[0].type: must be internal`},
		{func(p *policy.Policy) { port(p).Limits.ARPNDDHCP = policy.MaxLimit + 1 },
			`instance "i0": ports[0].limits.arp_nd_dhcp_per_second: must be a decimal number`},
		{func(p *policy.Policy) { port(p).Trusted, port(p).LogDenied = true, policy.No },
			`instance "i0": ports[0].log_denied: nothing is denied at a trusted port`},
	} {
		p := fleet(10).Clone()
		c.change(p)
		problems := policy.Validate(p)
		require.Len(t, problems, 1, "%s: %v", c.want, problems)
		require.Contains(t, problems[0].String(), c.want)
		require.Equal(t, problems, policy.Validate(p), "the same again")
	}
}

func rule(p *policy.Policy) *policy.Rule { return &p.Groups[0].Rules[0] }

func port(p *policy.Policy) *policy.Port { return &p.Instances[0].Ports[0] }

// Each of 50,000 wrong names and wide networks is told of, in time near to linear.
func TestValidateIsLinear(t *testing.T) {
	p := fleet(50_000).Clone()
	for _, i := range p.Instances {
		i.Groups[0] = "unknown " + i.Name
		i.Ports[0].Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}
	}
	began := time.Now()
	require.Len(t, policy.Validate(p), 50_000)
	require.Len(t, new(policy.Validator).Doubts(p), 50_000)
	require.Less(t, time.Since(began), 5*time.Minute, "it grows with the square of the policy")
}
