package policyfile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseService(t *testing.T) {
	for word, want := range map[string]string{
		"tcp/3306": "tcp/3306", "udp/5000-5999": "udp/5000-5999", "tcp": "tcp", "icmp": "icmp",
		"icmp/8": "icmp/8", "icmp/8/0": "icmp/8/0",
		"icmpv6/128": "icmpv6/128", "esp": "esp", "47": "gre", "6/80": "tcp/80", "any": "any",
		"0": "0", "TCP/80": "tcp/80",
	} {
		s, err := ParseService(word)
		require.NoError(t, err, word)
		require.Equal(t, want, s.String(), word)
	}
	for word, want := range map[string]string{
		"": "must be one of tcp", "tpc/80": `did you mean "tcp"?`, "tcp/0": "from 1 to 65535",
		"tcp/65536": "from 1 to 65535", "tcp/80-79": "from 1 to 65535",
		"tcp/": "from 1 to 65535", "tcp/80/81": "one port or one range",
		"icmp/256": "from 0 to 255", "icmp/8/x": "from 0 to 255",
		"icmp/8/0/0": "a type and a code",
		"esp/1":      "neither ports nor types", "any/80": "neither ports nor types",
		"256": "from 0 to 255", "tcp/+80": "from 1 to 65535",
	} {
		_, err := ParseService(word)
		require.ErrorContains(t, err, want, word)
	}
}
