//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// 20,000 rules of one group are in force, with what else the same change says: the permission that
// it takes from somebody else is gone, and his connection with it. The rules go again by one more
// change.
func TestTwentyThousandRulesAndARevocation(t *testing.T) {
	t.Parallel()
	machines := []machine{vm("db1", 21, "backend"), vm("db2", 22, "backend"), vm("db3", 23, "backend"),
		vm("web1", 11, "frontend"), vm("web2", 12, "frontend"), vm("mgt", 31, "management")}
	with := func(rules ...string) string {
		return document([]group{{name: "frontend"}, {name: "management"},
			{name: "backend", rules: rules}}, machines...)
	}
	w := newWorld(t, testnet.Spec{Policy: with(in("tcp 22", "@management")), Outside: outside(),
		Daemon: daemon(t)})
	require.NoError(t, w.Reaches("mgt", "db1", testnet.TCP(22), testnet.IPv4))
	admits(t, w, "web1", "db1", testnet.UDP(12_345), testnet.IPv4, false)

	var many []string
	for n := range 20_000 {
		many = append(many, in(fmt.Sprintf("udp %d", n+1), "@frontend"))
	}
	require.NoError(t, w.SetPolicy(with(many...)))
	s, err := w.Status()
	require.NoError(t, err)
	require.Empty(t, s.Policy.Refused)
	for _, f := range []testnet.Family{testnet.IPv4, testnet.IPv6} {
		admits(t, w, "mgt", "db1", testnet.TCP(22), f, false)
		for port, want := range map[uint16]bool{1: true, 4_001: true, 12_345: true, 20_000: true,
			20_001: false} {
			admits(t, w, "web1", "db1", testnet.UDP(port), f, want)
			admits(t, w, "mgt", "db1", testnet.UDP(port), f, false)
		}
		require.NoError(t, w.Reaches("web2", "db3", testnet.UDP(19_999), f))
	}

	require.NoError(t, w.SetPolicy(with(in("tcp 22", "@management"))))
	require.NoError(t, w.Reaches("mgt", "db1", testnet.TCP(22), testnet.IPv6))
	admits(t, w, "web1", "db1", testnet.UDP(12_345), testnet.IPv4, false)
	require.NotContains(t, programOf(t, w), "reg4")
}
