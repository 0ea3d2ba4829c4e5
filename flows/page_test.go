package flows_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
)

var update = flag.Bool("update", false, "write docs/pipeline.md anew")

// docs/pipeline.md is what pipeline.go says. `go generate ./flows` writes it anew.
func TestPipelinePage(t *testing.T) {
	const file = "../docs/pipeline.md"
	want := pipelinePage(t)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "stale: run go generate ./flows")
}

func pipelinePage(t *testing.T) string {
	p, err := flows.Compile(flowtest.Seed())
	require.NoError(t, err)
	names := map[flows.TableID]string{}
	for _, table := range flows.Pipeline() {
		names[table.ID] = table.Name
	}
	var b strings.Builder
	b.WriteString(pipelineIntroduction)
	for _, table := range flows.Pipeline() {
		fmt.Fprintf(&b, "\n## %d %s\n\n%s\n\n", table.ID, table.Name, wrapped(table.Purpose, ""))
		item(&b, "matches", list(fieldNames(table.Matches)))
		item(&b, "writes", list(fieldNames(table.Writes)))
		var next []string
		for _, id := range table.Next {
			next = append(next, fmt.Sprintf("%d %s", id, names[id]))
		}
		item(&b, "next", list(next))
		item(&b, "sends out", list([]string{string(table.Outputs)}))
		item(&b, "meters, for a port with limits", string(table.Meters))
		item(&b, "further pages, by reg4", string(table.Pages))
		item(&b, "shows", string(table.Shows))
		b.WriteString("- miss: drop\n\n```\n")
		for _, f := range examples(p.Flows, uint8(table.ID)) {
			fmt.Fprintf(&b, "%s\n", f)
		}
		b.WriteString("```\n")
	}
	return b.String()
}

// item lists a property of a table, if it has one.
func item(b *strings.Builder, name, text string) {
	if text != "" {
		fmt.Fprintf(b, "- %s\n", wrapped(name+": "+text, "  "))
	}
}

// wrapped breaks a text at 100 columns; an indented one stands behind a mark of that width.
func wrapped(text, indent string) string {
	var b strings.Builder
	column := len(indent)
	for n, word := range strings.Fields(text) {
		switch {
		case n == 0:
		case column+1+len(word) > 100:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// examples are the first flow of each priority: a long one in two lines, cut where a line gets too
// long to read.
func examples(all []openflow.Flow, table uint8) []string {
	var out []string
	last := -1
	for _, f := range all {
		if f.Table == table && int(f.Priority) != last {
			last = int(f.Priority)
			line := strings.TrimPrefix(f.String(), fmt.Sprintf("cookie=0x%x, ", f.Cookie))
			if len(line) > 220 {
				line = line[:220] + " …"
			}
			if len(line) > 100 {
				line = strings.Replace(line, " actions=", "\n    actions=", 1)
			}
			out = append(out, line)
		}
	}
	return out
}

// fieldNames are the names that the text of flows has for fields, each once.
func fieldNames(fields []openflow.Field) []string {
	var out []string
	for _, f := range fields {
		if !slices.Contains(out, f.String()) {
			out = append(out, f.String())
		}
	}
	return out
}

func list(words []string) string {
	if s := strings.Join(words, ", "); s != "" {
		return s
	}
	return "nothing"
}

const pipelineIntroduction = `# The pipeline

Generated from flows/pipeline.go and the test policy of flows/flowtest/seed.go;
` + "`go generate ./flows`" + ` writes it anew.

A packet starts in table 0. Ingress and egress are seen from the instance. What no flow of a table
matches is dropped.

` + "```" + `
an instance
│
└─> 0 classify ─> 10 source_guard ─┬─> 20 arp, 21 nd (14 nd_guard, 16 listener_guard)
                                   │      ─> ports and uplinks, by number; 43 announce
                                   ├─> 11 link_local ─> 22 outward, 14, 16
                                   └─> 13 dispatch ─┬─> 22 outward ─> uplinks and trusted ports
      ┌─────────────────────────────────────────────┘
      └─> 29 egress_track ─ ct ─> 31 egress_state ─> 32 egress_rules, 33 egress_verdict ─> 40
              └─ fragments: 32, 52, 30 egress_fragments ─ ct ─> 31

an uplink, a trusted port
│
└─> 0 classify ─> 12 outside_guard ─┬─> 20 arp, 15 outside_nd ─> 21 nd
                                    └─> 40

40 destination ─┬─> uplinks, 43 announce ─> all ports of a family
                └─> 41 destination_guard ─┬─> 42 dhcp_answer ─> 60 output
      ┌───────────────────────────────────┘
      └─> 48 ingress_track ─ ct ─> 51 ingress_state ─> 52 ingress_rules, 53 ingress_verdict
              │                                               ─> 60 output
              └─ fragments: 52, 32, 49 ingress_fragments, 50 outside_fragments ─ ct ─> 51
` + "```" + `

| register | meaning |
| --- | --- |
| reg0[0] | verdict of a rule table: 1 = admitted |
| reg0[4..5] | origin: 1 an instance, 2 an uplink, 3 a trusted port (bit 4: may go to the uplinks; bit 5: from outside) |
| reg1 | key of the port whose rules judge the packet now = its conntrack zone; 0 for uplinks |
| reg2 | epoch of that port |
| reg3 | id of the rule that admitted: 1 = egress is open, others by ` + "`RuleIDs`" + ` |
| reg4 | page of a table that is asked for: 0, and others only where something is too long for one flow |
| ct_mark | epoch in which the connection was last admitted |
| ct_label[0..31] | id of the rule that admitted it |

The examples are the first flow of each priority.
`
