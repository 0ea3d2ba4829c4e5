//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// A member whose clock is years ahead takes every certificate for an expired one: it lets nobody
// in anew, and holds up nobody. Changes are made and come into force, and with the right clock it
// is as any other, without a restart.
func TestFleet_AMembersClockJumps(t *testing.T) {
	t.Parallel()
	world := func(port string) string {
		return document([]group{{name: "g", rules: []string{in("udp "+port, any4)}}},
			vm("a", 11, "g").on("hv1"))
	}
	l := newFleet(t, fleetlab.Options{Members: 3, Hosts: 1, HasTLS: true, HasFakeClock: true,
		Policy: world("5000"), Outside: outside()})
	m, hv1 := l.Members[0], l.Machines[0]
	enters := func() error {
		_, err := hv1.Run("ovsdb-client", "--timeout=5", "--private-key="+hv1.Secrets+"/key.pem",
			"--certificate="+hv1.Secrets+"/certificate.pem", "--ca-cert=none", "list-dbs", m.Endpoint())
		return err
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		require.Eventually(t, ok, testnet.Slowed(patience), 50*time.Millisecond, what)
	}
	require.NoError(t, enters())

	require.NoError(t, m.SetClock(3*365*24*time.Hour))
	await("the member lets nobody in", func() bool { return enters() != nil })
	require.NoError(t, hv1.KillDaemon()) // it is to find another one
	require.NoError(t, hv1.StartDaemon())
	generation, err := l.Apply(world("5001"))
	require.NoError(t, err)
	require.NoError(t, l.AwaitGeneration(generation))

	require.NoError(t, m.SetClock(0))
	await("the member lets hosts in", func() bool { return enters() == nil })
	require.NoError(t, l.Members[1].Kill()) // it is needed for a majority
	generation, err = l.Apply(world("5002"))
	require.NoError(t, err)
	require.NoError(t, l.AwaitGeneration(generation))
}
