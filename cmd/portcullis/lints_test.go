package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/files"
)

//go:generate go test -run ^TestLintsPage$ -update .

const lintsPage = "../../docs/lints.md"

const lintsHead = `# Lints

Generated from the lints and their examples by ` + "`go generate ./cmd/portcullis`" + `; do not edit.

A policy can be valid and yet not what was meant. ` + "`portcullis check --strict`" + ` finds that, names each
place with the id of what it is, and exits 1; warnings fail then, too. Without ` + "`--strict`" + ` the
findings are counted and fail nothing. They say only what is sure: no finding does not mean that a
policy is good.

` + "```sh" + `
portcullis check --strict policy/                          # in the CI of the policy's repository
portcullis check --strict --ignore world-ssh:bastion …     # accepted: of this group or instance
portcullis check --strict --ignore one-family …            # accepted everywhere
portcullis check --strict -o sarif policy/ > p.sarif       # for code scanners and editors
portcullis check --strict -o json policy/                  # file, line, column, field, message, rule
` + "```" + `

Nothing is written into the policy to accept a finding: what is accepted stands in the command that
checks, for all who read it in one place. A policy file without any instances, such as one of
groups alone, is not asked who is in a group. The reasons are in
[0031](decisions/0031-what-is-hardly-meant.md).

| id | what is found |
| --- | --- |
`

// TestLintsPage compares docs/lints.md with the lints, their examples, and what the command says of
// them; with -update, it writes it.
func TestLintsPage(t *testing.T) {
	bare(t)
	var page strings.Builder
	page.WriteString(lintsHead)
	for _, l := range files.Lints() {
		fmt.Fprintf(&page, "| [%s](#%[1]s) | %s |\n", l.ID, l.Title)
	}
	for _, l := range files.Lints() {
		fmt.Fprintf(&page, "\n## %s\n\n%s.\n\n%s\n\n%s\n", l.ID, l.Title, linesOf(l.Why, ""),
			linesOf("**Way out** "+l.WayOut, ""))
		bad, err := os.ReadFile(exampleOf(l.ID))
		if err != nil {
			require.Equal(t, "stray-file", l.ID, "which is about no text")
			continue
		}
		clean, err := os.ReadFile(exampleOf(l.ID + ".clean"))
		require.NoError(t, err)
		found := checkJSON(t, 1, "--strict", exampleOf(l.ID)).Findings[0]
		message := regexp.MustCompile(`\S*/testdata/\S+?\.yaml`).ReplaceAllString(found.Message,
			"policy.yaml")
		said := fmt.Sprintf("policy.yaml:%d:%d: %s: %s", found.Line, found.Column, found.Field,
			message)
		fmt.Fprintf(&page, "\n`policy.yaml`:\n\n```yaml\n%s```\n\n%s\n\nIt is not found in\n\n"+
			"`policy.yaml`:\n\n```yaml\n%s```\n", bad, linesOf(said, "> "), clean)
	}
	if *update {
		require.NoError(t, os.WriteFile(lintsPage, []byte(page.String()), 0o644))
	}
	got, err := os.ReadFile(lintsPage)
	require.NoError(t, err)
	require.Equal(t, page.String(), string(got), "stale; go generate ./cmd/portcullis")
}

// linesOf breaks a text into lines of at most 100 columns, each with the mark before it.
func linesOf(text, mark string) string {
	line, out := mark, []string{}
	for _, word := range strings.Fields(text) {
		if line != mark && len(line)+len(word) > 100 {
			out = append(out, strings.TrimSuffix(line, " "))
			line = mark
		}
		line += word + " "
	}
	return strings.Join(append(out, strings.TrimSuffix(line, " ")), "\n")
}
