package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newPolicy writes a policy that is not in force.
func newPolicy(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "new.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// What plan says is what happens: to the flows, to the epochs, to the words.
func TestPlan(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	plan := func(args ...string) answer {
		return call(t, append([]string{"plan", "--config", d.settings}, args...)...)
	}
	got := plan()
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Contains(t, got.out, "in sync: ")

	text := strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)
	next := newPolicy(t, text)
	got = plan("--policy", next)
	require.Equal(t, 3, got.code, got.errOut)
	require.Empty(t, got.errOut)
	require.Contains(t, got.out,
		"  group web (3 instances) loses ingress tcp 80 from 0.0.0.0/0\n      web: ingress tcp "+
			"80 from 0.0.0.0/0 (")
	require.Contains(t, got.out,
		"  group web (3 instances) gains ingress tcp 8080 from 0.0.0.0/0\n")
	require.Contains(t, got.out, "at 2 of this host's ports: tap1, tap2\n")
	require.Regexp(t, `\n1 access lost, 1 gained, 0 connections cut, \d+ flows come, \d+ go\n$`, got.out)
	require.Contains(t, plan("--policy", next, "--flows").out,
		"Table 52, ingress_rules: TCP over IPv4 judged for port tap1 of web-1, to port 8080: "+
			"admitted, by web: ")

	drawn := plan("--policy", next, "-o", "svg")
	require.Equal(t, 3, drawn.code, drawn.errOut)
	require.Contains(t, drawn.out, ">gained from outside: tcp/8080 (IPv4)<")
	require.Contains(t, drawn.out, ">lost from outside: tcp/80 (IPv4)<")
	require.NotContains(t, drawn.out, ">from outside")
	drawn = plan("--policy", next, "-o", "html")
	require.Contains(t, drawn.out, "What would change")
	require.Contains(t, drawn.out, "<td data-from=\"outside\" data-to=\"web\">"+
		"<span class=\"service\">tcp/8080 (IPv4)</span>")
	drawn = plan("-o", "svg")
	require.Equal(t, 0, drawn.code, "a picture of nothing")
	require.Contains(t, drawn.out, "nobody gains or loses access")
	require.Contains(t, drawn.out, ">from outside: tcp/80 (IPv4)<")
	require.NotContains(t, drawn.out, "class=\"arrow gained")
	require.Equal(t, 2, plan("-o", "xml").code)

	var p struct {
		Added   struct{ Count int } `json:"flows_added"`
		Removed struct{ Count int } `json:"flows_removed"`
		Cut     []string            `json:"judged_again"`
	}
	require.NoError(t, json.Unmarshal([]byte(plan("--policy", next, "-o", "json").out), &p))
	before := lineSet(d.flows())
	d.writePolicy(text)
	d.settled()
	after := lineSet(d.flows())
	require.Equal(t, lacking(after, before), p.Added.Count,
		"the daemon does what was planned, epochs included")
	replaced := lacking(before, after)
	require.LessOrEqual(t, p.Removed.Count, replaced)
	require.Equal(t, 0, plan().code, "what was planned is in force")
	require.Equal(t, 0, plan("--policy", next).code)

	dump := newPolicy(t, d.flows())
	got = plan("--dump", dump)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	require.Contains(t, plan("--dump", dump, "-o", "svg").errOut, "leave --dump out")
	d.stop(os.Interrupt)
	require.Contains(t, plan().errOut, "daemon does not answer")
	require.Equal(t, 1, plan().code)
	d.vs.Ofctl("del-flows", "br-int", "table=60")
	got = plan("--flows", "--dump", newPolicy(t, d.flows()))
	require.Equal(t, 3, got.code)
	require.Contains(t, got.out, "flows: 3 added, 0 removed\n")
	require.Contains(t, got.out,
		"    Table 60, output: every packet judged for port tap1 of web-1: sent out of port tap1 "+
			"of web-1.\n")
}

