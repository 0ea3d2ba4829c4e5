package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
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
	pages, err := filepath.Glob("../../docs/howto/*.md")
	require.NoError(t, err)
	sites := 0
	for _, page := range append(pages, "../../docs/tutorial.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		dir := t.TempDir()
		for _, file := range regexp.MustCompile(
			"(?ms)^```yaml /etc/portcullis/(\\S+)\n(.*?)^```$").FindAllSubmatch(text, -1) {
			path := filepath.Join(dir, string(file[1]))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, file[2], 0o600))
		}
		for _, name := range []string{"policy", "policy.yaml"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				continue
			}
			sites++
			_, warnings, err := policydir.Load(filepath.Join(dir, name))
			require.NoError(t, err, page)
			require.Empty(t, warnings, page)
		}
		if settings := filepath.Join(dir, "portcullis.yaml"); fileExists(settings) {
			_, err := config.LoadSettings(settings)
			require.NoError(t, err, page)
		}
		require.Equal(t, strings.Count(string(text), "```yaml"),
			strings.Count(string(text), "```yaml /etc/portcullis/"),
			"%s has YAML that nobody checks", page)
	}
	require.GreaterOrEqual(t, sites, 6)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What the package installs is valid, and protects nothing yet.
func TestPackagedFiles(t *testing.T) {
	settings, err := config.LoadSettings("package/portcullis.yaml")
	require.NoError(t, err)
	require.Equal(t, "policy", filepath.Base(settings.Policy))
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
	require.Len(t, quoted, 5)
	for _, q := range quoted {
		args := append(strings.Fields(string(q[1])), "--config", settings)
		if strings.Contains(string(q[1]), "--flow") {
			args = append(args, "--dump", dump)
		}
		require.Equal(t, string(q[2]), strings.ReplaceAll(call(t, args...).out, examples,
			"/etc/portcullis"), "%s", q[1])
	}
}
