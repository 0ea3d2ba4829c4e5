package explain_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// The words of a set are those that commands take, and short where all of something is meant.
func TestWordsOfServices(t *testing.T) {
	of := func(p policy.Protocol, first, last uint16, kind, code int16) explain.Services {
		return explain.ServicesOf(policy.Service{Protocol: p,
			Ports: policy.PortRange{First: first, Last: last}, ICMPType: kind, ICMPCode: code},
			p == policy.ICMPv6)
	}
	any := of(policy.AnyProtocol, 0, 0, -1, -1)
	web := of(policy.TCP, 80, 80, -1, -1).Union(of(policy.TCP, 8000, 8999, -1, -1))
	for want, s := range map[string]explain.Services{
		"":                                nil,
		"any":                             any,
		"tcp/80 tcp/8000-8999":            web,
		"tcp":                             of(policy.TCP, 1, 65535, -1, -1),
		"udp":                             of(policy.UDP, 0, 0, -1, -1),
		"icmp":                            of(policy.ICMP, 0, 0, -1, -1),
		"icmp/8":                          of(policy.ICMP, 0, 0, 8, -1),
		"icmpv6/128/0":                    of(policy.ICMPv6, 0, 0, 128, 0),
		"icmp/8/0 icmp/13":                of(policy.ICMP, 0, 0, 8, 0).Union(of(policy.ICMP, 0, 0, 13, -1)),
		"esp":                             of(policy.ESP, 0, 0, -1, -1),
		"protocol/99":                     of(99, 0, 0, -1, -1),
		"any but tcp/80 tcp/8000-8999":    any.Minus(web),
		"icmp/8/0-254":                    of(policy.ICMP, 0, 0, 8, -1).Minus(of(policy.ICMP, 0, 0, 8, 255)),
		"icmp tcp/80 tcp/8000-8999 47 48": nil,
	} {
		if strings.HasSuffix(want, "48") {
			s = web.Union(of(policy.ICMP, 0, 0, -1, -1)).Union(of(policy.GRE, 0, 0, -1, -1)).
				Union(of(48, 0, 0, -1, -1))
			want = strings.Replace(want, "47", "gre", 1)
			want = strings.Replace(want, "48", "protocol/48", 1)
		}
		require.Equal(t, want, strings.Join(s.Words(), " "))
	}
	v6 := explain.ServicesOf(policy.Service{Protocol: policy.AnyProtocol, ICMPType: -1,
		ICMPCode: -1}, true)
	require.Equal(t, []string{"any"}, v6.Words())
	require.Equal(t, []string{"icmpv6"}, of(policy.ICMPv6, 0, 0, -1, -1).Words())
}
