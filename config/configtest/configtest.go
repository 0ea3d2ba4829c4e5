package configtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// Malicious are texts for every place that takes text.
var Malicious = []string{
	"", " ", "a\nb", "a\r\nactions=NORMAL", "actions=NORMAL", "a,actions=drop", "a,b", "'", `"`,
	"`id`", "$(reboot)", "; id", "-O", "--db=x", "%s%n", `\`,
	"\x00", "\x1b[2J", "\u202e", "\u2028", "\ufeff", "\u00a0", "ä", "é", "😀", "\u0000",
	strings.Repeat("n", 15), strings.Repeat("n", 16), strings.Repeat("n", 255),
	strings.Repeat("n", 256), strings.Repeat("é", 255), strings.Repeat("😀", 300), "..", "/",
	"../../etc/passwd", "0", "-1", "1e400", "0x7fffffffffffffff",
	"999999999999999999999999999", "1-65536", "65535-1", "0.0.0.0/0", "0.0.0.0/00",
	"::ffff:1.2.3.4", "fe80::1%eth0", "1.2.3.4/33", "224.0.0.1", "ff:ff:ff:ff:ff:ff",
	"01:00:5e:00:00:01", "null", "true", "~", "<<", "*a", "&a", "!!binary eA==", "{}", "[]", "- a",
	"a: b", "#", "|", ">",
}

// Within runs a parse and holds what it allocates in all, and a time that even a busy host keeps.
func Within[P, W any](t *testing.T, bytes uint64, parse func() (P, W, error)) (P, W, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	p, w, err := parse()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	t.Logf("%v, %d MiB allocated in all", took.Round(time.Millisecond),
		(after.TotalAlloc-before.TotalAlloc)>>20)
	require.Less(t, took, Hangs)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, bytes)
	return p, w, err
}

// Refusal is a text and what is said of it.
type Refusal struct {
	Name string
	Yaml string   // § where an error must be
	Want []string // of each §: "field: message", its parts separated by " … "
}

// Prefixes reads networks.
func Prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Write writes a file.
func Write(t testing.TB, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

// Hangs is longer than any machine takes for what these tests do: it is to notice what grows with
// the square of a text, not who is slow.
const Hangs = 5 * time.Minute

// RequireCurrent compares a generated file with what it should be; with -update, it writes it.
func RequireCurrent(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(name, want, 0o644))
	}
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s is stale: go generate ./config/...", name)
}

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// Marked takes the § out of a text and returns where they were.
func Marked(file, text string) (string, []policy.Position) {
	var out strings.Builder
	var at []policy.Position
	line, column := 1, 1
	for _, r := range text {
		switch r {
		case '§':
			at = append(at, policy.Position{File: file, Line: line, Column: column})
			continue
		case '\n':
			line, column = line+1, 0
		}
		column++
		out.WriteRune(r)
	}
	return out.String(), at
}

// RequireErrors checks that the mistakes are at these places, in this order, and that each says
// "field: message" with these parts, which are separated by " … ".
func RequireErrors(t *testing.T, err error, at []policy.Position, want []string) {
	t.Helper()
	require.Error(t, err)
	var list interface{ Unwrap() []error }
	require.True(t, errors.As(err, &list), "%T: %v", err, err)
	require.Len(t, list.Unwrap(), len(want), "%v", err)
	require.Len(t, at, len(want), "one § for each wanted error")
	for i, e := range list.Unwrap() {
		got, isThere := strings.CutPrefix(e.Error(), at[i].String()+": ")
		assert.True(t, isThere, "%s: %v", at[i], e)
		RequireParts(t, got, strings.TrimPrefix(want[i], ": "))
	}
}

// RequireParts checks that a message begins with the first part, and has the others in order.
func RequireParts(t *testing.T, got, want string) {
	t.Helper()
	rest := got
	for i, part := range strings.Split(want, " … ") {
		_, after, ok := strings.Cut(rest, part)
		require.True(t, ok && (i > 0 || strings.HasPrefix(got, part)), "want %q\n got %q", want,
			got)
		rest = after
	}
}

// Rule returns a policy of two groups, the first with this rule.
func Rule(fields string) string {
	return fmt.Sprintf("groups:\n  - name: web\n    rules:\n      - {%s}\n  - name: db\n", fields)
}

// Port returns a policy of one instance with this port, whose name and MAC are added if it has
// none.
func Port(fields string) string {
	return fmt.Sprintf(
		"instances:\n  - name: i\n    ports:\n      - {name: tap, mac: 02:00:00:00:00:01, %s}\n",
		fields)
}

// Ports returns a policy of one instance with these ports; each may be followed by @host for an
// instance on that host.
func Ports(list ...string) string {
	var b strings.Builder
	b.WriteString("instances:\n")
	for i, p := range list {
		p, host, _ := strings.Cut(p, "@")
		fmt.Fprintf(&b, "  - name: i%d\n", i)
		if host != "" {
			fmt.Fprintf(&b, "    host: %s\n", host)
		}
		fmt.Fprintf(&b, "    ports: [{%s}]\n", p)
	}
	return b.String()
}
