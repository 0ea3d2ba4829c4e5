package live

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// sheetOf is what is printed of a host's connections.
func sheetOf(list *api.Connections, folders ...string) term.Sheet {
	return connectionsSheet(atHost(list.Connections), list.More, places{folders})
}

// A connection between two ports of two hosts is one, too, and says so.
func TestConnectionsOfSeveralHosts(t *testing.T) {
	c := telemetry.Connection{Port: "tap1", Direction: "ingress", Protocol: "tcp", Current: true,
		Src: netip.MustParseAddr("203.0.113.11"), SrcPort: 9, Dst: netip.MustParseAddr("203.0.113.21"),
		DstPort: 80, Rule: "in"}
	other := c
	other.Direction, other.Rule = "egress", "out"
	list := []apiserver.Connection{{Host: "hv2", Connection: c}, {Host: "hv1", Connection: other}}
	inOrder(t, connectionsSheet(list, false, places{}).Text(), "HOST", "PORT",
		"hv1 → hv2  tap1  both       tcp", "out; in")
	list[1].Host = "hv2"
	list[1].Port = "tap2"
	inOrder(t, connectionsSheet(list, false, places{}).Text(), "hv2   tap2 → tap1  local")
}

// A connection between two local ports is one, with what both say of it; what is judged again is
// said in words, and first.
func TestConnectionsSheet(t *testing.T) {
	a, b := netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.21")
	far := netip.MustParseAddr("2001:db8::9")
	list := &api.Connections{ConnectionList: telemetry.ConnectionList{Connections: []telemetry.
		Connection{
		{Port: "tap-db", Direction: "ingress", Protocol: "tcp", Src: a, SrcPort: 41166, Dst: b,
			DstPort: 3306, State: "ESTABLISHED", Current: true, Group: "backend",
			Rule: "ingress tcp 3306 from group frontend", At: "/etc/portcullis/policy.yaml:18:9"},
		{Port: "tap-db", Direction: "ingress", Protocol: "icmp", Src: a, Dst: b, Current: true,
			ICMP: &telemetry.ICMP{ID: 1, Type: 8}, Rule: "r"},
		{Port: "tap-web", Direction: "egress", Protocol: "tcp", Src: a, SrcPort: 41166, Dst: b,
			DstPort: 3306, State: "ESTABLISHED", Current: true, Rule: "egress is open"},
		{Port: "tap-web", Direction: "ingress", Protocol: "udp", Src: far, SrcPort: 5, Dst: a,
			DstPort: 53, Rule: "a rule that is gone"}}}}
	text := sheetOf(list, "/etc/portcullis/").Text()
	inOrder(t, text, "PORT", "JUDGED AGAIN  ADMITTED BY",
		"tap-web           ingress    udp       [2001:db8::9]:5     203.0.113.11:53           ",
		"yes           a rule that is gone\n",
		"tap-web → tap-db  local      tcp       203.0.113.11:41166  203.0.113.21:3306         ",
		"established", "egress is open; backend: ingress tcp 3306 from group frontend  "+
			"policy.yaml:18:9\n",
		"203.0.113.21 type 8 code 0")
	require.Equal(t, "no connections\n", sheetOf(&api.Connections{}).Text())
	list.More, list.Connections[3].Current = true, true
	text = sheetOf(list).Text()
	require.Contains(t, text, "these are 4, and there are more")
	require.NotContains(t, text, "JUDGED AGAIN")
}
