package policyserver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What a server says of its members is read whatever they are called.
func TestMembersAreRead(t *testing.T) {
	told := `1b1f
Name: Portcullis
Leader: 9c4e
Servers:
    1b1f (1b1f at ssl:192.0.2.1:6643) (self) next_index=2 match_index=4
    9c4e (9c4e at ssl:[2001:db8::2]:6643) next_index=5 match_index=4 last msg 113 ms ago
    raft (a0b1 at unix:/var/lib/portcullis/db/raft.sock)
`
	require.Equal(t, []Member{
		{ID: "1b1f", Address: "ssl:192.0.2.1:6643", IsSelf: true, SilentMS: -1},
		{ID: "9c4e", Address: "ssl:[2001:db8::2]:6643", IsLeader: true, SilentMS: 113},
		{ID: "a0b1", Address: "unix:/var/lib/portcullis/db/raft.sock", SilentMS: -1},
	}, members(told))
	require.Empty(t, members("nothing of the kind\n"))
}

func TestVersionsAreNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"0.2.0", "0.10.0", -1}, {"1.0.0", "0.99.99", 1}, {"0.2.0", "0.2.0", 0}, {"1", "1.0.0", 0}} {
		got := policydb.CompareVersions(c.a, c.b)
		require.Equal(t, c.want < 0, got < 0, c)
		require.Equal(t, c.want > 0, got > 0, c)
	}
}

// Clients call a way in by where it is; of several servers the leader is asked, then a member.
func TestEndpointsAndTheBestOfThem(t *testing.T) {
	for way, want := range map[string]string{
		"punix:/run/a.sock": "unix:/run/a.sock", "ptcp:6641:192.0.2.1": "tcp:192.0.2.1:6641",
		"pssl:6641:[2001:db8::1]": "ssl:[2001:db8::1]:6641", "pssl:6641": "ssl:" + hostname() + ":6641"} {
		require.Equal(t, want, endpoint(way))
	}
	gone := State{Endpoint: "a", Error: "is gone"}
	cut := State{Endpoint: "b"}
	relay := State{Endpoint: "c", Connected: true, Model: "relay"}
	member := State{Endpoint: "d", Connected: true, Model: "clustered"}
	leader := State{Endpoint: "e", Connected: true, Model: "clustered", IsLeader: true}
	best, err := Best([]State{gone, cut, relay, member, leader, relay})
	require.NoError(t, err)
	require.Equal(t, "e", best.Endpoint)
	best, err = Best([]State{relay, member, gone})
	require.NoError(t, err)
	require.Equal(t, "d", best.Endpoint)
	_, err = Best([]State{gone, cut})
	require.EqualError(t, err, "no server can be used: a: is gone; b: has no contact to the majority "+
		"of its cluster")
}
