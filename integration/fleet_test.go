//go:build integration

package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// newFleet builds a fleet that ends with the test, and reports on it if the test fails.
func newFleet(t *testing.T, o fleetlab.Options) *fleetlab.Lab {
	t.Helper()
	requireCapable(t)
	o.Program = daemon(t)
	l, err := fleetlab.New(o)
	if l != nil {
		t.Cleanup(func() {
			report := ""
			if t.Failed() {
				report = l.Report()
			}
			if err := l.Close(); err != nil {
				t.Errorf("end the fleet: %v", err)
			}
			if report != "" {
				saveReport(t, report)
			}
		})
	}
	require.NoError(t, err)
	return l
}

// One change is in force on every host, whichever server of the database it follows, and packets
// between hosts meet it.
func TestFleet_AChangeIsInForceEverywhere(t *testing.T) {
	t.Parallel()
	world := func(port string) string {
		return document([]group{{name: "web"}, {name: "db", rules: []string{in("tcp "+port, "@web"),
			in("udp "+port, "@web")}}},
			vm("web-1", 11, "web").on("hv1"), vm("db-2", 22, "db").on("hv2"),
			vm("db-3", 23, "db").on("hv3"), vm("other-1", 31).on("hv1"))
	}
	l := newFleet(t, fleetlab.Options{Members: 3, Hosts: 3, HasRelay: true, HasTLS: true,
		Outside: outside(),
		Policy:  world("3306")})
	admitted := func(from, to string, port uint16) bool {
		passes, err := l.Admits(from, to, testnet.TCP(port), testnet.IPv4)
		require.NoError(t, err)
		return passes
	}
	for _, to := range []string{"db-2", "db-3"} {
		require.NoError(t, l.Reaches("web-1", to, testnet.TCP(3306), testnet.IPv4))
		require.False(t, admitted("web-1", to, 5432))
		require.False(t, admitted("other-1", to, 3306))
		require.False(t, admitted("client", to, 3306))
	}
	generation, err := l.Apply(world("5432"))
	require.NoError(t, err)
	require.NoError(t, l.AwaitGeneration(generation))
	for _, to := range []string{"db-2", "db-3"} {
		require.NoError(t, l.Reaches("web-1", to, testnet.TCP(5432), testnet.IPv6))
		require.False(t, admitted("web-1", to, 3306))
	}
}
