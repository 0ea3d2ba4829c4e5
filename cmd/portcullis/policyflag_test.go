package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
)

// bare skips a test of commands without a settings file where the machine has one.
func bare(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(cli.DefaultConfig); err == nil {
		t.Skip(cli.DefaultConfig, " is there")
	}
}

// fileOf is a file of its own with a text.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// Every command that asks about a policy takes it from --policy, with settings and without.
func TestPolicyFlag(t *testing.T) {
	open := fileOf(t, "open.yaml", goodPolicy)
	shut := fileOf(t, "shut.yaml", "groups: [{name: web}]\ninstances:\n"+
		"  - {name: web-1, host: hv1, groups: [web], ports: [{name: tap1, mac: \"02:00:00:00:00:11\","+
		" addresses: [203.0.113.11]}]}\n")
	question := []string{"explain", "--from", "198.51.100.1", "--to", "web-1", "tcp/80"}
	with := func(extra ...string) answer { return call(t, append(question, extra...)...) }
	settings := site(t, goodPolicy)
	require.Equal(t, 0, with("--config", settings).code)
	require.Equal(t, 1, with("--config", settings, "--policy", shut).code)
	require.Contains(t, call(t, "flows", "--config", settings, "--policy", shut).out, "in_port=1,")
	require.NotContains(t, call(t, "flows", "--config", settings, "--policy", shut).out, "in_port=3,")
	got := with("--config", settings, "--policy", "nope.yaml")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "nope.yaml: no such file")

	bare(t)
	require.Equal(t, 0, with("--policy", open).code)
	require.Equal(t, 1, with("--policy", shut).code)
	require.Empty(t, with("--policy", open).errOut, "there is no host to warn of")
}

// Several files are one policy, as in a folder.
func TestSeveralPolicies(t *testing.T) {
	bare(t)
	groups := fileOf(t, "groups.yaml", "groups: [{name: web, rules: [{direction: ingress, "+
		"protocol: tcp, ports: 80, cidr: 0.0.0.0/0}]}]\n")
	instances := fileOf(t, "instances.yaml", "instances: [{name: web-1, groups: [web], ports: "+
		"[{name: tap1, mac: \"02:00:00:00:00:11\", addresses: [203.0.113.11]}]}]\n")
	got := call(t, "explain", "--from", "198.51.100.1", "--to", "web-1", "tcp/80", "--policy",
		groups, "--policy", instances)
	require.Equal(t, 0, got.code, got.errOut)
	got = call(t, "flows", "--policy", instances)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `there is no group "web"`)
}

// A file that is not there: what to write, or how to name another.
func TestMissingFilesSayWhatToWrite(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"flows"}, {"plan"}, {"run"}, {"status"},
		{"explain", "--from", "any", "--to", "any"}} {
		got := call(t, append(args, "--config", nowhere)...)
		require.Equal(t, 1, got.code, args)
		require.Contains(t, got.errOut, "there is no settings file "+nowhere+"; write one, see "+
			"portcullis.yaml(5)", args)
		require.Contains(t, got.errOut, "--config FILE", args)
		require.NotContains(t, got.errOut, "open /", args)
	}
	settings := site(t, goodPolicy)
	policy := filepath.Join(filepath.Dir(settings), "policy.yaml")
	require.NoError(t, os.Remove(policy))
	got := call(t, "check", "--config", settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, policy)
	require.Contains(t, got.errOut, "The setting policy in "+settings+" names it. Write one, see "+
		"portcullis-policy(5)")
}

func TestConfigOfTheEnvironment(t *testing.T) {
	t.Setenv("PORTCULLIS_CONFIG", site(t, goodPolicy))
	got := call(t, "check")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "on host hv1")
	got = call(t, "check", "--config", nowhere)
	require.Contains(t, got.errOut, nowhere, "the flag comes first")
	require.Equal(t, 1, got.code)
	require.Contains(t, call(t, "check", "--help").out, `"/etc/portcullis/portcullis.yaml"`)
	t.Setenv("PORTCULLIS_CONFIG", nowhere)
	require.Contains(t, call(t, "flows", "--policy", fileOf(t, "policy.yaml", goodPolicy)).errOut,
		"there is no settings file "+nowhere, "a file that was named is not passed over")
}
