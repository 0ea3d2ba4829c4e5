package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/page"
)

// docs/README.md follows one rule from the example policy to the flows: what it quotes must be
// there.
func TestFollowOneRule(t *testing.T) {
	page, err := os.ReadFile("../../docs/README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("../../docs/examples/policy.yaml")
	require.NoError(t, err)
	quotedRule := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, quotedRule)
	require.Contains(t, string(example), string(quotedRule[1]))

	settings, err := config.LoadSettings("../../docs/examples/portcullis.yaml")
	require.NoError(t, err)
	p, _, err := policydir.Load(settings.Policy)
	require.NoError(t, err)
	in := flows.Input{Policy: p, Site: policy.Site{Host: "any"}}
	for i, instance := range p.Instances {
		in.Bindings = append(in.Bindings, flows.Binding{Port: instance.Ports[0].Name,
			OFPort: uint32(i + 1), Zone: uint16(i + 1), Epoch: 1})
	}
	program, err := flows.Compile(in)
	require.NoError(t, err)
	quoted := 0
	for _, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "cookie=") {
			quoted++
			require.Contains(t, program.String(), line+"\n")
		}
	}
	require.Equal(t, 2, quoted)
}

// Every file that a page has its reader write is valid. Those of one page are one site.
func TestFilesOfPages(t *testing.T) {
	sites := 0
	for _, path := range pages(t) {
		dir := t.TempDir()
		for _, b := range blocks(t, path) {
			name, ours := strings.CutPrefix(b.Name, "/etc/portcullis/")
			if !ours {
				continue
			}
			file := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(b.Text), 0o600))
		}
		for _, name := range []string{"policy", "policy.yaml"} {
			if !fileExists(filepath.Join(dir, name)) {
				continue
			}
			sites++
			_, warnings, err := policydir.Load(filepath.Join(dir, name))
			require.NoError(t, err, path)
			require.Empty(t, warnings, path)
		}
		if settings := filepath.Join(dir, "portcullis.yaml"); fileExists(settings) {
			_, err := config.LoadSettings(settings)
			require.NoError(t, err, path)
		}
	}
	require.GreaterOrEqual(t, sites, 6)
}

// A file is of no use to who does not know where it goes: its name stands above its block, on the
// page itself.
func TestBlocksOfFilesHaveNames(t *testing.T) {
	files := 0
	for _, path := range pages(t) {
		for _, b := range blocks(t, path) {
			if !slices.Contains([]string{"yaml", "xml", "ini", "json"}, b.Kind) {
				continue
			}
			files++
			require.NotEmpty(t, b.Name, "%s:%d: which file is this? write `NAME`: above it", path,
				b.Line)
		}
	}
	require.Greater(t, files, 20)
}

// pages are all pages of the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md"} {
		matching, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, matching...)
	}
	return found
}

func blocks(t *testing.T, path string) []page.Block {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	found, err := page.Blocks(string(text))
	require.NoError(t, err, path)
	return found
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What the package installs is valid, and protects nothing yet.
func TestPackagedFiles(t *testing.T) {
	settings, err := config.LoadSettings("package/portcullis.yaml")
	require.NoError(t, err)
	require.Equal(t, "policy.yaml", filepath.Base(settings.Policy))
	empty := filepath.Join(t.TempDir(), "portcullis.yaml")
	require.NoError(t, os.WriteFile(empty, []byte("uplinks: []\n"), 0o600))
	bare, err := config.LoadSettings(empty)
	require.NoError(t, err)
	require.Equal(t, filepath.Base(bare.Policy), filepath.Base(settings.Policy),
		"the package says other than the program does by itself")
	p, _, err := policydir.Load("package/policy.yaml")
	require.NoError(t, err)
	require.Empty(t, p.Groups)
	require.Empty(t, p.Instances)
}

// The page about explain shows what the command prints of the example policy.
func TestExplainPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/explain.md")
	require.NoError(t, err)
	examples, err := filepath.Abs("../../docs/examples")
	require.NoError(t, err)
	settings := filepath.Join(examples, "portcullis.yaml")
	dump := filepath.Join(t.TempDir(), "dump")
	require.NoError(t, os.WriteFile(dump, []byte(call(t, "flows", "--config", settings).out),
		0o600))
	quoted := regexp.MustCompile(
		"(?ms)^```console\n\\$ portcullis (explain .*?)\n(.*?)^```$").FindAllSubmatch(page, -1)
	require.Len(t, quoted, 6)
	for _, q := range quoted {
		args := append(strings.Fields(string(q[1])), "--config", settings)
		if strings.Contains(string(q[1]), "--flow") {
			args = append(args, "--dump", dump)
		}
		require.Equal(t, string(q[2]), strings.ReplaceAll(call(t, args...).out, examples,
			"/etc/portcullis"), "%s", q[1])
	}
}

