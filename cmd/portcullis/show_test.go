package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

const shownPolicy = `groups:
  - name: frontend
    description: web servers
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
  - name: backend
    rules:
      - {direction: ingress, protocol: tcp, ports: 3306, group: frontend}
      - {direction: ingress, protocol: tcp, ports: 22, cidr: 203.0.113.0/28}
  - {name: nobody, rules: []}
instances:
  - {name: web-1, host: hv1, groups: [frontend], ports: [{name: tap1, mac: "02:00:00:00:00:11", addresses: [203.0.113.11, "2001:db8::11"]}]}
  - {name: db-1, host: hv1, groups: [backend], ports: [{name: tap2, mac: "02:00:00:00:00:21", addresses: [203.0.113.21]}]}
  - {name: db-2, host: hv2, groups: [backend], ports: [{name: tap3, mac: "02:00:00:00:00:22", addresses: [203.0.113.22]}]}
`

// What an instance and a group have, and what is about them, is told of what is in force; without a
// daemon of the files, which is said.
func TestShow(t *testing.T) {
	d := newDaemon(t)
	d.writePolicy(shownPolicy)
	d.ready()
	d.settled()
	run := func(args ...string) string {
		t.Helper()
		got := call(t, append(args, "--config", d.settings)...)
		require.Equal(t, 0, got.code, got.errOut)
		require.Empty(t, got.errOut)
		return got.out
	}
	web := run("show", "instance", "web-1")
	for _, want := range []string{`instance: +web-1, on hv1, this host\n`, `groups: +frontend\n`,
		`tap1 +applied +203.0.113.11 2001:db8::11 +02:00:00:00:00:11 +0 `,
		`ITS RULES +ADMITTED +AT\nfrontend: ingress tcp 80 from 0.0.0.0/0 +0 +policy.yaml:5:9\n`,
		`RULES ABOUT IT +ADMITTED +AT\nbackend: ingress tcp 3306 from group frontend +0 +policy.` +
			`yaml:8:9\nbackend: ingress tcp 22 from 203.0.113.0/28 +0 +policy.yaml:9:9\n`} {
		require.Regexp(t, want, web)
	}
	backend := run("show", "group", "backend")
	for _, want := range []string{`db-1 +hv1 +backend +203.0.113.21 +tap2 +applied\n`,
		`db-2 +hv2 +backend +203.0.113.22 +tap3\n`, `rules about it: none\n`} {
		require.Regexp(t, want, backend)
	}
	require.Contains(t, run("show", "group", "nobody"), "no instance is in it")
	require.Regexp(t, `(?m)^frontend +1 +1 +1 +web servers +policy.yaml:2:`, run("list", "groups"))
	require.Regexp(t, `(?m)^nobody +0 +0 +0`, run("list", "groups"))
	require.Regexp(t, `(?m)^db-2 +hv2 +backend`, run("list", "instances"))
	require.Regexp(t, `(?m)^backend: ingress tcp 22 from \S+ +0 +policy`, run("list", "rules"))

	var view struct {
		Name   string
		Refers []struct{ Rule string } `json:"referred_by"`
		Ports  []struct{ State string }
	}
	require.NoError(t, json.Unmarshal([]byte(run("show", "instance", "web-1", "-o", "json")), &view))
	require.Equal(t, "web-1", view.Name)
	require.Len(t, view.Refers, 2)
	require.Equal(t, "applied", view.Ports[0].State)

	got := call(t, "show", "instance", "web-2", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `there is no instance "web-2"; did you mean "web-1"?`)
	require.Equal(t, 1, call(t, "show", "group", "web-1", "--config", d.settings).code)
	require.Equal(t, 2, call(t, "show", "instance", "--config", d.settings).code)
	d.stop(os.Interrupt)
	got = call(t, "show", "instance", "web-1", "--config", d.settings)
	require.Equal(t, 0, got.code)
	require.Contains(t, got.errOut, "note: of the files, not of what is in force")
	require.Contains(t, got.out, "203.0.113.11")
	require.NotContains(t, got.out, "applied")
}
