package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/gate"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// follow makes a daemon a host of a database.
func (d *process) follow(endpoint string) {
	d.t.Helper()
	text, err := os.ReadFile(d.settings)
	require.NoError(d.t, err)
	require.NoError(d.t, os.WriteFile(d.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: ovsdb:"+endpoint, 1)), 0o600))
}

// transact is what somebody writes who does not ask Portcullis.
func (d *database) transact(operation string) {
	d.t.Helper()
	out, err := exec.Command("ovsdb-client", "-t", "20", "transact", d.endpoint,
		fmt.Sprintf(`[%q,%s]`, policydb.Name, operation)).CombinedOutput()
	require.NoError(d.t, err, "%s", out)
	require.NotContains(d.t, string(out), "error")
}

// tenants is a policy of two who have nothing to do with each other, both on hv1.
const tenants = `groups:
  - {name: a, rules: [{direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}]}
  - {name: b, rules: [{direction: ingress, protocol: tcp, ports: 81, cidr: 0.0.0.0/0}, {direction: egress, protocol: tcp, ports: 82, cidr: 192.0.2.0/24}]}
instances:
  - {name: a-1, host: hv1, groups: [a], ports: [{name: tap1, mac: "02:00:00:00:00:11", addresses: [203.0.113.11]}]}
  - {name: b-1, host: hv1, groups: [b], ports: [{name: tap2, mac: "02:00:00:00:00:12", addresses: [203.0.113.12, 203.0.113.22]}]}
`

// One bad port and one bad rule of a tenant hold up nobody else's revocation: what they are about
// is left out and named, in flows that admit less and never more.
func TestRowsOfAStrangerHoldUpNobody(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	host.follow(db.endpoint)
	require.Equal(t, 0, db.apply(tenants).code)
	host.ready()
	host.settled()
	has := func(text string) bool { return strings.Contains(host.flows(), text) }
	for _, text := range []string{"tp_dst=80", "tp_dst=81", "tp_dst=82", "203.0.113.22"} {
		require.True(t, has(text), text)
	}
	db.transact(`{"op":"update","table":"Port","where":[["name","==","b-1/tap2"]],"row":` +
		`{"addresses":["set",["203.0.113.12","203.0.113.999"]]}}`)
	db.transact(`{"op":"update","table":"Rule","where":[["direction","==","egress"]],"row":` +
		`{"ports":"82-x"}}`)
	bad := host.awaitStatus(func(s *api.Status) bool { return len(s.Policy.Errors) == 2 })
	require.Equal(t, agent.StateDegraded, bad.State)
	require.Equal(t, policydb.Invalid, bad.Policy.Database.Standing)
	require.Contains(t, bad.Summary, "rows of the policy database are not valid and are left out: "+
		`group "b" of the database: rule `)
	require.Contains(t, bad.Policy.Errors[1], `instance "b-1" of the database: port "b-1/tap2": `+
		"addresses: ")
	require.Eventually(t, func() bool { return !has("203.0.113.22") && !has("tp_dst=82") }, generous,
		10*time.Millisecond)
	require.True(t, has("tp_dst=81"), "the rest of b is in force")
	require.NotContains(t, call(t, "explain", "b-1", "192.0.2.1", "tcp/443", "--config",
		host.settings).out, "admitted", "b's egress does not open")

	got := db.apply("groups:\n  - {name: a, rules: [{direction: ingress, protocol: tcp, ports: 8080, " +
		"cidr: 0.0.0.0/0}]}\n")
	require.Equal(t, 0, got.code, got.errOut)
	require.Eventually(t, func() bool { return has("tp_dst=8080") && !has("tp_dst=80 ") }, generous,
		10*time.Millisecond)
	require.Equal(t, 1, call(t, "status", "--health", "--config", host.settings).code)

	got = db.apply(tenants)
	require.Equal(t, 0, got.code, "%s: who applies b again mends it", got.errOut)
	host.awaitStatus(func(s *api.Status) bool { return s.State == agent.StateInSync })
	require.True(t, has("tp_dst=82"))
}

// A database that was gone, and comes back with fifty changes, is one bundle; one that has fewer
// generations than are in force takes nothing out of force, and one that is restored is followed.
func TestAHostMeetsADatabaseAgain(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	way := newWay(t, db)
	host.follow(way.Endpoint)
	require.Equal(t, 0, db.apply(tenants).code)
	host.ready()
	before := host.settled()
	way.Shut()
	host.awaitStatus(func(s *api.Status) bool { return s.Policy.Database.Standing == policydb.Stale })
	for n := range 50 {
		got := db.apply(fmt.Sprintf("groups:\n  - {name: a, rules: [{direction: ingress, protocol: tcp, "+
			"ports: %d, cidr: 0.0.0.0/0}]}\n", 1000+n))
		require.Equal(t, 0, got.code, got.errOut)
	}
	held := host.flows()
	require.NotContains(t, held, "tp_dst=1049")
	way.Open()
	after := host.awaitStatus(func(s *api.Status) bool { return s.Policy.Generation == 51 })
	require.Equal(t, before.Counters.Applies+1, after.Counters.Applies, "one bundle")
	require.Equal(t, policydb.Current, after.Policy.Database.Standing)
	require.Contains(t, host.flows(), "tp_dst=1049")
	require.NotContains(t, host.flows(), "tp_dst=1048")

	held = host.flows()
	db.transact(`{"op":"update","table":"Global","where":[],"row":{"generation":40}}`)
	behind := host.awaitStatus(func(s *api.Status) bool {
		return s.Policy.Database.Standing == policydb.Behind
	})
	require.Equal(t, 51, behind.Policy.Generation)
	require.Equal(t, 40, behind.Policy.Database.Offered)
	require.Contains(t, behind.Summary, "behind since ")
	require.Contains(t, call(t, "status", "--config", host.settings).out,
		"behind: generation 51 in force")
	require.Equal(t, held, host.flows())
	db.transact(`{"op":"update","table":"Global","where":[],"row":{"generation":90}}`)
	host.awaitStatus(func(s *api.Status) bool { return s.Policy.Generation == 90 })
	require.Equal(t, held, host.flows())
}

// newWay is a way to a database that can be shut.
func newWay(t *testing.T, d *database) *gate.Gate {
	t.Helper()
	g, err := gate.New(d.dir+"/way", d.endpoint)
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}
