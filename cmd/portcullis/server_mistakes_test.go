package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every mistake in how a server is named, or who asks it, is told with a way out, by commands that
// read, that write and that gather what hosts know; it ends with 1, and programs are told it as
// JSON.
func TestMistakesAtAServerAreToldWithAWayOut(t *testing.T) {
	s := newServer(t)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	_, operator := s.token("--role", "operator")
	goneID, gone := s.token("--role", "operator")
	s.must(operator, "token", "revoke", goneID)
	_, over := s.token("--role", "operator", "--expires", "1s")
	require.Eventually(t, func() bool { return s.get(over, "/v1/whoami").code == 401 }, generous,
		10*time.Millisecond)
	t.Setenv("PORTCULLIS_SERVER", "")
	t.Setenv("PORTCULLIS_TOKEN", "")
	down := "http://127.0.0.1:1"
	const login = "does not take this token: it is not known there, has expired or was revoked"
	for _, c := range []struct {
		name  string
		flags []string
		want  string
	}{
		{"no token", []string{"--server", s.url}, "give --token"},
		{"expired", []string{"--server", s.url, "--token", over}, login},
		{"revoked", []string{"--server", s.url, "--token", gone}, login},
		{"no such token", []string{"--server", s.url, "--token", "secret"}, login},
		{"down", []string{"--server", down, "--token", operator}, "is 'portcullis serve' running there?"},
		{"no such context", []string{"--context", "prod"}, `there is no context "prod"; there are none: ` +
			"add one with 'portcullis context add NAME --server URL --token TOKEN'"},
		{"two servers", []string{"--context", "prod", "--server", s.url}, "give one"},
		{"no scheme", []string{"--server", "policy.example.org"}, "must be https://HOST"},
		{"a path", []string{"--server", s.url + "/v1?x=1"}, "alone"},
		{"in the open", []string{"--server", "http://policy.example.org"}, "must be https"},
		{"no such authority", []string{"--server", s.url, "--server-ca", "/none.pem"}, "/none.pem"},
	} {
		for _, command := range [][]string{{"group", "list"}, {"group", "add", "web"}, {"top"},
			{"watch"}, {"history"}} {
			got := call(t, append(command, c.flags...)...)
			assert.Equal(t, 1, got.code, "%s: %v", c.name, command)
			assert.Contains(t, got.errOut, c.want, "%s: %v", c.name, command)
			assert.Empty(t, got.out, "%s: %v", c.name, command)
		}
		got := call(t, append([]string{"connections", "-o", "json"}, c.flags...)...)
		assert.Contains(t, got.out, `"error": `, c.name)
	}
	assert.NotContains(t, s.must(operator, "group", "list").out, "web", "nothing was written")
}

// Who waits for a server that says nothing can leave at any time, and --timeout is kept.
func TestASlowServerHoldsNobody(t *testing.T) {
	asked := make(chan struct{}) // a question that has no answer has come
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/whoami" {
			_, _ = w.Write([]byte(`{"name":"x","how":"token","role":"viewer"}`))
			return
		}
		select {
		case asked <- struct{}{}:
		default: // nobody waits for that
		}
		<-req.Context().Done()
	}))
	defer slow.Close()
	began := time.Now()
	got := call(t, "connections", "--server", slow.URL, "--timeout", "200ms")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.errOut, "the API server gave no answer within 200ms; --timeout waits longer")
	assert.Less(t, time.Since(began), generous)
	for _, args := range [][]string{{"group", "list"}, {"top"}, {"watch"}} {
		cmd := exec.Command(command, append(args, "--server", slow.URL)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		select {
		case <-asked:
		case <-time.After(generous):
			t.Errorf("%v: it has asked for nothing", args)
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		began := time.Now()
		_ = cmd.Wait()
		assert.Less(t, time.Since(began), 5*time.Second, "%v", args)
		assert.NotContains(t, out.String(), "panic")
	}
}

// The shell completes names as the server has them, for flags and for arguments; of a server that
// does not answer there is nothing to offer, and nothing of files instead.
func TestCompletionAtAServer(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		<-req.Context().Done()
	}))
	defer silent.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/whoami" {
			_, _ = w.Write([]byte(`{"name":"x","how":"token","role":"viewer"}`))
			return
		}
		<-req.Context().Done()
	}))
	defer slow.Close()
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	s.must(operator, "group", "add", "frontend", "--description", "the web")
	s.must(operator, "instance", "add", "web-1", "--group", "frontend", "--port",
		"name=tap1,mac=02:00:00:00:00:11")
	for args, want := range map[string]string{"group show ": "frontend\tthe web", "rule list ": "frontend",
		"instance show ": "web-1\tfrontend", "port show ": "tap1", "connections --group ": "frontend",
		"connections --instance ": "web-1", "top --port ": "tap1", "watch --from ": "web-1"} {
		words := strings.Split(args, " ")
		got := s.call(operator, append([]string{"__complete"}, words...)...)
		assert.Contains(t, got.out, want, args)
		urls := []string{"http://127.0.0.1:1"}
		if want == "frontend" { // an argument, and a flag
			urls = append(urls, slow.URL, silent.URL)
		}
		for _, url := range urls {
			began := time.Now()
			got = call(t, append([]string{"__complete", words[0], "--server", url}, words[1:]...)...)
			assert.NotContains(t, got.out, want, args)
			assert.Less(t, time.Since(began), 3*time.Second, "%s: the shell waits for it", args)
		}
	}
}

// A protocol that is none is refused once, in words, and not by each host, which are not asked; a
// name in capitals and a number are asked for.
func TestNoProtocolAtAServer(t *testing.T) {
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	s.must(operator, "instance", "add", "web-1", "--host", "hv1", "--port",
		"name=tap1,mac=02:00:00:00:00:11")
	for _, command := range []string{"connections", "watch"} {
		got := s.call(operator, command, "--protocol", "nonsense")
		assert.Equal(t, 1, got.code, command)
		assert.Equal(t, 1, strings.Count(got.errOut, `there is no protocol "nonsense"`), got.errOut)
		assert.Contains(t, got.errOut, "such as tcp")
		assert.NotContains(t, got.out+got.errOut, "hv1", command)
	}
	for _, path := range []string{"connections", "watch", "denied"} {
		got := s.ask(operator, http.MethodGet, "/v1/"+path+"?protocol=256", "")
		assert.Equal(t, http.StatusBadRequest, got.code, path)
	}
	for _, word := range []string{"TCP", "47"} {
		got := s.call(operator, "connections", "--protocol", word)
		assert.Contains(t, got.out+got.errOut, "hv1", word)
	}
}
