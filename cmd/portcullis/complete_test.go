package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// offered is what a completion offers for a policy: that of a flag of a command.
func offered(t *testing.T, command, flag, settings string) string {
	t.Helper()
	return call(t, "__complete", command, "--config", settings, flag, "").out
}

func TestCompletionOffersWhatThePolicyNames(t *testing.T) {
	good := site(t, goodPolicy)
	const ends = "any\tevery address\noutside\tevery address that is no instance's\n"
	const instances = "web-1\tweb\nweb-2\tweb\nweb-3\tweb\n"
	for _, c := range []struct{ command, flag, want, none string }{
		{"connections", "--instance", instances, ""},
		{"explain", "--from", instances + "web\tgroup\n" + ends, ends},
		{"connections", "--port", "tap1\tweb-1\ntap2\tweb-2\ntap3\tweb-3\n", ""},
	} {
		t.Run(c.flag, func(t *testing.T) {
			require.Equal(t, c.want+":4\n", offered(t, c.command, c.flag, good))
			require.Equal(t, c.none+":4\n",
				offered(t, c.command, c.flag, site(t, "bogus: 1\n")), "of no valid policy")
			require.Equal(t, c.none+":4\n", offered(t, c.command, c.flag, nowhere))
		})
	}
}

func TestCompletionOfFlags(t *testing.T) {
	require.Equal(t, "table\njson\n:4\n", call(t, "__complete", "status", "--output", "").out)
	settings := site(t, goodPolicy)
	require.Equal(t, "web-1\tweb\nweb-2\tweb\nweb-3\tweb\n:4\n",
		call(t, "__complete", "connections", "--config", settings, "--instance", "").out)
	require.Equal(t, "tap1\tweb-1\ntap2\tweb-2\ntap3\tweb-3\n:4\n",
		call(t, "__complete", "connections", "--config", settings, "--port", "").out)
	require.Equal(t, "web-1\tweb\nweb-2\tweb\nweb-3\tweb\n:4\n",
		call(t, "__complete", "show", "instance", "--config", settings, "").out)
	require.Equal(t, "web\n:4\n",
		call(t, "__complete", "show", "group", "--config", settings, "").out)
	require.Equal(t, ":4\n",
		call(t, "__complete", "show", "group", "--config", settings, "web", "").out)
	require.Equal(t, "yaml\nyml\n:8\n", call(t, "__complete", "check", "--config", "").out)
	require.Equal(t, ":4\n", call(t, "__complete", "flows", "").out,
		"no file names where there are no arguments")
}

// The arguments of explain are ends, and then what is asked about.
func TestCompletionOfQuestions(t *testing.T) {
	settings := site(t, goodPolicy)
	offers := func(args ...string) string {
		return call(t, append(append([]string{"__complete", "explain", "--config", settings}, args...),
			"")...).out
	}
	require.Contains(t, offers(), "web-1\tweb\n")
	require.Contains(t, offers(), "web\tgroup\n")
	require.NotContains(t, offers(), "mysql")
	require.Contains(t, offers("web-1"), "outside\t")
	require.Contains(t, offers("web-1"), "dhcp\t")
	require.Contains(t, offers("web-1", "web-2"), "mysql\ttcp/3306\n")
	require.NotContains(t, offers("web-1", "web-2"), "web-1\t")
	require.NotContains(t, offers("web-1", "web-2", "mysql"), "\t")
}

func TestCompletionScriptsAreValid(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := call(t, "completion", shell)
		require.Equal(t, 0, got.code, shell)
		require.True(t, strings.Contains(got.out, " __complete"), shell)
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not here: its script was not parsed", shell)
			continue
		}
		parse := exec.Command(shell, "-n")
		parse.Stdin = strings.NewReader(got.out)
		out, err := parse.CombinedOutput()
		require.NoError(t, err, "%s: %s", shell, out)
	}
}
