package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each name is one word in lower case, stands once in the table, which is sorted, and says what a
// rule or a question can say.
func TestNamedServices(t *testing.T) {
	seen, last := map[string]bool{}, ""
	for _, n := range NamedServices() {
		require.Less(t, last, n.Name)
		last = n.Name
		for _, name := range append([]string{n.Name}, n.Also...) {
			require.Equal(t, strings.ToLower(name), name)
			require.NotContains(t, name, " ")
			require.NotRegexp(t, `^[0-9-]`, name)
			require.False(t, seen[name], name)
			seen[name] = true
			_, isProtocol := ParseProtocol(name)
			require.False(t, isProtocol, name)
		}
		require.NotEmpty(t, n.Services, n.Name)
		for _, s := range n.Services {
			require.True(t, s.IsOne(), "%s: %s", n.Name, s)
		}
	}
	require.Greater(t, len(seen), 40)
}

func TestFindService(t *testing.T) {
	for name, want := range map[string]string{"mysql": "tcp/3306", "MySQL": "tcp/3306",
		"mariadb": "tcp/3306", "dns": "udp/53 tcp/53", "ping": "icmp/8/0 icmpv6/128/0"} {
		n, ok := FindService(name)
		require.True(t, ok, name)
		var got []string
		for _, s := range n.Services {
			got = append(got, s.String())
		}
		require.Equal(t, want, strings.Join(got, " "))
	}
	_, ok := FindService("mysq")
	require.False(t, ok)
	dns, _ := FindService("domain")
	require.Equal(t, []PortRange{{53, 53}}, dns.Ports(TCP))
	require.Equal(t, []PortRange{{53, 53}}, dns.Ports(UDP))
	require.Empty(t, dns.Ports(SCTP))
}
