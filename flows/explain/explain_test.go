package explain_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

func question(t *testing.T, from, to string, p policy.Protocol, port uint16) explain.Explanation {
	t.Helper()
	w := policytest.World()
	f, err := explain.FindEnd(w, from)
	require.NoError(t, err)
	to2, err := explain.FindEnd(w, to)
	require.NoError(t, err)
	return explain.Explain(w, f, to2,
		explain.Ask(policy.Service{Protocol: p, Ports: policy.PortRange{First: port, Last: port},
			ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}))
}

// What a person reads: who decides, and what is missing.
func TestExplainInWords(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		port           uint16
		verdict        explain.Outcome
		egress         string
		ingress, near  string
		guard          string
	}{
		{"rule", "198.51.100.7", "a", 80, explain.Admitted, "", "web: ingress tcp 80 from 0.0.0.0/0", "",
			""},
		{"two rules", "203.0.113.11", "a", 80, explain.Admitted,
			"egress is open: its group web has no egress rule",
			"web: ingress tcp 80 from 0.0.0.0/0; web: ingress tcp 1-65535 from group web", "", ""},
		{"wrong port", "198.51.100.7", "a", 81, explain.Denied, "", "no rule admits it",
			"web: ingress tcp 80 from 0.0.0.0/0: admits tcp 80, not tcp 81", ""},
		{"no member", "203.0.113.12", "a", 5000, explain.Denied, "egress is open: c is in no group",
			"no rule admits it",
			"web: ingress tcp 80 from 0.0.0.0/0: admits tcp 80, not tcp 5000", ""},
		{"only IPv4", "2001:db8:f::1", "a", 80, explain.Denied, "", "no rule admits it",
			"web: ingress tcp 1-65535 from group web: only from group web; 2001:db8:f::1 is none of its members", ""},
		{"no group", "198.51.100.7", "c", 80, explain.Denied, "",
			"c is in no group: all ingress is denied", "", ""},
		{"egress closed", "203.0.113.13", "198.51.100.9", 80, explain.Denied,
			"no rule admits it; egress is closed because group closed has an egress rule (-)", "", "", ""},
		{"forged", "a@203.0.113.12", "b", 80, explain.Denied, "", "", "",
			"forged source: a may use 203.0.113.10, 2001:db8::a"},
		{"not its address", "a", "b@203.0.113.99", 80, explain.Denied, "", "", "",
			"not an address of the receiver: b has 203.0.113.11, 2001:db8::b"},
		{"itself", "a", "a", 80, explain.Denied, "", "", "",
			"a port sends nothing to itself by way of the switch"},
		{"multicast", "a", "224.0.0.1", 80, explain.Denied, "", "", "",
			"broadcast and multicast reach nobody"},
		{"strangers", "198.51.100.7", "198.51.100.8", 80, explain.Denied, "", "", "",
			"neither end is an instance of the policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := question(t, c.from, c.to, policy.TCP, c.port)
			require.Equal(t, c.verdict, got.Verdict)
			r := got.Routes[0]
			require.Equal(t, c.guard, r.Guard)
			if c.egress == "" {
				require.True(t, r.Egress == nil)
			} else {
				require.Equal(t, c.egress, r.Egress.Reason)
			}
			if c.ingress == "" {
				require.True(t, r.Ingress == nil)
				return
			}
			require.Equal(t, c.ingress, r.Ingress.Reason)
			if c.near != "" {
				require.Equal(t, c.near, r.Ingress.Nearest[0].Named.String()+": "+r.Ingress.Nearest[0].Missing)
			}
		})
	}
}

// Each pair of addresses has a verdict of its own: the policy's tcp 80 is of IPv4 only.
func TestExplainTellsFamiliesApart(t *testing.T) {
	w := policytest.World()
	w.Policy.Groups[0].Rules = w.Policy.Groups[0].Rules[:1]
	from, err := explain.FindEnd(w, "c")
	require.NoError(t, err)
	to, err := explain.FindEnd(w, "a")
	require.NoError(t, err)
	got := explain.Explain(w, from, to,
		explain.Ask(policy.Service{Protocol: policy.TCP, Ports: policy.PortRange{First: 80, Last: 80}}))
	require.Equal(t, explain.Partly, got.Verdict)
	require.Len(t, got.Routes, 2)
	require.Equal(t, "c 203.0.113.12", got.Routes[0].Pairs[0].From.String())
	require.Equal(t, explain.Admitted, got.Routes[0].Verdict)
	require.Equal(t, explain.Denied, got.Routes[1].Verdict)
	require.Equal(t, "only IPv4 (0.0.0.0/0), not IPv6", got.Routes[1].Ingress.Nearest[0].Missing)

	got = explain.Explain(w, from, to, explain.Ask(policy.Service{Protocol: policy.AnyProtocol}))
	require.Equal(t, explain.Partly, got.Verdict)
	require.Equal(t, "tcp 80", got.Routes[0].Services.String())
	got = explain.Explain(w, from, to,
		explain.Ask(policy.Service{Protocol: policy.ICMPv6, ICMPType: 135,
			ICMPCode: policy.AnyICMP}))
	require.Equal(t, explain.Denied, got.Verdict)
	require.Empty(t, got.Routes)
	require.Contains(t, got.Reason, "neighbour discovery (ICMPv6 types 133 to 137) is not asked")
}

