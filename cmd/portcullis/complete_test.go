package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// offered is what a completion of the function offers for a policy.
func offered(t *testing.T, pick func(*files) cobra.CompletionFunc,
	settings string) []cobra.Completion {
	t.Helper()
	offers, directive := pick(&files{config: settings})(nil, nil, "")
	require.Equal(t, cobra.ShellCompDirectiveNoFileComp, directive)
	return offers
}

func TestCompletionOffersWhatThePolicyNames(t *testing.T) {
	good := site(t, goodPolicy)
	const outside = "outside\tsomebody behind the uplinks, in conversations"
	for _, c := range []struct {
		name string
		pick func(*files) cobra.CompletionFunc
		want []cobra.Completion
		none []cobra.Completion // without a valid policy
	}{
		{"instances", func(f *files) cobra.CompletionFunc { return f.completeInstances },
			[]cobra.Completion{"web-1\tweb", "web-2\tweb", "web-3\tweb"}, nil},
		{"peers", func(f *files) cobra.CompletionFunc { return f.completePeers },
			[]cobra.Completion{"web-1\tweb", "web-2\tweb", "web-3\tweb", "any\tevery address",
				outside},
			[]cobra.Completion{"any\tevery address", outside}},
		{"groups", func(f *files) cobra.CompletionFunc { return f.completeGroups },
			[]cobra.Completion{"web"}, nil},
		{"ports", func(f *files) cobra.CompletionFunc { return f.completePorts },
			[]cobra.Completion{"tap1\tweb-1", "tap2\tweb-2", "tap3\tweb-3"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, offered(t, c.pick, good))
			require.Equal(t, c.none, offered(t, c.pick, site(t, "bogus: 1\n")))
			require.Equal(t, c.none, offered(t, c.pick, nowhere))
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
	require.Equal(t, "yaml\nyml\n:8\n", call(t, "__complete", "check", "--config", "").out)
	require.Equal(t, ":4\n", call(t, "__complete", "check", "").out,
		"no file names where there are no arguments")
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
