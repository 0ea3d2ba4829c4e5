package live

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/telemetry"
)

func TestFirstPacketsAsLines(t *testing.T) {
	p := apiserver.FirstPacket{FirstPacket: telemetry.FirstPacket{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local),
		Verdict: telemetry.VerdictDenied, Port: "tap-db", Instance: "db-1", Direction: "ingress",
		Protocol: "tcp", Src: netip.MustParseAddr("203.0.113.11"), SrcPort: 41166,
		Dst: netip.MustParseAddr("2001:db8::21"), DstPort: 22, To: "db-1",
		Reason: "no ingress rule admits it", NotShown: 12}}
	w, out := watcher{format: term.Table, places: places{[]string{"/etc/portcullis/"}}, count: 3},
		&bytes.Buffer{}
	require.NoError(t, w.print(out, p))
	p.Verdict, p.NotShown, p.Group, p.Rule = telemetry.VerdictAdmitted, 0, "web", "ingress tcp 22"
	p.At, p.Again = "/etc/portcullis/policy.yaml:3:9", true
	require.NoError(t, w.print(out, p))
	require.NoError(t, w.print(out, apiserver.FirstPacket{FirstPacket: telemetry.FirstPacket{
		Time: p.Time, Verdict: telemetry.VerdictNote, Reason: "too many"}}))
	p.Group, p.Again, p.Rule = "", false, "egress is open"
	require.ErrorIs(t, w.print(out, p), errEnough)
	head := "tcp 203.0.113.11:41166 → db-1 [2001:db8::21]:22  at db-1, "
	require.Equal(t, "12 not shown\n"+
		"03:04:05  DENIED    "+head+"ingress: no ingress rule admits it\n"+
		"03:04:05  admitted  "+head+"judged again, web: ingress tcp 22 (policy.yaml:3:9)\n"+
		"03:04:05  too many\n"+
		"03:04:05  admitted  "+head+"egress is open\n", out.String())

	out.Reset()
	w.width, w.count = 30, 0
	require.NoError(t, w.print(out, p))
	require.Equal(t, "03:04:05  admitted  tcp 203.0…\n", out.String())
	out.Reset()
	w.width, p.Host = 0, "hv2"
	require.NoError(t, w.print(out, p))
	require.True(t, strings.HasPrefix(out.String(), "hv2  03:04:05  admitted"), out.String())

	out.Reset()
	w.format = term.JSON
	require.NoError(t, w.print(out, p))
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `{"host":"hv2","time":`)
}
