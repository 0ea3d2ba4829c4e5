package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/integration/measure"
)

func small() scenario { return scenario{Ports: 20, Members: 30, Groups: 5, Seed: 1} }

// The policy is read as it is meant, and both of a pair are in the same groups.
func TestPolicyIsValid(t *testing.T) {
	folder := t.TempDir()
	s := small()
	require.NoError(t, s.check())
	require.NoError(t, s.write(folder))
	read, _, err := policydir.Load(folder)
	require.NoError(t, err)
	require.Len(t, read.Instances, s.Ports+s.Members)
	require.Len(t, read.Groups, s.Groups)
	require.Error(t, scenario{Ports: 17, Groups: 5}.check())
	require.Error(t, scenario{Ports: 18, Groups: 2}.check())
}

// Each client has servers of its own, in its groups; what is left has none.
func TestPairs(t *testing.T) {
	s := small()
	require.Equal(t, 2, s.clients())
	clientOf := map[int]int{}
	for n := range s.pairs() {
		client, server := s.pair(n)
		require.Less(t, client, s.clients())
		require.NotContains(t, clientOf, server)
		clientOf[server] = client
		owner, ok := s.client(server)
		require.True(t, ok)
		require.Equal(t, client, owner)
		require.Equal(t, s.draw(client), s.draw(server))
	}
	require.Len(t, clientOf, 2*servers)
	_, ok := s.client(s.Ports - 1)
	require.False(t, ok)
}

// OVN is told the same rules: a match for each, in its words.
func TestNorthbound(t *testing.T) {
	var matches []string
	for _, r := range rules() {
		direction, match := r.acl(4, 5)
		matches = append(matches, direction+" "+match)
	}
	require.Equal(t, []string{
		"to-lport outport == @pg4 && ip4 && ip4.src == 198.51.100.0/24 && tcp && tcp.dst == 22",
		"to-lport outport == @pg4 && ip4 && ip4.src == $as0 && tcp && tcp.dst >= 80 && tcp.dst <= 443",
		"to-lport outport == @pg4 && ip4 && ip4.src == $as4 && tcp",
		"from-lport inport == @pg4 && ip4 && tcp && tcp.dst == 443",
		"from-lport inport == @pg4 && ip4 && udp && udp.dst == 53",
		"from-lport inport == @pg4 && ip4 && ip4.dst == $as4"}, matches)
	s := small()
	commands := s.northbound()
	count := func(word string) int {
		n := 0
		for _, c := range commands {
			if slices.Contains(c, word) {
				n++
			}
		}
		return n
	}
	require.Equal(t, s.Ports, count("lsp-add"))
	require.Equal(t, s.Groups, count("Address_Set"))
	require.Equal(t, s.Groups*len(rules())+2, count("acl-add"))
	require.Equal(t, 2, count("drop"))
}

func TestBatches(t *testing.T) {
	long := strings.Repeat("x", mostAtOnce)
	got := batches([][]string{{"a", "b"}, {long}, {"c"}})
	require.Equal(t, [][]string{{"--", "a", "b", "--", long}, {"--", "c"}}, got)
}

// A packet that is looked up three times is in three flows, one of them without recirculation.
func TestCountFlows(t *testing.T) {
	c := countFlows("flow-dump from the main thread:\n" +
		"recirc_id(0),in_port(p0), packets:10, bytes:1, actions:ct(zone=1),recirc(0x1)\n" +
		"recirc_id(0x1),in_port(p0), packets:10, bytes:1, actions:ct(zone=2),recirc(0x2)\n" +
		"recirc_id(0x2),in_port(p0), packets:10, bytes:1, actions:p1\n")
	require.Equal(t, cached{megaflows: 3, passes: 3}, c)
	require.Zero(t, countFlows(""))
}

func TestProcessorTime(t *testing.T) {
	d, err := busyIn("cpu  100 10 50 9999 500 5 35 7 0 0\ncpu0 1\n")
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, d)
	_, err = busyIn("intr 1")
	require.Error(t, err)
	own, err := clock("").busy()
	require.NoError(t, err)
	require.Positive(t, own)
	told := filepath.Join(t.TempDir(), "clock")
	require.NoError(t, os.WriteFile(told, nil, 0o600))
	require.NoError(t, os.Truncate(told, int64(time.Minute)))
	d, err = clock(told).busy()
	require.NoError(t, err)
	require.Equal(t, time.Minute, d)
}

// Ratios are those of the rounds, not of the medians.
func TestRows(t *testing.T) {
	r := &result{Sides: []string{"NORMAL", "Portcullis"},
		Figures: map[string]map[string]measure.Series{}}
	for _, round := range [][2]float64{{1, 2}, {10, 20}, {100, 50}} {
		r.add("NORMAL", sample{figureConnectCPU: round[0]})
		r.add("Portcullis", sample{figureConnectCPU: round[1]})
	}
	r.sum()
	i := slices.IndexFunc(r.Rows, func(l row) bool { return l.Name == figureConnectCPU })
	require.Equal(t, row{figureConnectCPU, []float64{10, 20}, []float64{1, 2}}, r.Rows[i])
	require.Len(t, r.Rows, len(figures()))
}

// The ends of the traffic, without a switch between them: on loopback every address answers.
func TestPeers(t *testing.T) {
	var said strings.Builder
	for _, args := range [][]string{nil, {"connects", "x", "2", ""}, {"dance", "1s", "2", ""}} {
		require.ErrorIs(t, peer(args, &said), errPeer)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for echoed := make([]byte, 1); ; {
					if _, err := c.Read(echoed); err != nil {
						return
					}
					_, _ = c.Write(echoed)
				}
			}()
		}
	}()
	took, err := use(l.Addr().String())
	require.NoError(t, err)
	require.Positive(t, took)
	require.NoError(t, l.Close())
	_, err = use(l.Addr().String())
	require.Error(t, err, "nobody listens")
}

// Of what ovs-ofctl prints only flows are kept: it also says when it had to wait.
func TestFlowLines(t *testing.T) {
	flow := " cookie=0x1, priority=7,in_port=1 actions=resubmit(,8)\n"
	require.Equal(t, flow+flow, flowLines("2026-01-01T00:00:00Z|00001|timeval|WARN|Unreasonably "+
		"long 2114ms poll interval\nOFPST_FLOW reply (OF1.5) (xid=0x2):\n"+flow+flow))
	require.Empty(t, flowLines(""))
}
