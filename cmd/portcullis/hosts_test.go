package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// hostPolicy has instances of two hosts, and none that is on every host.
var hostPolicy = strings.Replace(goodPolicy, "{name: web-2, groups",
	"{name: web-2, host: hv1, groups", 1)

func TestCheckWarnsOfAHostWithoutInstances(t *testing.T) {
	for _, c := range []struct{ host, policy, want string }{
		{"hv1", hostPolicy, ""},
		{"hv1.example.com", hostPolicy,
			`no instance is on this host, which is "hv1.example.com": the policy names "hv1", "hv2"; is it "hv1"?`},
		{"HV1", hostPolicy, `is it "hv1"?`},
		{"hv1", strings.ReplaceAll(hostPolicy, "host: hv1", "host: hv1.example.com"),
			`is it "hv1.example.com"?`},
		{"hv3", hostPolicy,
			`no instance is on this host, which is "hv3": the policy names "hv1", "hv2"`},
		{"hv1.example.com", goodPolicy,
			`only instances without a host are on this host, which is "hv1.example.com"; is it "hv1"?`},
		{"hv3", goodPolicy, ""}, // has web-2, as every host
		{"hv3", "groups: []", ""},
	} {
		settings := site(t, c.policy)
		text, err := os.ReadFile(settings)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(settings, []byte(strings.Replace(string(text), "host: hv1",
			"host: "+c.host, 1)), 0o600))
		got := call(t, "check", "--config", settings)
		require.Equal(t, 0, got.code, got.errOut)
		if c.want == "" {
			require.Empty(t, got.errOut, c.host)
			continue
		}
		require.Contains(t, got.errOut, "warning: ")
		require.Contains(t, got.errOut, c.want)
		if c.host == "hv3" {
			require.NotContains(t, got.errOut, "is it", "hv1 is not a slip of hv3")
		}
	}
}

// setHost has the next start know another host; "" = the hostname.
func (d *process) setHost(host string) {
	d.t.Helper()
	text, err := os.ReadFile(d.settings)
	require.NoError(d.t, err)
	lines := strings.Split(string(text), "\n")
	lines[0] = "host: \"" + host + "\""
	require.NoError(d.t, os.WriteFile(d.settings, []byte(strings.Join(lines, "\n")), 0o600))
}

// awaitStatus waits until the daemon's status is as it should be.
func (d *process) awaitStatus(ok func(*api.Status) bool) *api.Status {
	d.t.Helper()
	status := &api.Status{}
	require.Eventually(d.t, func() bool {
		got := call(d.t, "status", "-o", "json", "--config", d.settings)
		return json.Unmarshal([]byte(got.out), status) == nil && ok(status)
	}, generous, 50*time.Millisecond, d.log.Name())
	return status
}

// A host whose name is another one does not lose its ports without a word: plan says before the
// restart who would, status says it after, and a name that nobody has set takes nothing away.
func TestHostOfAnotherName(t *testing.T) {
	d := newDaemon(t)
	d.writePolicy(hostPolicy)
	d.ready()
	require.Len(t, d.settled().Ports, 2)
	held := d.flows()
	plan := func() answer { return call(t, "plan", "--config", d.settings) }
	require.Equal(t, 0, plan().code)

	d.setHost("hv1.example.com")
	got := plan()
	require.Equal(t, 3, got.code, got.errOut)
	require.Contains(t, got.errOut, `is it "hv1"?`)
	require.Contains(t, got.out, "not those that the daemon was started with (host)")
	require.Contains(t, got.out,
		"this host loses ports, which pass nothing from then on: tap1 of web-1, tap2 of web-2\n")
	require.NotContains(t, got.out, "nobody gains or loses")
	require.NotContains(t, got.out, "a start takes no port away")
	d.setHost("hv2")
	require.Contains(t, plan().out, "the flows have no port tap3")

	d.setHost("")
	got = plan()
	require.Equal(t, 3, got.code, got.errOut)
	require.Contains(t, got.out, "a start takes no port away")
	d.stop(os.Interrupt)
	d.start()
	hostname, err := os.Hostname()
	require.NoError(t, err)
	status := d.awaitStatus(func(s *api.Status) bool {
		return strings.Contains(s.Error, "nothing is taken away")
	})
	require.Equal(t, agent.StateStarting, status.State)
	require.Contains(t, status.Error,
		`of instances that it has on host "hv1" (2, such as tap1 of web-1)`)
	require.Contains(t, d.said(), "nothing is taken away")
	require.Equal(t, held, d.flows())
	require.Contains(t, d.vs.Vsctl("list-ports", "br-int"), "tap1")
	d.writePolicy(strings.ReplaceAll(hostPolicy, "host: hv1", "host: "+hostname))
	require.Len(t, d.settled().Ports, 2, "it needs no restart when the policy knows this host")
	require.Equal(t, held, d.flows())

	d.stop(os.Interrupt)
	d.writePolicy(hostPolicy)
	d.setHost("hv1.example.com")
	d.ready()
	status = d.awaitStatus(func(s *api.Status) bool { return s.State == agent.StateInSync })
	require.Empty(t, status.Ports, "who sets the name has said what is to be")
	require.Contains(t, strings.Join(status.Warnings, "\n"), `is it "hv1"?`)
	require.NotContains(t, d.vs.Vsctl("list-ports", "br-int"), "tap1")
	text := call(t, "status", "--config", d.settings).out
	require.Less(t, strings.Index(text, "no instance is on this host"),
		strings.Index(text, "bridge:"), "trouble first")
	d.stop(os.Interrupt)
}
