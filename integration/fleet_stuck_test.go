//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// stuckMemberCosts is what a member that stops where it is may cost a host that follows it, until
// the host has what was changed then: as long as it bears with a server, and what a loaded machine
// adds. A host that has one server alone bears with it for a minute.
const stuckMemberCosts = 18 * time.Second

// A member stops where it is: connections to it stay open, and nothing comes. A host that follows
// it has the next change from another one, within seconds.
func TestFleet_AMemberThatStopsCostsSeconds(t *testing.T) {
	t.Parallel()
	world := func(port string) string {
		return document([]group{{name: "g", rules: []string{in("udp "+port, any4)}}},
			vm("a", 11, "g").on("hv1"))
	}
	l := newFleet(t, fleetlab.Options{Members: 3, Hosts: 1, HasTLS: true, Policy: world("5000"),
		Outside: outside()})
	status, err := l.Machines[0].Status()
	require.NoError(t, err)
	followed := func(m *fleetlab.Server) bool {
		return strings.Contains(status.Policy.Database.Endpoint, m.Address.String()+":")
	}
	stuck := l.Members[0]
	for _, m := range l.Members {
		if followed(m) {
			stuck = m
		}
	}
	require.True(t, followed(stuck), status.Policy.Database.Endpoint)
	goOn, err := stuck.Hang()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, goOn()) })
	began := time.Now()
	generation, err := l.Apply(world("5001"))
	require.NoError(t, err)
	require.NoError(t, l.AwaitGeneration(generation))
	took := time.Since(began)
	t.Logf("in force %s after the member stopped", took.Round(time.Millisecond))
	require.Less(t, took, testnet.Slowed(stuckMemberCosts), l.Machines[0].Said("followed"))
}
