//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/integration/testnet"
)

// commandResult is what a command has answered.
type commandResult struct {
	out, errOut string
	code        int
}

// command runs one of the program's commands at the API server, as who has a token.
func (f *apiFleet) command(token string, args ...string) commandResult {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := f.commanded(ctx, token, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(f.t, err)
	}
	return commandResult{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

func (f *apiFleet) commanded(ctx context.Context, token string, args ...string) *exec.Cmd {
	cmd := f.enter(ctx, daemon(f.t), append(args, "--server", "http://127.0.0.1:8080")...)
	cmd.Env = append(os.Environ(), "PORTCULLIS_TOKEN="+token)
	return cmd
}

// Who works with an API server sees by the commands of a host what all hosts have: connections,
// counters and first packets. A host that is down is named, and the rest is shown. A tenant sees
// its own, and not where it is.
func TestServe_CommandsTellOfAllHosts(t *testing.T) {
	t.Parallel()
	f := newAPIFleet(t, strings.Replace(apiWorld(), "groups:", "projects: [{name: acme}]\ngroups:", 1))
	ask := func(args ...string) commandResult { t.Helper(); return f.command(f.token, args...) }
	require.NoError(t, f.Reaches("web-1", "db-1", testnet.TCP(3306), testnet.IPv4))
	require.NoError(t, f.Reaches("web-1", "db-2", testnet.TCP(3306), testnet.IPv4))

	var got commandResult
	require.Eventually(t, func() bool { got = ask("connections"); return got.code == 0 }, patience,
		50*time.Millisecond, "every host says where it can be asked")
	assert.Regexp(t, `hv1 → hv2 .* both .*3306.*ingress tcp 3306 from group web`, got.out)
	assert.Regexp(t, `hv1 → hv3 `, got.out)
	got = ask("connections", "--instance", "db-1", "-o", "json")
	var list apiserver.Connections
	require.NoError(t, json.Unmarshal([]byte(got.out), &list), got.errOut)
	require.NotEmpty(t, list.Connections)
	for _, c := range list.Connections {
		assert.Equal(t, "hv2", c.Host)
		assert.Equal(t, "db-1", c.Instance)
	}
	for flag, word := range map[string]string{"--instance": "db-9", "--group": "dbs", "--port": "tapx"} {
		got = ask("connections", flag, word)
		assert.Equal(t, 1, got.code, flag)
		assert.Contains(t, got.errOut, "there is no "+flag[2:]+" \""+word+"\"")
	}

	require.Eventually(t, func() bool {
		got = ask("top", "--group", "db")
		return strings.Contains(got.out, "db: ingress tcp 3306 from group web") && got.code == 0
	}, patience, 200*time.Millisecond)
	assert.Regexp(t, `HOST +PORT +INSTANCE`, got.out)
	assert.Regexp(t, `hv3 .*db-2`, got.out)
	assert.NotContains(t, got.out, "web-1", "it is of another group")
	f.watchesDenied()
	f.tenantSeesItsOwn()

	require.NoError(t, f.Reaches("web-1", "db-2", testnet.TCP(3306), testnet.IPv4))
	require.NoError(t, f.Machine("hv2").KillDaemon())
	for _, args := range [][]string{{"connections"}, {"top"}} {
		got = ask(args...)
		assert.Equal(t, 1, got.code, "it is not all: %v", args)
		assert.Contains(t, got.errOut, "host hv2 has not answered: ")
		assert.NotContains(t, got.errOut, "hv1")
		assert.Contains(t, got.out, "hv3", "the rest is shown: %v", args)
	}
	got = ask("top", "-o", "json")
	var counters apiserver.Counters
	require.NoError(t, json.Unmarshal([]byte(got.out), &counters))
	require.Len(t, counters.Missing, 1)
	assert.Equal(t, "hv2", counters.Missing[0].Host)
	assert.NotEmpty(t, counters.Rules)
}

// watchesDenied sees a packet that a host denies, as it is denied, and ends by Ctrl-C with 0.
func (f *apiFleet) watchesDenied() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := f.commanded(ctx, f.token, "watch", "--denied", "--to", "db-1")
	out, err := cmd.StdoutPipe()
	require.NoError(f.t, err)
	require.NoError(f.t, cmd.Start())
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for seen := false; !seen; {
		passes, err := f.Admits("client", "db-1", testnet.TCP(22), testnet.IPv4)
		require.NoError(f.t, err)
		require.False(f.t, passes)
		select {
		case line, isOpen := <-lines:
			require.True(f.t, isOpen, "the command has ended")
			require.Regexp(f.t, `^hv2  .*DENIED .*→ db-1 .*:22  at db-1, ingress: `, line)
			seen = true
		default: // the stream was not there yet
		}
	}
	require.NoError(f.t, cmd.Process.Signal(syscall.SIGINT))
	for range lines { // until it has ended
	}
	require.NoError(f.t, cmd.Wait())
	got := f.command(f.token, "watch", "--instance", "db-9")
	require.Equal(f.t, 1, got.code)
	require.Contains(f.t, got.errOut, `there is no instance "db-9" here`)
}

// tenantSeesItsOwn asks as somebody who has nothing: of others nothing is told, nor of hosts.
func (f *apiFleet) tenantSeesItsOwn() {
	f.t.Helper()
	made := f.command(f.token, "token", "create", "--role", "viewer", "--project", "acme")
	require.Equal(f.t, 0, made.code, made.errOut)
	tenant := strings.TrimSpace(made.out)
	for _, args := range [][]string{{"connections"}, {"top"}} {
		got := f.command(tenant, args...)
		require.Equal(f.t, 0, got.code, got.errOut)
		for _, foreign := range []string{"hv", "db", "web", "3306", "dropped"} {
			require.NotContains(f.t, got.out+got.errOut, foreign, "%v", args)
		}
	}
	got := f.command(tenant, "connections", "--instance", "db-1")
	other := f.command(tenant, "connections", "--instance", "no-1")
	require.Equal(f.t, 1, got.code)
	require.Equal(f.t, strings.ReplaceAll(other.errOut, "no-1", "db-1"), got.errOut)
}
