//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// upgradeWorld has streams between two hosts, and one more that only the second generation admits.
func upgradeWorld(rules ...string) string {
	return document([]group{{name: "g", rules: append(rules, in("udp 5000", "@g"))}},
		vm("a", 11, "g").on("hv1"), vm("b", 21, "g").on("hv2"))
}

// awaitAdmitted waits until the first packet of a connection arrives.
func awaitAdmitted(t *testing.T, l *fleetlab.Lab, port uint16) {
	t.Helper()
	require.Eventually(t, func() bool {
		passes, err := l.Admits("b", "a", testnet.UDP(port), testnet.IPv4)
		return assert.NoError(t, err) && passes
	}, patience, quick, "port %d", port)
}

// Under traffic the schema becomes a newer one than the daemons know, and they are restarted one
// after the other: no packet is lost, and changes are followed before, between and after.
func TestFleet_RollingUpgrade(t *testing.T) {
	t.Parallel()
	l := newFleet(t, fleetlab.Options{Members: 3, Hosts: 2, HasTLS: true, Policy: upgradeWorld()})
	streams := map[string]*testnet.Stream{}
	for _, f := range families {
		s, err := l.PushFromClient("b", "a", f, 5000)
		require.NoError(t, err)
		streams["b to a, "+f.String()] = s
	}
	schema := filepath.Join(t.TempDir(), "newer.ovsschema")
	text := string(policydb.Schema)
	_, rest, _ := strings.Cut(text, `"version": "`)
	version, _, _ := strings.Cut(rest, `"`)
	newer := strings.NewReplacer(`"version": "`+version, `"version": "0.99.0`, `"Group": {
      "columns": {`, `"Group": {
      "columns": {
        "colour": {"type": "string"},`).Replace(text)
	require.Equal(t, len(text)+len("0.99.0")-len(version)+len(`
        "colour": {"type": "string"},`), len(newer))
	require.NoError(t, os.WriteFile(schema, []byte(newer), 0o600))
	_, err := l.Members[0].Run("ovsdb-client", "--timeout=30", "convert", l.Members[0].Socket(), schema)
	require.NoError(t, err)
	change := func(port int) {
		generation, err := l.Apply(upgradeWorld(in(fmt.Sprintf("udp %d", port), "@g")))
		require.NoError(t, err)
		require.NoError(t, l.AwaitGeneration(generation))
		awaitAdmitted(t, l, uint16(port))
	}
	change(5101)
	for n, m := range l.Machines {
		require.NoError(t, m.StopDaemon())
		_, err := l.Apply(upgradeWorld(in("udp 5200", "@g"))) // meanwhile
		require.NoError(t, err)
		require.NoError(t, m.StartDaemon())
		change(5102 + n)
	}
	for name, s := range streams {
		last := s.AwaitSent(50)
		require.True(t, s.Await(last, testnet.Slowed(patience)), name)
		require.Empty(t, s.Missing(1, last), "lost of %s", name)
	}
}

// What a foreign writer writes that is no valid policy changes nothing in force and is named by
// every host; what somebody else changes meanwhile is in force all the same.
func TestFleet_AForeignWritersMistake(t *testing.T) {
	t.Parallel()
	l := newFleet(t, fleetlab.Options{Members: 1, Hosts: 2, Policy: upgradeWorld(in("udp 5101", "@g"))})
	awaitAdmitted(t, l, 5101)
	m := l.Members[0]
	_, err := m.Run("ovsdb-client", "--timeout=10", "transact", m.Socket(), `["Portcullis",`+
		`{"op":"insert","table":"Group","row":{"name":"foreign","external_sources":"no address"}},`+
		`{"op":"mutate","table":"Global","where":[],"mutations":[["generation","+=",1]]}]`)
	require.NoError(t, err)
	for _, host := range l.Machines {
		require.NoError(t, host.AwaitStatus("it names the mistake", func(s *api.Status) bool {
			return strings.Contains(fmt.Sprint(s.Policy.Errors, s.Policy.Warnings, s.Policy.Refused),
				"foreign")
		}))
	}
	awaitAdmitted(t, l, 5101)
	_, err = m.Run("ovsdb-client", "--timeout=10", "transact", m.Socket(), `["Portcullis",`+
		`{"op":"update","table":"Port","where":[["name","==","b/tap-b"]],"row":{"groups":["set",[]]}},`+
		`{"op":"mutate","table":"Global","where":[],"mutations":[["generation","+=",1]]}]`)
	require.NoError(t, err)
	require.NoError(t, l.Machines[0].AwaitStatus("what is revoked is revoked", func(*api.Status) bool {
		passes, err := l.Admits("b", "a", testnet.UDP(5101), testnet.IPv4)
		return err == nil && !passes
	}))
}
