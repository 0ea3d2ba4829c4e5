package config

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// marked takes the § out of a text and returns where they were.
func marked(file, text string) (string, []policy.Position) {
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

// requireErrors checks that the mistakes are at these places, in this order, and that each says
// "field: message" with these parts, which are separated by " … ".
func requireErrors(t *testing.T, err error, at []policy.Position, want []string) {
	t.Helper()
	require.Error(t, err)
	var list interface{ Unwrap() []error }
	require.True(t, errors.As(err, &list), "%T: %v", err, err)
	require.Len(t, list.Unwrap(), len(want), "%v", err)
	require.Len(t, at, len(want), "one § for each wanted error")
	for i, e := range list.Unwrap() {
		got, isThere := strings.CutPrefix(e.Error(), at[i].String()+": ")
		assert.True(t, isThere, "%s: %v", at[i], e)
		requireParts(t, got, strings.TrimPrefix(want[i], ": "))
	}
}

func requireParts(t *testing.T, got, want string) {
	t.Helper()
	rest := got
	for i, part := range strings.Split(want, " … ") {
		_, after, ok := strings.Cut(rest, part)
		require.True(t, ok && (i > 0 || strings.HasPrefix(got, part)), "want %q\n got %q", want, got)
		rest = after
	}
}

// rule returns a policy of two groups, the first with this rule.
func rule(fields string) string {
	return fmt.Sprintf("groups:\n  - name: web\n    rules:\n      - {%s}\n  - name: db\n", fields)
}

// port returns a policy of one instance with this port, whose name and MAC are added if it has none.
func port(fields string) string {
	return fmt.Sprintf("instances:\n  - name: i\n    ports:\n      - {name: tap, mac: 02:00:00:00:00:01, %s}\n", fields)
}

// ports returns a policy of one instance with these ports; each may be followed by @host for an instance on that host.
func ports(list ...string) string {
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

func parseOne(text string) (*policy.Policy, Warnings, error) {
	return ParsePolicy([]File{{"p.yaml", []byte(text)}})
}
