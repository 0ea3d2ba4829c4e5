package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// tracked is a world of two instances, a and b, whose switch remembers what tracker says.
func tracked(t *testing.T) (*agenttest.Conntrack, *api.Client, map[string]api.PortStatus, uint32) {
	t.Helper()
	tracker := &agenttest.Conntrack{}
	w, client := agenttest.Served(t, agenttest.File("a: 80", "b: 80"),
		func(w *agenttest.World) { w.Conntrack = tracker })
	status, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err)
	tracker.Asked, tracker.Taken = nil, 0 // the start has asked, too
	ports := map[string]api.PortStatus{}
	for _, p := range status.Ports {
		ports[p.Name] = p
	}
	pol, _, err := w.Policy.Load()
	require.NoError(t, err)
	g := pol.Groups[0]
	return tracker, client, ports, flows.RuleIDs(pol)[flows.RuleKey(g.Name, g.Rules[0])]
}

func TestConnectionsNameTheirRules(t *testing.T) {
	tracker, client, ports, rule := tracked(t)
	a := ports["a"]
	tracker.List = []ofswitch.Connection{
		agenttest.TCPTo(a.Zone, a.Epoch, rule, 1), agenttest.TCPTo(a.Zone, a.Epoch-1, rule, 2),
		agenttest.TCPTo(a.Zone, a.Epoch, 0xffff, 3), agenttest.TCPTo(a.Zone, 0, 0, 4),
		agenttest.TCPTo(999, a.Epoch, rule, 5), agenttest.TCPTo(0, 0, 0, 6), // nobody's port
		{Protocol: policy.ICMPv6, Src: netip.MustParseAddr("2001:db8::1"),
			Dst: netip.MustParseAddr("2001:db8::2"), ICMPType: 128, ICMPID: 7, Zone: a.Zone,
			Mark: a.Epoch, Rule: flows.RuleOpen},
	}
	got, err := client.Connections(context.Background(), telemetry.ConnectionsQuery{})
	require.NoError(t, err)
	require.False(t, got.More)
	require.Equal(t, []uint16{0}, tracker.Asked, "of several ports all zones are asked for at once")
	require.Len(t, got.Connections, 5)
	open, first, old, gone, none := got.Connections[0], got.Connections[1], got.Connections[2],
		got.Connections[3], got.Connections[4]
	require.Equal(t, "egress", open.Direction)
	require.Contains(t, open.Rule, "egress is open")
	require.Equal(t, &telemetry.ICMP{ID: 7, Type: 128}, open.ICMP)
	require.Equal(t, a.Name, first.Port)
	require.Equal(t, "i-a", first.Instance)
	require.Equal(t, "ingress", first.Direction)
	require.True(t, first.Current)
	require.NotEmpty(t, first.Group)
	require.Equal(t, "ingress tcp 80 from 0.0.0.0/0", first.Rule)
	require.Regexp(t, `^policy\.yaml:\d+:\d+$`, first.At)
	require.Equal(t, first.Rule, old.Rule)
	require.False(t, old.Current)
	require.Equal(t, "a rule that is gone", gone.Rule)
	require.Empty(t, gone.Group)
	require.Contains(t, none.Rule, "none")
}

