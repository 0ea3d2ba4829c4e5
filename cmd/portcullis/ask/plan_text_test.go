package ask

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/plan"
)

func planText(t *testing.T, p *plan.Plan, colour bool) string {
	t.Helper()
	var out strings.Builder
	on := newPage(&out)
	on.Paint = term.Paint{On: colour}
	require.NoError(t, on.plan(p))
	return out.String()
}

// Connections that are cut are named with their rule: one in its line, many below each other up to
// some; the last line counts them all.
func TestPlanNamesConnections(t *testing.T) {
	one := plan.CutConnection{From: "web-1", Src: netip.MustParseAddr("203.0.113.11"), SrcPort: 41166,
		To: "db-1", Dst: netip.MustParseAddr("203.0.113.21"), DstPort: 3306, Protocol: "tcp",
		Group: "backend", Rule: "ingress tcp 3306 from group frontend", At: "policy.yaml:14:9"}
	p := &plan.Plan{Policy: "new.yaml", Connections: []plan.CutConnection{one}}
	p.Finish()
	p.InSync = false
	require.Contains(t, planText(t, p, false), "\ncuts 1 connection now: web-1 203.0.113.11:41166 → "+
		"db-1:3306 (rule backend: ingress tcp 3306 from group frontend, policy.yaml:14:9)\n")
	for range 19 {
		p.Connections = append(p.Connections, one)
	}
	p.Unlisted = "not all were looked at"
	p.Finish()
	p.InSync = false
	text := planText(t, p, false)
	require.Contains(t, text, "\ncuts 20 connections now:\n  web-1 ")
	require.Contains(t, text, "\n  and 12 more\n  not all were looked at\n")
	require.Equal(t, 8, strings.Count(text, "web-1"))
	require.True(t, strings.HasSuffix(text,
		"\n0 access lost, 0 gained, 20 connections cut, 0 flows come, 0 go\n"))
	require.NotContains(t, text, "\x1b")
	require.Contains(t, planText(t, p, true), "\x1b[31mcuts\x1b[0m 20")
}
