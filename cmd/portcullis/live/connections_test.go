package live

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

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
	text := connectionsSheet(list, places{[]string{"/etc/portcullis/"}}).Text()
	inOrder(t, text, "PORT", "JUDGED AGAIN  ADMITTED BY",
		"tap-web           ingress    udp       [2001:db8::9]:5     203.0.113.11:53           ",
		"yes           a rule that is gone\n",
		"tap-web → tap-db  local      tcp       203.0.113.11:41166  203.0.113.21:3306         ",
		"established", "egress is open; backend: ingress tcp 3306 from group frontend  "+
			"policy.yaml:18:9\n",
		"203.0.113.21 type 8 code 0")
	require.Equal(t, "no connections\n", connectionsSheet(&api.Connections{}, places{}).Text())
	list.More, list.Connections[3].Current = true, true
	text = connectionsSheet(list, places{}).Text()
	require.Contains(t, text, "these are 4, and there are more")
	require.NotContains(t, text, "JUDGED AGAIN")
}
