package explain_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/explain"
)

func TestParseAsked(t *testing.T) {
	for word, want := range map[string]string{
		"tcp/3306": "tcp/3306", "udp/5000-5999": "udp/5000-5999", "tcp": "tcp", "icmp": "icmp",
		"icmp/8": "icmp/8", "icmp/8/0": "icmp/8/0", "icmpv6/128": "icmpv6/128", "esp": "esp",
		"6/80": "tcp/80", "any": "any", "TCP/80": "tcp/80", "ICMPv6": "icmpv6", "all": "any",
		"80/tcp": "tcp/80", "tcp:3306": "tcp/3306", "53/UDP": "udp/53", "tcp/http": "tcp/80",
		"http/tcp": "tcp/80", "mysql": "mysql (tcp/3306)", "MariaDB": "mysql (tcp/3306)",
		"ping": "ping (icmp/8/0,icmpv6/128/0)", "icmpv6/ping": "icmpv6/128/0",
		"icmp/echo-request": "icmp/8/0", "icmp6/1": "icmpv6/1", "dns": "dns (udp/53,tcp/53)",
		"udp/dns": "udp/53", "tcp/80,443,8000-8999": "tcp/80,tcp/443,tcp/8000-8999",
		"mysql,ssh": "tcp/3306,tcp/22", "tcp/80, 80/tcp": "tcp/80", "protocol/47": "gre",
		"protocol/80": "protocol/80", "8000-8999/tcp": "tcp/8000-8999",
	} {
		a, err := explain.ParseAsked(word)
		require.NoError(t, err, word)
		require.Equal(t, want, a.String(), word)
	}
	for word, want := range map[string]string{
		"": "there is no service", "tpc/80": `did you mean "tcp/80"?`, "tcp/0": "from 1 to 65535",
		"tcp/65536": "from 1 to 65535", "tcp/80-79": "from 1 to 65535",
		"tcp/": "from 1 to 65535", "tcp/80/81": "one port or one range",
		"icmp/256": "from 0 to 255", "icmp/8/x": "from 0 to 255",
		"icmp/8/0/0": "a type and a code",
		"esp/1":      "neither ports nor types", "any/80": "neither ports nor types",
		"tcp/+80": "from 1 to 65535", "mysq": `did you mean "mysql"?`,
		"80":       "did you mean tcp/80, udp/80 or protocol/80?",
		"47":       "did you mean tcp/47, udp/47 or gre?",
		"3306":     "did you mean tcp/3306 or udp/3306?",
		"80-90":    "did you mean tcp/80-90 or udp/80-90?",
		"udp/http": "there is no http over udp", "mysql,80": "did you mean tcp/80",
		"protocol/256": "there is no service", "frobnicate": "a name such as mysql or ping",
		"tcp/80,": "there is no service", "icmp/mysql": "there is no mysql over icmp",
	} {
		_, err := explain.ParseAsked(word)
		require.ErrorContains(t, err, want, word)
	}
}

// What is printed of a question asks the same again.
func TestAskedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := explain.Ask(drawService(t), drawService(t))
		b, err := explain.ParseAsked(a.String())
		require.NoError(t, err)
		for _, v6 := range []bool{false, true} {
			require.Equal(t, a.Of(v6), b.Of(v6), a.String())
		}
	})
}

func TestAskedIsOne(t *testing.T) {
	for word, want := range map[string]bool{"tcp/80": true, "mysql": true, "ping": true, "esp": true,
		"dns": false, "tcp": false, "any": false, "icmp/8": false, "tcp/80-81": false,
		"tcp/80,81": false} {
		a, err := explain.ParseAsked(word)
		require.NoError(t, err)
		require.Equal(t, want, a.IsOne(), word)
	}
}
