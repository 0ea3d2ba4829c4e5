//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// explainWorld: web may open tcp 80 to db, by IPv4 and IPv6; db may open nothing but tcp 443 to
// outside over IPv4; client reaches web.
func explainWorld(t *testing.T) (*testnet.World, func(dbPorts string) string) {
	t.Helper()
	text := func(dbPorts string) string {
		return document([]group{
			{name: "web", rules: []string{in("tcp 80", "0.0.0.0/0"), in("icmp 8/0", "0.0.0.0/0")}},
			{name: "db", rules: []string{in("tcp "+dbPorts, "@web"), out("tcp 443", "198.51.100.0/24")}},
		}, vm("web-1", 11, "web"), vm("db-1", 21, "db"), vm("other-1", 31))
	}
	return newWorld(t, testnet.Spec{Policy: text("3306"), Outside: outside(), Daemon: daemon(t)}), text
}

// questions are asked of packets, of the policy and of the switch.
var questions = []struct {
	from, to string
	service  string
	testnet.Service
	admitted map[testnet.Family]bool
}{
	{"web-1", "db-1", "tcp/3306", testnet.TCP(3306),
		map[testnet.Family]bool{testnet.IPv4: true, testnet.IPv6: true}},
	{"web-1", "db-1", "tcp/3307", testnet.TCP(3307), nil},
	{"other-1", "db-1", "tcp/3306", testnet.TCP(3306), nil},
	{"db-1", "web-1", "tcp/80", testnet.TCP(80), nil}, // its egress is closed
	{"client", "web-1", "tcp/80", testnet.TCP(80), map[testnet.Family]bool{testnet.IPv4: true}},
	{"client", "web-1", "icmp/8/0", testnet.Ping(testnet.IPv4),
		map[testnet.Family]bool{testnet.IPv4: true}},
	{"client", "web-1", "udp/53", testnet.UDP(53), nil},
	{"db-1", "client", "tcp/443", testnet.TCP(443), map[testnet.Family]bool{testnet.IPv4: true}},
	{"db-1", "client", "tcp/80", testnet.TCP(80), nil},
}

// explained asks the command about one family, and returns whether it says yes, and what it prints.
func explained(w *testnet.World, from, to, service string, f testnet.Family, more ...string) (bool,
	string) {
	end := func(name string) string {
		if name == "client" {
			return w.Host(name).Address(f).String()
		}
		return name + "@" + w.Host(name).Address(f).String()
	}
	text, err := w.Portcullis("explain",
		append([]string{"--from", end(from), "--to", end(to), service}, more...)...)
	return err == nil, text
}

// What explain says, and what the switch says to it, is what becomes of packets; and a switch that
// does something else is told of loudly.
func TestExplainIsTheTruth(t *testing.T) {
	t.Parallel()
	w, _ := explainWorld(t)
	for _, q := range questions {
		for _, f := range families {
			if q.Protocol == policy.ICMP && f == testnet.IPv6 {
				continue
			}
			t.Run(q.from+" to "+q.to+" "+q.service+" over "+f.String(), func(t *testing.T) {
				admits(t, w, q.from, q.to, q.Service, f, q.admitted[f])
				yes, text := explained(w, q.from, q.to, q.service, f, "--live")
				require.Equal(t, q.admitted[f], yes, text)
				require.Contains(t, text, "the switch agrees")
			})
		}
	}
	t.Run("a switch that was altered", func(t *testing.T) {
		require.NoError(t, w.StopDaemon()) // it would repair what follows
		ofctl := func(args ...string) {
			_, err := w.Switch.Run("ovs-ofctl", append([]string{"-O", "OpenFlow15"}, args...)...)
			require.NoError(t, err)
			_, err = w.Switch.Appctl("revalidator/wait") // its caches follow
			require.NoError(t, err)
		}
		ofctl("add-flow", testnet.Bridge,
			"table=52,priority=60000,tcp,tp_dst=3307,actions=set_field:0x1/0x1->reg0")
		admits(t, w, "web-1", "db-1", testnet.TCP(3307), testnet.IPv4, true)
		yes, text := explained(w, "web-1", "db-1", "tcp/3307", testnet.IPv4, "--live")
		require.False(t, yes)
		require.Contains(t, text, "tcp/3307: DENIED")
		require.Contains(t, text, "DIFFERS")
		require.Contains(t, text, "the policy:  dropped")
		require.Contains(t, text, "the switch:  sent out of tap-db-1")

		ofctl("add-flow", testnet.Bridge, "table=41,priority=60000,tcp,tp_dst=3306,actions=drop")
		admits(t, w, "web-1", "db-1", testnet.TCP(3306), testnet.IPv4, false)
		yes, text = explained(w, "web-1", "db-1", "tcp/3306", testnet.IPv4, "--live")
		require.False(t, yes)
		require.Contains(t, text, "tcp/3306: ADMITTED")
		require.Contains(t, text, "the switch:  dropped")
		require.Contains(t, text, "table 41")
		yes, _ = explained(w, "web-1", "db-1", "tcp/3306", testnet.IPv4)
		require.True(t, yes, "without --live the switch is not asked")
	})
}

