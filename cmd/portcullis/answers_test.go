package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// passedOn is settings like those of a daemon, but that its API is at another socket, which passes
// all on to it and counts how often it is asked.
func passedOn(t *testing.T, d *process) (settings string, asked *atomic.Int32) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	asked = &atomic.Int32{}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", d.vs.Dir+"/api.sock")
			if err != nil {
				_ = client.Close()
				continue
			}
			asked.Add(1)
			go func() { _, _ = io.Copy(server, client) }()
			go func() { _, _ = io.Copy(client, server); _ = client.Close(); _ = server.Close() }()
		}
	}()
	text, err := os.ReadFile(d.settings)
	require.NoError(t, err)
	settings = filepath.Join(filepath.Dir(d.settings), "passed.yaml")
	changed := strings.Replace(string(text), d.vs.Dir+"/api.sock", path, 1)
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(settings, []byte(changed), 0o600))
	return settings, asked
}

// What a daemon answers from its memory is what the files answer without one, word by word.
func TestDaemonAnswersAsTheFilesDo(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	settings, asked := passedOn(t, d)
	questions := []string{"198.51.100.7 web-1 tcp/80", "198.51.100.7 web-1 tcp/81", "web-2 web-1 any",
		"web-2 web-3 http", "any web-1 tcp", "web-1 any", "web web-1 http", "outside web http",
		"web-1 outside", "web-1 dhcp", "web-1 web-2 arp", "web-1 web-2 tcp/80 --via router",
		"wbe-1 web-2 http", "web-1 web-2 htpp", "web-1 web-9 any", "web dhcp"}
	ask := func() map[string]answer {
		out := map[string]answer{}
		for _, q := range questions {
			for _, format := range []string{"table", "json"} {
				out[q+" as "+format] = call(t, append([]string{"explain", "--config", settings, "-o",
					format}, strings.Fields(q)...)...)
			}
		}
		return out
	}
	fromMemory := ask()
	require.GreaterOrEqual(t, asked.Load(), int32(2*12), "the daemon was asked")
	text := strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)
	d.writePolicy(text)
	got := call(t, "explain", "--config", settings, "198.51.100.7", "web-1", "tcp/8080")
	require.Equal(t, 0, got.code, "the answer is about what the files say now: "+got.out+got.errOut)
	d.writePolicy(goodPolicy)
	d.settled()
	before := asked.Load()
	d.writePolicy("groups: 3\n")
	got = call(t, "explain", "--config", settings, "198.51.100.7", "web-1", "tcp/80")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "policy.yaml:1:9", "files that are not valid are told of")
	require.Greater(t, asked.Load(), before)
	d.writePolicy(goodPolicy)
	d.stop(os.Interrupt)
	before = asked.Load()
	fromFiles := ask()
	require.Equal(t, before, asked.Load())
	for q, want := range fromFiles {
		require.Equal(t, want, fromMemory[q], q)
	}
}
