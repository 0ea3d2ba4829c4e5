//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// revocation is one way to lose a permission, and a policy that still has it by another way.
type revocation struct {
	name           string
	client, server string
	admits, denies string // policies
	// a policy by which something else than what admits has still admits the connection
	spares string
}

// departures are ways to lose a permission that name nobody's rules: an address, a member
// elsewhere, a part of a rule. The last column is a policy in which the same connection is admitted
// by something else.
func departures() []revocation {
	services := func(peer4, peer6 string) []string {
		return []string{in("udp 5000-5010", peer4), in("udp 5000-5010", peer6),
			in("tcp 5000-5010", peer4), in("tcp 5000-5010", peer6),
			in("icmp 8/0", peer4), in("icmpv6 128/0", peer6)}
	}
	of := func(rules []string, machines ...machine) string {
		return document([]group{{name: "g", rules: rules}, {name: "h"},
			{name: "other", rules: services(any4, any6)}}, machines...)
	}
	a, moved := vm("a", 11, "g"), vm("a", 11, "g").at("203.0.113.12", "2001:db8::12")
	both := a.at(append(a.addresses, moved.addresses...)...)
	extra := vm("a", 11, "g", "other")
	far := vm("far", 31, "h").at("198.51.100.2", "2001:db8:2::2").on("hv2")
	readdressed := far.at("198.51.100.3", "2001:db8:2::3")
	peers := services("@h", "@h")
	open := services(any4, any6)
	return []revocation{
		{"the instance's own address goes", "client", "a", of(open, a), of(open, moved), of(open, both)},
		{"the address of a member on another host goes", "client", "a", of(peers, a, far),
			of(peers, a, readdressed), of(peers, extra, readdressed)},
		{"a member on another host goes", "client", "a", of(peers, a, far), of(peers, a), of(open, a)},
		{"a rule's ports and types shrink", "client", "a", of(open, a),
			of([]string{in("udp 5006-5010", any4), in("tcp 1-4999", any6), in("icmp 8/1", any4),
				in("icmpv6 129/0", any6)}, a), of([]string{in("any", any4), in("any", any6)}, a)},
		{"a server's egress closes", "a", "client", of(nil, a), of([]string{out("tcp 9", any4)}, a),
			of([]string{out("any", any4), out("any", any6)}, a)},
	}
}

// R-6 for UDP, TCP and ICMP, both families, each side alone, of the very same connections: nothing
// is lost while something still admits them, nothing passes from when that is in force on, and
// re-admitted they go on.
func TestR6_AddressesAndMembers(t *testing.T) {
	t.Parallel()
	for _, r := range departures() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testnet.Spec{Policy: r.admits, Outside: outside(), Daemon: daemon(t)})
			streams := everyStream(t, w, r.client, r.server)
			pour(t, w, streams, r.client, r.server, 5005)
			flows(t, streams)
			require.NoError(t, w.SetPolicy(r.spares))
			require.NoError(t, w.SetPolicy(r.admits))
			complete(t, streams)

			require.NoError(t, w.SetPolicy(r.denies))
			for name, s := range streams {
				s.AwaitSent(50)
				for n := 0; s.Last()+50 > s.Sent(); n += 10 {
					require.Less(t, n, cutAfter, "still received: %s", name)
					s.AwaitSent(10)
				}
				t.Logf("%s: %d received", name, s.Received(1, s.Sent()))
			}
			before := map[string]uint64{}
			for name, s := range streams {
				before[name] = s.Last()
			}
			for _, s := range streams {
				s.AwaitSent(100)
			}
			for name, s := range streams {
				require.Equal(t, before[name], s.Last(), "the last received of the stream where %s", name)
			}
			require.NoError(t, w.SetPolicy(r.admits))
			flows(t, streams)
		})
	}
}

// pour starts streams over TCP: both families, each side alone.
func pour(t *testing.T, w *testnet.World, streams map[string]*testnet.Stream, client, server string,
	port uint16) {
	t.Helper()
	for _, f := range families {
		for n, side := range []string{"the client", "the server"} {
			s, err := w.FloodTCP(client, server, f, port+uint16(n), n == 1)
			require.NoError(t, err)
			streams[fmt.Sprintf("%s speaks TCP, %s to %s, %s", side, client, server, f)] = s
		}
	}
}