const (
	patienceOfPlan = time.Minute
	// lossOfPlan is how long nothing must come back.
	lossOfPlan = time.Second
)

// What plan says would be lost is what is lost then: words, flows and connections; and in sync is
// in sync.
func TestPlanIsTheTruth(t *testing.T) {
	t.Parallel()
	w, text := explainWorld(t)
	plan := func(args ...string) (bool, string) {
		said, err := w.Portcullis("plan", args...)
		return err == nil, said
	}
	yes, said := plan()
	require.True(t, yes, said)
	require.Contains(t, said, "in sync: ")

	conn, err := w.Open("web-1", "db-1", testnet.TCP(3306), testnet.IPv4)
	require.NoError(t, err)
	kept, err := w.Open("client", "web-1", testnet.TCP(80), testnet.IPv4)
	require.NoError(t, err)
	next := filepath.Join(t.TempDir(), "next.yaml")
	require.NoError(t, os.WriteFile(next, []byte(text("5432")), 0o600))
	yes, said = plan("--policy", next)
	require.False(t, yes)
	require.Contains(t, said, "group db (db-1) loses ingress tcp 3306 from group web\n")
	require.Contains(t, said, "group db (db-1) gains ingress tcp 5432 from group web\n")
	require.Contains(t, said, "at 1 of this host's ports: tap-db-1\n")
	require.NoError(t, conn.Echo(testnet.Slowed(patienceOfPlan)), "a plan changes nothing")

	require.NoError(t, w.SetPolicy(text("5432")))
	require.Error(t, conn.Echo(lossOfPlan), "it was to be cut")
	require.NoError(t, kept.Echo(testnet.Slowed(patienceOfPlan)), "it was not to be cut")
	admits(t, w, "web-1", "db-1", testnet.TCP(5432), testnet.IPv4, true)
	admits(t, w, "web-1", "db-1", testnet.TCP(3306), testnet.IPv4, false)
	yes, said = plan()
	require.True(t, yes, said)

	require.NoError(t, w.StopDaemon())
	dump, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "--no-names",
		"dump-flows", testnet.Bridge)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(next, []byte(dump), 0o600))
	yes, said = plan("--dump", next)
	require.True(t, yes, said)
	_, err = w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge,
		"table=52,priority=60000,tcp,tp_dst=3307,actions=set_field:0x1/0x1->reg0")
	require.NoError(t, err)
	dump, err = w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", testnet.Bridge)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(next, []byte(dump), 0o600))
	yes, said = plan("--dump", next, "--flows")
	require.False(t, yes)
	require.Contains(t, said, "flows: 0 added, 1 removed\n")
	require.Contains(t, said,
		"Not a flow of ours (its cookie is not), though in table 52, ingress_rules: TCP over IPv4 to port 3307: admitted.")
}