// A daemon that gives no answer is named, with what to do; the time is that of each answer.
func TestDaemonThatGivesNoAnswer(t *testing.T) {
	settings := site(t, goodPolicy)
	silent, err := net.Listen("unix", filepath.Join(filepath.Dir(settings), "api.sock"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	for _, command := range []string{"plan", "connections", "top", "explain web-1 web-2"} {
		args := append(strings.Fields(command), "--config", settings, "--timeout")
		got := call(t, append(args, "50ms")...)
		require.Equal(t, 1, got.code, command)
		require.Contains(t, got.errOut,
			"the daemon gave no answer within 50ms; --timeout waits longer\n", command)
		got = call(t, append(args, "0s")...)
		require.Equal(t, 2, got.code, command)
		require.Contains(t, got.errOut, "--timeout 0s", command)
	}
}

// A setting that was in force at the start is in sync, whatever it is; one that was changed since
// is named.
func TestPlanWithSettings(t *testing.T) {
	d := newDaemon(t)
	text, err := os.ReadFile(d.settings)
	require.NoError(t, err)
	all := string(text) +
		"log_denied: true\nlimits: {connections: 100, new_connections_per_second: 10, " +
		"arp_nd_dhcp_per_second: 10}\ngateways: [203.0.113.1]\ndhcp_servers: [203.0.113.2]\n"
	require.NoError(t, os.WriteFile(d.settings, []byte(all), 0o600))
	d.ready()
	d.settled()
	got := call(t, "plan", "--config", d.settings)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	for key, change := range map[string][2]string{
		"log_denied": {"log_denied: true", "log_denied: false"},
		"limits":     {"connections: 100", "connections: 200"},
		"gateways":   {"[203.0.113.1]", "[]"}, "dhcp_servers": {"[203.0.113.2]", "[203.0.113.3]"},
		"uplinks": {"[eth1]", "[eth1, eth2]"},
	} {
		require.NoError(t, os.WriteFile(d.settings, []byte(strings.Replace(all, change[0],
			change[1], 1)), 0o600))
		got = call(t, "plan", "--config", d.settings)
		require.Equal(t, 3, got.code, key+got.out+got.errOut)
		require.Contains(t, got.out, "not those that the daemon was started with ("+key+")")
	}
	d.stop(os.Interrupt)
}

func lineSet(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		out[strings.TrimSpace(line)] = true
	}
	return out
}

// lacking counts what is in a and not in b.
func lacking(a, b map[string]bool) (n int) {
	for line := range a {
		if !b[line] {
			n++
		}
	}
	return n
}

// One line stands for all the members of a group, however many.
func TestPlanGroupsInstances(t *testing.T) {
	var text strings.Builder
	text.WriteString("groups:\n  - name: web\n    rules:\n      - {direction: ingress, protocol: " +
		"tcp, ports: 80, cidr: 0.0.0.0/0}\n      - {direction: ingress, protocol: tcp, ports: " +
		"22, group: web}\ninstances:\n")
	for n := range 500 {
		fmt.Fprintf(&text,
			"  - {name: web-%03d, groups: [web], ports: [{name: tap%d, mac: "+
				"\"02:00:00:00:%02x:%02x\", addresses: [10.0.%d.%d]}]}\n", n, n, n/200, n%200, n/200, n%200)
	}
	settings := site(t, text.String())
	dump := newPolicy(t, call(t, "flows", "--config", settings).out)
	got := call(t, "plan", "--config", settings, "--dump", dump)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	next := newPolicy(t, strings.Replace(text.String(),
		"      - {direction: ingress, protocol: tcp, ports: 22, group: web}\n", "", 1))
	got = call(t, "plan", "--config", settings, "--dump", dump, "--policy", next, "--flows",
		"--limit", "3")
	require.Equal(t, 3, got.code)
	require.Less(t, strings.Count(got.out, "\n"), 20)
}

func TestPlanRefuses(t *testing.T) {
	settings := site(t, goodPolicy)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{2, `takes no argument "x"`, []string{"x"}},
		{2, "--limit -1", []string{"--limit", "-1"}},
		{1, "no such file", []string{"--policy", nowhere}},
		{1, "no such file", []string{"--dump", nowhere}},
		{1, "line 1: a line without actions", []string{"--dump",
			filepath.Join(filepath.Dir(settings), "policy.yaml")}},
		{1, "daemon does not answer", nil},
	} {
		got := call(t, append([]string{"plan", "--config", settings}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %s", c.args, got.errOut)
		require.Contains(t, got.errOut, c.says, c.args)
	}
}