// Each how-to says on its first line how far the tests run it, and that is so.
func TestPagesSayWhetherTheyAreRun(t *testing.T) {
	found, err := filepath.Glob("../../docs/howto/*.md")
	require.NoError(t, err)
	for _, path := range append(found, "../../docs/tutorial.md") {
		if filepath.Base(path) == "README.md" {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		first := regexp.MustCompile(`(?m)^> (Run|Not run) .*by the tests`).FindSubmatch(text)
		require.NotNil(t, first, "%s does not say whether it is run", path)
		runs := slices.ContainsFunc(blocks(t, path), func(b page.Block) bool {
			return b.Kind == page.Run
		})
		require.Equal(t, runs, string(first[1]) == "Run", path)
	}
}

// What a page says to type ends by itself, and ends nothing of others.
func TestPagesHurtNobody(t *testing.T) {
	bad := regexp.MustCompile(`pidof|pkill|killall|del-br\b|\b(until|while)\b.*\bdo\b`)
	// a machine of the lab has processes of its own, and sees no others
	inside := regexp.MustCompile(`(?m)^on \S+ pkill `)
	for _, path := range pages(t) {
		for _, b := range blocks(t, path) {
			if strings.HasPrefix(b.Kind, "sh") {
				require.NotRegexp(t, bad, inside.ReplaceAllString(b.Text, ""), "%s:%d", path,
					b.Line)
			}
		}
	}
}

// The page about matrix shows what the command prints of the example policy.
func TestMatrixPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/matrix.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile(
		"(?ms)^```console\n\\$ portcullis (matrix.*?)\n(.*?)^```$").FindAllSubmatch(text, -1)
	require.Len(t, quoted, 3)
	for _, q := range quoted {
		args := append(strings.Fields(string(q[1])), "--config", "../../docs/examples/portcullis.yaml")
		require.Equal(t, string(q[2]), call(t, args...).out, "%s", q[1])
	}
}

// The README's figures are those of the page about performance, rounded.
func TestFiguresOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/performance.md")
	require.NoError(t, err)
	_, medium, _ := strings.Cut(string(page), "\n## medium\n")
	medium, _, _ = strings.Cut(medium, "\n## ")
	figure := func(row string) string {
		m := regexp.MustCompile(`(?m)^\| ` + row + ` \|(?: \S+ \|)?.*?([0-9.]+)`).FindStringSubmatch(medium)
		require.NotNil(t, m, row)
		return m[1]
	}
	milliseconds := func(row string) float64 {
		m := regexp.MustCompile(`(?m)^\| ` + row + ` \| \d+ \| ([0-9.]+) \|`).
			FindStringSubmatch(medium)
		require.NotNil(t, m, row)
		ms, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		return ms
	}
	flows := regexp.MustCompile(`\*\*([0-9,]+) flows\*\*`).FindStringSubmatch(medium)
	require.NotNil(t, flows)
	for _, said := range []string{
		flows[1] + " flows |",
		fmt.Sprintf("| %.0f ms, 2 flows |", milliseconds("member added")),
		fmt.Sprintf("| %.0f ms |", milliseconds("rule removed")),
		fmt.Sprintf("| %.1f s |", milliseconds("cold start")/1000),
		fmt.Sprintf("| %.1f s, 0 flows |", milliseconds("restart without change")/1000),
		"| " + figure(`established TCP throughput / NORMAL's ≥ 0\.75`) + ", " +
			figure(`new connections per second / NORMAL's ≥ 0\.7`) + " |",
	} {
		require.Contains(t, string(readme), said)
	}
	resident := regexp.MustCompile(`(\d+ MiB)\s+after all changes`).FindStringSubmatch(medium)
	require.NotNil(t, resident)
	require.Contains(t, string(readme), "| memory | "+resident[1]+" |")
	require.Contains(t, string(readme), "one daemon of "+resident[1]+" for each host")
}

// What the README shows of explain is what the command prints, as far as it goes.
func TestExplainInTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```\n\\$ portcullis (explain [^\n]*)\n(.*?)    …\n```").
		FindSubmatch(readme)
	require.NotNil(t, shown)
	args := append(strings.Fields(string(shown[1])), "--config", "../../docs/examples/portcullis.yaml")
	out := regexp.MustCompile(`\(\S*/policy\.yaml`).ReplaceAllString(call(t, args...).out,
		"(policy.yaml")
	require.True(t, strings.HasPrefix(out, string(shown[2])), out)
}

// What is typed or pasted as it stands is not taken for an answer: a command that shows on a
// terminal what it would change, and asks, is given its answer with it.
func TestPagesAreNotAsked(t *testing.T) {
	command := regexp.MustCompile(`(?m)(?:^|[|;&({] *|on \S+ )portcullis +([^#|;&<>)\n]+)`)
	found := 0
	for _, path := range pages(t) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if !strings.Contains(string(text), config.DatabaseVariable) {
			continue // of files nobody asks
		}
		for _, b := range blocks(t, path) {
			if b.Kind != page.Run {
				continue
			}
			for _, m := range command.FindAllStringSubmatch(b.Text, -1) {
				cmd, _, err := newRoot().Find(strings.Fields(m[1]))
				require.NoError(t, err, "%s:%d: %s", path, b.Line, m[0])
				if cmd.Flags().Lookup("yes") == nil || strings.Contains(m[1], "--help") {
					continue
				}
				found++
				assert.Regexp(t, "--(yes|dry-run)\\b", m[1], "%s:%d: %s asks", path, b.Line, m[0])
			}
		}
	}
	require.Greater(t, found, 20)
}

// Every command that a page shows is one, with flags that it has.
func TestCommandsOfPages(t *testing.T) {
	command := regexp.MustCompile(`(?m)(?:^|[|;&(] *)portcullis +([^#|;&<>)\n]+)`)
	found := 0
	for _, path := range pages(t) {
		for _, b := range blocks(t, path) {
			if !strings.HasPrefix(b.Kind, "sh") {
				continue
			}
			for _, m := range command.FindAllStringSubmatch(b.Text, -1) {
				found++
				cmd, rest, err := newRoot().Find(strings.Fields(m[1]))
				require.NoError(t, err, "%s:%d: %s", path, b.Line, m[0])
				require.NoError(t, cmd.ParseFlags(rest), "%s:%d: %s", path, b.Line, m[0])
				require.True(t, cmd.HasParent(), "%s:%d: %s", path, b.Line, m[0])
			}
		}
	}
	require.Greater(t, found, 50)
}
