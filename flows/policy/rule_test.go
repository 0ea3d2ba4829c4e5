package policy_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// The words of a rule are its identity in every switch and database that is in use: those of a rule
// of one port and one peer may never change, and those of a list may not depend on its order.
func TestRuleWords(t *testing.T) {
	for _, c := range []struct{ what, peers, want string }{
		{"ingress tcp 80", "0.0.0.0/0", "ingress tcp 80 from 0.0.0.0/0"},
		{"egress udp 53-54", "web", "egress udp 53-54 to group web"},
		{"ingress icmp 8/0", "10.0.0.0/8", "ingress icmp type 8 code 0 from 10.0.0.0/8"},
		{"ingress icmpv6 128/-1", "::/0", "ingress icmpv6 type 128 from ::/0"},
		{"ingress any", "web", "ingress any from group web"},
		{"ingress 44", "web", "ingress 44 from group web"},
		{"ingress tcp 443,80", "0.0.0.0/0", "ingress tcp 80, 443 from 0.0.0.0/0"},
		{"ingress tcp 81,80,90-100,95-99,101,80", "web",
			"ingress tcp 80-81, 90-101 from group web"},
		{"ingress tcp 65535,1-65534", "web", "ingress tcp 1-65535 from group web"},
		{"ingress esp", "web,::/0,10.0.0.0/8,db,10.1.0.0/16,10.0.0.0/8,web",
			"ingress esp from 10.0.0.0/8, ::/0, group db, group web"},
		{"ingress esp", "10.0.0.0/25,10.0.0.128/25", "ingress esp from 10.0.0.0/25, 10.0.0.128/25"},
	} {
		require.Equal(t, c.want, policytest.Rule(c.what, c.peers).String())
	}
	require.Equal(t, "none 0 from nobody", policy.Rule{}.String())
	require.Equal(t, "none tcp 0 from nobody", policy.Rule{Protocol: policy.TCP}.String())
	named := policy.Rule{Direction: policy.Ingress, Protocol: policy.ESP,
		Peers: []policy.Peer{{Group: "b", IsNetwork: true}, {Group: "c"}, {Group: "a"}}}
	require.Equal(t, "ingress esp from group a, group c, network b", named.String())
}

// A union is the same set, in one form.
func TestUnions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := policytest.DrawRule(t, []string{"a", "b"})
		ports, peers := policy.UnionOfPorts(r.Ports), policy.UnionOfPeers(r.Peers)
		for n := range len(ports) - 1 {
			require.Less(t, int(ports[n].Last)+1, int(ports[n+1].First), "%v", ports)
		}
		has := func(list []policy.PortRange, port uint16) bool {
			return slices.ContainsFunc(list, func(p policy.PortRange) bool { return p.Contains(port) })
		}
		for _, p := range policytest.Ports {
			for _, port := range []uint16{p - 1, p, p + 1} {
				require.Equal(t, has(r.Ports, port), has(ports, port), "%d of %v", port, r.Ports)
			}
		}
		isPeer := func(list []policy.Peer, a netip.Addr) bool {
			return slices.ContainsFunc(list, func(p policy.Peer) bool { return p.CIDR.Contains(a) })
		}
		for _, a := range slices.Concat(policytest.Hosts4, policytest.Hosts6, policytest.Outside) {
			require.Equal(t, isPeer(r.Peers, a.Addr()), isPeer(peers, a.Addr()), "%s", a)
		}
		other := r
		other.Ports = rapid.Permutation(append(slices.Clone(r.Ports), r.Ports...)).Draw(t, "ports")
		other.Peers = rapid.Permutation(append(slices.Clone(r.Peers), r.Peers...)).Draw(t, "peers")
		require.Equal(t, r.String(), other.String())
		require.True(t, r.Equal(other))
	})
}

// What Validate refuses of lists, and what it does not.
func TestValidateLists(t *testing.T) {
	base := func(r policy.Rule) *policy.Policy {
		return &policy.Policy{Groups: []*policy.Group{
			{Name: "net", IsNetwork: true, ExternalSources: policytest.Nets("10.0.0.0/8", "::/0")},
			{Name: "web", Rules: []policy.Rule{r}}}}
	}
	of := func(r policy.Rule, peers ...policy.Peer) policy.Rule {
		r.Peers = append(r.Peers, peers...)
		return r
	}
	net := policy.Peer{Group: "net", IsNetwork: true}
	for _, valid := range []policy.Rule{policytest.Rule("ingress tcp 80,443", "web,10.0.0.0/8"),
		of(policytest.Rule("ingress icmp", "10.0.0.0/8"), net),
		policytest.Rule("ingress icmp", "10.0.0.0/8,::/0"),
		of(policytest.Rule("ingress icmp", "::/0"), net)} {
		require.Empty(t, policy.Validate(base(valid)), "%s", valid)
	}
	for want, r := range map[string]policy.Rule{
		`group "web": rules[0].ports[1]: is 2-1; must be a range of ports from 1 to 65535, ` +
			`such as 8000-8999`: policytest.Rule("ingress tcp 80,2-1", "web"),
		`group "web": rules[0].cidr[1]: is 10.0.0.1/8, an address with a netmask; write ` +
			`10.0.0.1 for the one address, or 10.0.0.0/8 for all of the network`: policytest.Rule(
			"ingress any", "web,::/0,10.0.0.1/8"),
		`group "web": rules[0].group[1]: there is no group "x"`: policytest.Rule("ingress any",
			"::/0,web,x"),
		`group "web": rules[0].cidr: ::/0 is IPv6, but icmp is of IPv4; ` +
			`write protocol icmpv6`: policytest.Rule("ingress icmp", "::/0"),
		`group "web": rules[0].group: "net" is a named network, not a group; where a rule is ` +
			`about it, write cidr: net`: policytest.Rule("ingress any", "net"),
		`group "web": rules[0].cidr: "web" is a group, not a named network; write group: web`: {
			Direction: policy.Ingress, Protocol: policy.AnyProtocol, ICMPType: -1, ICMPCode: -1,
			Peers: []policy.Peer{{Group: "web", IsNetwork: true}}},
	} {
		problems := policy.Validate(base(r))
		require.Len(t, problems, 1, "%s: %v", r, problems)
		require.Equal(t, want, problems[0].String())
	}
	withRules := base(policytest.Rule("ingress any", "web"))
	withRules.Groups[0].Rules = withRules.Groups[1].Rules
	require.Equal(t, `group "net": rules: a named network has no rules`,
		policy.Validate(withRules)[0].String())
}
