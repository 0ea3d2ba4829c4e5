package generation

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/history"
)

// webPolicy admits ports of a network to web-1.
func webPolicy(rules ...string) string {
	out := "groups:\n- name: web\n  rules:\n"
	for _, r := range rules {
		port, network, _ := strings.Cut(r, " ")
		out += fmt.Sprintf("  - {direction: ingress, protocol: tcp, ports: %s, cidr: %s}\n", port, network)
	}
	return out + "instances:\n- {name: web-1, groups: [web], ports: [{name: tap1, " +
		"mac: '02:00:00:00:00:11', addresses: [203.0.113.11]}]}\n"
}

// What came and went is told in the log, the audit and the generation, in words, with the line of
// the file; also of a change while no daemon ran.
func TestAccessIsToldInWords(t *testing.T) {
	p := newSite(t)
	p.write(webPolicy("22 192.0.2.0/24"))
	s := p.source()
	_, _, err := s.Load()
	require.NoError(t, err)
	recordAll(t, s)
	p.write(webPolicy("22 198.51.100.0/24", "80 192.0.2.1/32"))
	s = p.source()
	_, _, err = s.Load()
	require.NoError(t, err)
	recordAll(t, s)

	want := []string{
		"web-1 can no longer be reached from 192.0.2.0/24 by tcp 22: " + p.file +
			"@1:4:5 (rule of web: ingress tcp 22 from 192.0.2.0/24)",
		"web-1 may now be reached from 198.51.100.0/24 by tcp 22: " + p.file +
			":4:5 (rule of web: ingress tcp 22 from 198.51.100.0/24)",
		"web-1 may now be reached from 192.0.2.1 by tcp 80: " + p.file +
			":5:5 (rule of web: ingress tcp 80 from 192.0.2.1/32)"}
	var said []string
	for _, e := range p.hook.AllEntries() {
		if strings.HasPrefix(e.Message, "web-1") {
			said = append(said, e.Message)
		}
	}
	require.Equal(t, want, said)
	g, err := p.store.Last()
	require.NoError(t, err)
	require.Equal(t, &history.Access{Gained: 2, Lost: 1, Lines: want}, g.Access)
	lines := audit(t, p.store)
	require.Len(t, lines, 2)
	require.Equal(t, want, lines[1].Access)
	require.Equal(t, p.file, lines[1].Files[0].Path)
	require.Equal(t, []any{"br-int", 2, g.Digest}, []any{lines[1].Bridge, lines[1].Generation,
		lines[1].Digest})
}

// recordAll has a source keep and tell of what waits.
func recordAll(t *testing.T, s *Source) {
	t.Helper()
	require.NoError(t, s.keep())
	for s.recordNext(t.Context()) {
	}
}

func audit(t *testing.T, store *history.Store) (out []history.Entry) {
	t.Helper()
	f, err := os.Open(filepath.Join(store.Dir(), history.AuditFile))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e history.Entry
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		out = append(out, e)
	}
	return out
}

// A change of much is told of by its first lines.
func TestMuchAccessIsToldShortly(t *testing.T) {
	p := newSite(t)
	p.write(webPolicy("22 192.0.2.0/24"))
	s := p.source()
	_, _, err := s.Load()
	require.NoError(t, err)
	recordAll(t, s)
	var rules []string
	for i := range mostLines + 12 {
		rules = append(rules, fmt.Sprintf("%d 198.51.%d.0/24", 1000+2*i, i))
	}
	p.write(webPolicy(append(rules, "22 192.0.2.0/24")...))
	_, _, err = s.Load()
	require.NoError(t, err)
	recordAll(t, s)
	g, err := p.store.Last()
	require.NoError(t, err)
	require.Equal(t, mostLines+12, g.Access.Gained)
	require.Len(t, g.Access.Lines, mostLines+1)
	require.Equal(t, "and 12 more", g.Access.Lines[mostLines])
}
