package generation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// large is a policy of 50,000 instances and 500 groups of 10 rules, one of which is for a port.
func large(port int) string {
	var b strings.Builder
	b.WriteString("groups:\n")
	for g := range 500 {
		fmt.Fprintf(&b, "- name: g%d\n  rules:\n", g)
		for r := range 9 {
			fmt.Fprintf(&b, "  - {direction: ingress, protocol: tcp, ports: %d, group: g%d}\n", 1000+r,
				(g*7+r)%500)
		}
		n := 2000
		if g == 0 {
			n = port
		}
		fmt.Fprintf(&b, "  - {direction: ingress, protocol: tcp, ports: %d, cidr: 198.51.100.0/24}\n", n)
	}
	b.WriteString("instances:\n")
	for i := range 50000 {
		fmt.Fprintf(&b, "- {name: i%d, host: h%d, groups: [g%d, g%d], ports: [{name: t%d, "+
			"mac: '02:00:00:%02x:%02x:%02x', addresses: [10.%d.%d.%d]}]}\n", i, i/200, i%500,
			(i/7)%500, i, i>>16, i>>8&255, i&255, 1+i>>16, i>>8&255, i&255)
	}
	return b.String()
}

// BenchmarkOneRuleOfMany is what keeping and telling of the change of one rule costs beside the
// loop.
func BenchmarkOneRuleOfMany(b *testing.B) {
	p := newSite(b)
	p.write(large(2000))
	s := p.source()
	_, _, err := s.Load()
	require.NoError(b, err)
	require.NoError(b, s.keep())
	for s.recordNext(b.Context()) {
	}
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		p.write(large(2001 + n))
		_, _, err := s.Load()
		require.NoError(b, err)
		b.StartTimer()
		require.NoError(b, s.keep())
		for s.recordNext(b.Context()) {
		}
	}
}
