package policydb

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// member is one server of a cluster, or a relay of it.
type member struct {
	t        testing.TB
	dir      string
	database string // what is served
	endpoint string
	cmd      *exec.Cmd
}

// cluster is so many servers of one policy database, with an election timer of a second.
func cluster(t testing.TB, n int) []*member {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcl") // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	schema := filepath.Join(dir, "schema")
	require.NoError(t, os.WriteFile(schema, Schema, 0o600))
	all := make([]*member, n)
	first := ""
	for at := range all {
		m := newMember(t, dir, fmt.Sprint("s", at))
		address := "tcp:" + freeAddress(t)
		if at == 0 {
			first = address
			m.tool("create-cluster", m.database, schema, address)
		} else {
			m.tool("join-cluster", m.database, Name, address, first)
		}
		all[at] = m
		m.start()
		m.await()
	}
	return all
}

func newMember(t testing.TB, dir, name string) *member {
	m := &member{t: t, dir: filepath.Join(dir, name)}
	require.NoError(t, os.Mkdir(m.dir, 0o700))
	m.database, m.endpoint = m.dir+"/db", "unix:"+m.dir+"/sock"
	return m
}

// relayOf is a relay of a member.
func relayOf(source *member) *member {
	m := newMember(source.t, source.dir, "relay")
	m.database = "relay:" + Name + ":" + source.endpoint
	m.start()
	m.await()
	return m
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (m *member) tool(args ...string) {
	m.t.Helper()
	out, err := exec.Command("ovsdb-tool", args...).CombinedOutput()
	require.NoError(m.t, err, "%s", out)
}

// start runs the server until kill, or the test ends.
func (m *member) start() {
	m.t.Helper()
	m.cmd = exec.Command("ovsdb-server", "--remote=p"+m.endpoint, "--unixctl="+m.dir+"/ctl",
		"--log-file="+m.dir+"/log", m.database)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(m.t, m.cmd.Start())
	m.t.Cleanup(m.kill)
}

func (m *member) kill() {
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

func (m *member) hang() { require.NoError(m.t, m.cmd.Process.Signal(syscall.SIGSTOP)) }

func (m *member) goOn() { require.NoError(m.t, m.cmd.Process.Signal(syscall.SIGCONT)) }

// await waits until the server serves.
func (m *member) await() {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return exec.CommandContext(ctx, "ovsdb-client", "-t", "1", "dump", m.endpoint, Name,
			"Global").Run() == nil
	}, patience, 20*time.Millisecond)
}

// transact is what somebody else writes, with the stock tool.
func (m *member) transact(operation string) {
	m.t.Helper()
	out, err := exec.Command("ovsdb-client", "-t", "20", "transact", m.endpoint,
		fmt.Sprintf(`["%s",%s]`, Name, operation)).CombinedOutput()
	require.NoError(m.t, err, "%s", out)
	require.NotContains(m.t, string(out), "error")
}

// endpoints names some of them.
func endpoints(members ...*member) string {
	var out []string
	for _, m := range members {
		out = append(out, m.endpoint)
	}
	return strings.Join(out, ",")
}
