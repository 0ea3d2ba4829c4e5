//go:build integration

package integration

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// fragmentWorld has an instance that nothing admits, one that may send nothing, one that may send
// anything to one that denies it, and two that speak with each other in datagrams of several
// fragments.
func fragmentWorld(t *testing.T, settings string) *testnet.World {
	t.Helper()
	db := group{name: "db", rules: []string{in("udp 1-65535", "@db"), out("udp 1-65535", "@db")}}
	closed := group{name: "closed", rules: []string{out("tcp 443", "198.51.100.0/24")}}
	return newWorld(t, testnet.Spec{Policy: document([]group{db, closed}, vm("lone", 11),
		vm("shut", 12, "closed"), vm("open", 13), vm("db-1", 21, "db"), vm("db-2", 22, "db")),
		Settings: settings, Outside: outside(), Gateways: gateways, Daemon: daemon(t)})
}

// attacks are who sends incomplete datagrams to whom.
var attacks = map[string][2]string{
	"from outside to an instance that admits nothing": {"client", "lone"},
	"from an instance that may send nothing":          {"shut", "client"},
	"from an instance to one that denies it":          {"open", "db-1"},
	"from an instance to one that may be answered":    {"open", "lone"},
}

// floodFragments sends first fragments, each of another datagram, more than the switch can hold,
// and before the first are forgotten.
func floodFragments(t *testing.T, w *testnet.World, from, to string, f testnet.Family) {
	t.Helper()
	n := 6000
	if testnet.ChosenDatapath() == testnet.Kernel {
		n = 2500
	}
	p := w.Opening(from, to, testnet.UDP(7777), f)
	p.Body = make([]byte, 3000)
	for id := range n {
		p.ID = uint16(id + 1000)
		require.NoError(t, w.Host(from).Send(p.Fragments(1288)[0]))
		if testnet.ChosenDatapath() == testnet.Userspace && id%500 == 499 { // its queues are short
			require.NoError(t, w.AwaitForwarded("db-1"))
		}
	}
	require.NoError(t, w.AwaitForwarded("db-1"))
}

// filled returns how full the room for fragments is: 1 = full. Of the kernel's room for IPv6 nobody
// tells.
func filled(t *testing.T, w *testnet.World) float64 {
	t.Helper()
	of := map[testnet.Datapath][2]string{
		testnet.Userspace: {`num frag: (\d+)`, `max num frags \(v4/v6\): (\d+)`},
		testnet.Kernel:    {`FRAG: inuse \d+ memory (\d+)`, `(?m)^(\d+)$`}}
	text, err := w.Switch.Appctl("dpctl/ipf-get-status")
	if testnet.ChosenDatapath() == testnet.Kernel { // the room is that of the namespace
		err = w.Switch.Namespace.Do(func() error {
			used, err := os.ReadFile("/proc/thread-self/net/sockstat")
			limit, errLimit := os.ReadFile("/proc/sys/net/ipv4/ipfrag_high_thresh")
			text = string(used) + string(limit)
			return errors.Join(err, errLimit)
		})
	}
	require.NoError(t, err)
	var n [2]float64
	for i, expression := range of[testnet.ChosenDatapath()] {
		found := regexp.MustCompile(expression).FindStringSubmatch(text)
		require.NotNil(t, found, text)
		n[i], err = strconv.ParseFloat(found[1], 64)
		require.NoError(t, err)
	}
	t.Logf("%.0f of %.0f are held", n[0], n[1])
	return n[0] / n[1]
}

func tellsOf(f testnet.Family) bool {
	return testnet.ChosenDatapath() == testnet.Userspace || f == testnet.IPv4
}

// arriving sends ten datagrams of three fragments that the rules admit, and returns how many
// arrived.
func arriving(t *testing.T, w *testnet.World, f testnet.Family) (n int) {
	t.Helper()
	p := w.Opening("db-1", "db-2", testnet.UDP(5000), f)
	var sent []testnet.Token
	for id := range 10 {
		p.ID = uint16(id + 1)
		token, err := w.InjectFragments("db-1", p, 3000, 1280, orders["in order"])
		require.NoError(t, err)
		sent = append(sent, token)
	}
	require.NoError(t, w.AwaitForwarded("db-1"))
	for _, token := range sent {
		if len(w.Saw("db-1", token)) > 0 {
			n++
		}
	}
	return n
}

// Incomplete datagrams of anybody, however many, leave room for those of others. (That the switch
// holds more than by itself is a part of it.)
func TestFragments_OfOthersArrive(t *testing.T) {
	t.Parallel()
	for name, pair := range attacks {
		for _, f := range families {
			t.Run(name+", "+f.String(), func(t *testing.T) {
				w := fragmentWorld(t, "")
				fillMeters(w.Switch)
				require.Equal(t, 10, arriving(t, w, f), "before")
				floodFragments(t, w, pair[0], pair[1], f)
				require.Less(t, filled(t, w), 0.7)
				require.Equal(t, 10, arriving(t, w, f))
				require.Equal(t, 10, arriving(t, w, families[0]))
				require.NoError(t, w.ReachesWith("db-1", "db-2", testnet.UDP(5000), f, 100), "and whole ones")
			})
		}
	}
}

// Without limits the attack works, but for what is dropped because no rule could admit it.
func TestFragments_WithoutLimits(t *testing.T) {
	t.Parallel()
	for name, pair := range attacks {
		for _, f := range families {
			t.Run(name+", "+f.String(), func(t *testing.T) {
				w := fragmentWorld(t, unlimited)
				floodFragments(t, w, pair[0], pair[1], f)
				if pair[0] == "shut" {
					require.Zero(t, filled(t, w))
					require.Equal(t, 10, arriving(t, w, f))
					return
				}
				if tellsOf(f) {
					require.Greater(t, filled(t, w), 0.9)
				}
				require.Zero(t, arriving(t, w, f))
				require.NoError(t, w.ReachesWith("db-1", "db-2", testnet.UDP(5000), f, 100),
					"whole ones arrive")
			})
		}
	}
}