func TestConnectionsOfOnePort(t *testing.T) {
	tracker, client, ports, rule := tracked(t)
	a, b := ports["a"], ports["b"]
	tracker.List = []ofswitch.Connection{agenttest.TCPTo(a.Zone, a.Epoch, rule, 1),
		agenttest.TCPTo(b.Zone, b.Epoch, rule, 2)}
	for _, q := range []telemetry.ConnectionsQuery{{Port: a.Name}, {Instance: "i-a"}, {Port: a.Name,
		Instance: "i-a"}} {
		tracker.Asked = nil
		got, err := client.Connections(context.Background(), q)
		require.NoError(t, err)
		require.Len(t, got.Connections, 1)
		require.Equal(t, uint16(1), got.Connections[0].SrcPort)
		require.Equal(t, []uint16{a.Zone}, tracker.Asked)
	}
	for want, q := range map[string]telemetry.ConnectionsQuery{
		`no port "nobody" on this host; `:                              {Port: "nobody"},
		`no instance "j-a" on this host; did you mean "i-a"?; `:        {Instance: "j-a"},
		`no group with an instance "g" on this host`:                   {Group: "g"},
		"no port is all of what is asked for":                          {Port: b.Name, Instance: "i-a"},
		`"nobody" is no instance, no group, no address and no network`: {Peer: "nobody"},
		`no protocol is "tpc"`:                                         {Protocol: "tpc"},
	} {
		_, err := client.Connections(context.Background(), q)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "404")
	}
}

// The other end and the protocol choose connections; a port's own address is no peer of it.
func TestConnectionsOfPeers(t *testing.T) {
	tracker, client, ports, rule := tracked(t)
	a := ports["a"]
	one := agenttest.TCPTo(a.Zone, a.Epoch, rule, 1)
	one.Dst = netip.MustParseAddr(a.Addresses[0])
	other := one
	other.Protocol, other.SrcPort, other.Src = policy.UDP, 2, netip.MustParseAddr("203.0.113.77")
	tracker.List = []ofswitch.Connection{one, other}
	for want, queries := range map[uint16][]telemetry.ConnectionsQuery{
		1: {{Protocol: "TCP"}, {Peer: one.Src.String()}, {Group: "g-a", Protocol: "6"}},
		2: {{Protocol: "udp"}, {Peer: "203.0.113.77"}, {Peer: "203.0.113.64/26"}},
		0: {{Peer: one.Dst.String()}, {Protocol: "icmp"}},
	} {
		for _, q := range queries {
			got, err := client.Connections(context.Background(), q)
			require.NoError(t, err)
			var ports []uint16
			for _, c := range got.Connections {
				ports = append(ports, c.SrcPort)
			}
			if want == 0 {
				require.Empty(t, ports, "%+v", q)
				continue
			}
			require.Equal(t, []uint16{want}, ports, "%+v", q)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	tracker, client, ports, rule := tracked(t)
	a := ports["a"]
	for n := range 2000 {
		tracker.List = append(tracker.List, agenttest.TCPTo(a.Zone, a.Epoch, rule, uint16(n)))
	}
	got, err := client.Connections(context.Background(), telemetry.ConnectionsQuery{Limit: 10})
	require.NoError(t, err)
	require.Len(t, got.Connections, 10)
	require.True(t, got.More)
	require.Equal(t, 11, tracker.Taken,
		"no more are read than it takes to know that there are more")
	got, err = client.Connections(context.Background(), telemetry.ConnectionsQuery{})
	require.NoError(t, err)
	require.Len(t, got.Connections, telemetry.DefaultConnections)
	require.True(t, got.More)
	tracker.List = tracker.List[:10]
	got, err = client.Connections(context.Background(), telemetry.ConnectionsQuery{Limit: 10})
	require.NoError(t, err)
	require.False(t, got.More)
}

func TestConnectionsRefuse(t *testing.T) {
	tracker, client, _, _ := tracked(t)
	tracker.Err = errors.New("datapath not found")
	_, err := client.Connections(context.Background(), telemetry.ConnectionsQuery{})
	require.ErrorContains(t, err, "datapath not found")
	w, client := agenttest.Served(t, agenttest.File("a: 80"))
	_, err = client.Connections(context.Background(), telemetry.ConnectionsQuery{})
	require.ErrorContains(t, err, "lists no connections")
	for _, limit := range []string{"0", "-1", "x", "100001"} {
		answer := httptest.NewRecorder()
		w.Api().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet,
			"/v1/connections?limit="+limit, nil))
		require.Equal(t, http.StatusBadRequest, answer.Code, limit)
	}
}