func TestServicesInWords(t *testing.T) {
	any := policy.Service{Protocol: policy.AnyProtocol}
	require.Equal(t, "any", explain.ServicesOf(any, false).String())
	require.Equal(t, "any but icmpv6 types 133-137", explain.ServicesOf(any, true).String())
	require.Equal(t, "nothing", explain.Services{}.String())
	of := func(p policy.Protocol, kind, code int16) explain.Services {
		return explain.ServicesOf(policy.Service{Protocol: p, ICMPType: kind, ICMPCode: code},
			p == policy.ICMPv6)
	}
	require.Equal(t, "icmp type 8 code 0", of(policy.ICMP, 8, 0).String())
	require.Equal(t, "icmp type 8", of(policy.ICMP, 8, -1).String())
	require.Equal(t, "icmp types 0-7, icmp types 9-255",
		of(policy.ICMP, -1, -1).Minus(of(policy.ICMP, 8, -1)).String())
	require.Equal(t, "icmp type 8 codes 1-255",
		of(policy.ICMP, 8, -1).Minus(of(policy.ICMP, 8, 0)).String())
	require.Equal(t, "icmpv6 types 0-132, icmpv6 types 138-255", of(policy.ICMPv6, -1, -1).String())
	require.Equal(t, "tcp, protocol 7", of(policy.TCP, 0, 0).Union(of(7, 0, 0)).String())
	web := explain.ServicesOf(policy.Service{Protocol: policy.TCP,
		Ports: policy.PortRange{First: 80, Last: 443}}, false)
	require.Equal(t, "tcp 0-79, tcp 444-65535", of(policy.TCP, 0, 0).Minus(web).String())
	require.Equal(t, "tcp 80-443", of(policy.TCP, 0, 0).Intersect(web).String())
	require.Equal(t, "any but tcp 80-443", explain.ServicesOf(any, false).Minus(web).String())
}

func TestUnknownEnds(t *testing.T) {
	w := policytest.World()
	for _, name := range []string{"", "nobody", "a@", "@203.0.113.1", "nobody@203.0.113.1",
		"203.0.113", "203.0.113.0/33", "02:00:00:00:00:98", "group:a"} {
		_, err := explain.FindEnd(w, name)
		var unknown *explain.ErrUnknownEnd
		require.ErrorAs(t, err, &unknown, name)
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e", "router"}, explain.Names(w))
}

// A word may name a crowd, or a place by its MAC.
func TestEndsInWords(t *testing.T) {
	r := explain.Read(policytest.World())
	for name, want := range map[string]explain.End{
		"web":             {Group: "web"},
		"group:web":       {Group: "web"},
		"x":               {Host: "x"},
		"host:x":          {Host: "x"},
		"outside":         {Outside: true},
		"internet":        {Outside: true},
		"203.0.113.77/24": {Network: netip.MustParsePrefix("203.0.113.0/24")},
	} {
		want.Name = name
		end, err := r.FindEnd(name)
		require.NoError(t, err, name)
		require.Equal(t, want, end)
		require.True(t, end.IsCrowd())
	}
	for _, name := range []string{"02:00:00:00:00:0a", "02-00-00-00-00-0A", "203.0.113.10/32"} {
		end, err := r.FindEnd(name)
		require.NoError(t, err, name)
		require.False(t, end.IsCrowd())
		require.Equal(t, "a 203.0.113.10", end.Points[0].String())
	}
	for name, want := range map[string]string{"wep": `group "web"`, "routr": `instance "router"`,
		"outsid": `"outside"`} {
		_, err := r.FindEnd(name)
		require.ErrorContains(t, err, "; did you mean "+want+"?")
	}
}
