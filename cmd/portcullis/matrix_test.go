package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/matrix"
)

// The command matrix, as a user meets it.

const matrixPolicy = `groups:
  - name: web
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: 22, group: admin}
  - name: db
    rules:
      - {direction: ingress, protocol: tcp, ports: 3306, group: web}
      - {direction: ingress, protocol: tcp, ports: 9100, group: legacy}
      - {direction: egress, protocol: udp, ports: 53, cidr: 192.0.2.0/24}
  - name: admin
  - name: legacy
instances:
  - {name: web-1, groups: [web, admin], ports: [{name: tap1, mac: "02:00:00:00:00:11", addresses: [203.0.113.11, "2001:db8::11"]}]}
  - {name: web-2, groups: [web], ports: [{name: tap2, mac: "02:00:00:00:00:12", addresses: [203.0.113.12, "2001:db8::12"]}]}
  - {name: db-1, groups: [db], ports: [{name: tap3, mac: "02:00:00:00:00:13", addresses: [203.0.113.13, "2001:db8::13"]}]}
`

func TestMatrix(t *testing.T) {
	settings := site(t, matrixPolicy)
	got := call(t, "matrix", "--config", settings)
	require.Equal(t, 0, got.code, got.errOut)
	require.Equal(t, `FROM \ TO  web             db        admin          outside  192.0.2.0/24
web        tcp/80 (IPv4),  tcp/3306  tcp/80 (IPv4)  any      any
           tcp/22 of some
db         -               -         -              -        udp/53
admin      tcp/22,         tcp/3306  -              any      any
           tcp/80 (IPv4)
outside    tcp/80 (IPv4)   -         tcp/80 (IPv4)  -        -
`, got.out[:strings.Index(got.out, "\n\n")+1])
	require.Contains(t, got.out, "no instance is in: legacy\n")
	require.Contains(t, got.out, "of some: not between all of their members")
}

func TestMatrixOfOneService(t *testing.T) {
	settings := site(t, matrixPolicy)
	got := call(t, "matrix", "--config", settings, "--service", "mysql")
	require.Contains(t, got.out, "\nweb        tcp/3306")
	require.NotContains(t, got.out, "tcp/80")
	got = call(t, "matrix", "--config", settings, "--service", "tcp/4444", "--to", "db")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "nobody reaches anybody\n")
	got = call(t, "matrix", "--config", settings, "--service", "80")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, "tcp/80")
}

// A policy that is named needs no settings.
func TestMatrixOfInstances(t *testing.T) {
	bare(t)
	policy := strings.TrimSuffix(site(t, matrixPolicy), "portcullis.yaml") + "policy.yaml"
	args := []string{"matrix", "--policy", policy, "--instances"}
	got := call(t, append(args, "-o", "csv")...)
	require.Equal(t, 0, got.code, got.errOut)
	lines, err := csv.NewReader(strings.NewReader(got.out)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"from", "to", "service", "of"}, lines[0])
	require.Contains(t, lines, []string{"web-1", "web-2", "tcp/22", "all"})
	require.Contains(t, lines, []string{"web-1", "db-1", "tcp/3306", "all"})
	require.Contains(t, lines, []string{"outside", "web-2", "tcp/80 (IPv4)", "all"})
	require.NotContains(t, lines, []string{"web-2", "web-1", "tcp/22", "all"},
		"web-2 is no admin")
	got = call(t, append(args, "--from", "admin", "--to", "web")...)
	require.Equal(t, "FROM \\ TO  web-2\nweb-1      tcp/22,\n           tcp/80 (IPv4)\n",
		got.out)
	got = call(t, append(args, "--to", "bd")...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `there is no group and no network "bd"; did you mean "db"?`)
}

func TestMatrixAsJSON(t *testing.T) {
	got := call(t, "matrix", "--config", site(t, matrixPolicy), "-o", "json")
	require.Equal(t, 0, got.code, got.errOut)
	var answer matrix.Answer
	require.NoError(t, json.Unmarshal([]byte(got.out), &answer))
	require.Contains(t, answer.Cells, matrix.Row{From: "web", To: "db",
		Services: []string{"tcp/3306"}})
	lacks := map[string]string{}
	for _, a := range answer.Arrows {
		require.Contains(t, a.Rules[0].At, "policy.yaml:")
		lacks[a.From+" "+a.To] = a.Lacks
	}
	require.Equal(t, map[string]string{"outside web": "", "admin web": "", "web db": "",
		"legacy db": "no instance of group legacy has an address", "db 192.0.2.0/24": ""}, lacks)
}

// More instances than a matrix holds are an error that says how to narrow it.
func TestMatrixOfTooManyInstances(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n  - name: few\n  - name: all\ninstances:\n")
	for n := range 1001 {
		groups := "all"
		if n == 7 {
			groups = "all, few"
		}
		fmt.Fprintf(&b, "  - {name: i%d, groups: [%s], ports: [{name: p%d, mac: \"02:00:00:00:%02x:%02x\", addresses: [10.0.%d.%d]}]}\n",
			n, groups, n, n>>8, n&255, n>>8, n&255)
	}
	settings := site(t, b.String())
	got := call(t, "matrix", "--config", settings, "--instances")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "1001 x 1001 instances are too many")
	require.Contains(t, got.errOut, "--from GROUP")
	got = call(t, "matrix", "--config", settings, "--instances", "--from", "few", "-o", "csv")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "i7,outside,any,all\n")
	require.NotContains(t, got.out, "i8,")
}

// Named networks, and everybody outside, are ends as groups are.
func TestMatrixOfNetworks(t *testing.T) {
	settings := site(t, "networks: {office: [198.51.100.0/24, \"2001:db8:ff::/48\"]}\n"+
		strings.Replace(matrixPolicy, "- {direction: ingress, protocol: tcp, ports: 22, group: admin}",
			"- {direction: ingress, protocol: tcp, ports: [22, 8000-8999], cidr: [office, 192.0.2.9/32]}", 1))
	got := call(t, "matrix", "--config", settings, "--from", "office")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "office     tcp/22, ")
	require.NotContains(t, got.out, "outside ")
	got = call(t, "matrix", "--config", settings, "--instances", "--from", "outside", "-o", "csv")
	require.Equal(t, "from,to,service,of\noutside,web-1,tcp/80 (IPv4),all\n"+
		"outside,web-2,tcp/80 (IPv4),all\n", got.out)
	got = call(t, "matrix", "--config", settings, "-o", "svg")
	for _, row := range []string{">from office: tcp/22, tcp/8000-8999<",
		">from 192.0.2.9: tcp/22, tcp/8000-8999<", ">2 networks<"} {
		require.Contains(t, got.out, row)
	}
	got = call(t, "matrix", "--config", settings, "--from", "ofice")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `did you mean "office"?`)
}

// docs/pictures has what the command draws of the example policy; with -update, it is written.
func TestPictures(t *testing.T) {
	const folder = "../../docs/pictures"
	got := call(t, "matrix", "--config", "../../docs/examples/portcullis.yaml", "-o", "svg")
	require.Equal(t, 0, got.code, got.errOut)
	file := filepath.Join(folder, "example.svg")
	if *update {
		require.NoError(t, os.MkdirAll(folder, 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got.out), 0o644))
	}
	is, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, got.out, string(is), "%s is stale; go generate ./cmd/portcullis", file)
}

func TestMatrixAsPictures(t *testing.T) {
	nasty := strings.ReplaceAll(matrixPolicy, "legacy", `"<script>alert(1)</script>"`)
	settings := site(t, nasty)
	for format, want := range map[string][]string{
		"svg":  {">from web: tcp/3306<", "&lt;script&gt;alert(1)&lt;/script&gt;"},
		"html": {"tcp/3306", "policy.yaml:8:9", "&lt;script&gt;alert(1)"},
		"dot":  {"digraph", `label="tcp/3306"`, `label="<script>alert(1)</script>`}} {
		got := call(t, "matrix", "--config", settings, "-o", format)
		require.Equal(t, 0, got.code, got.errOut)
		for _, text := range want {
			require.Contains(t, got.out, text, format)
		}
	}
	got := call(t, "matrix", "--config", settings, "-o", "svg", "--instances")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, "--group")
	got = call(t, "matrix", "--config", settings, "-o", "png")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, "table, json, csv, svg, html, dot")
}

// One group alone, with what it has to do with.
func TestMatrixAroundAGroup(t *testing.T) {
	settings := site(t, matrixPolicy)
	got := call(t, "matrix", "--config", settings, "--group", "db", "-o", "svg")
	require.Contains(t, got.out, ">from web: tcp/3306<")
	require.NotContains(t, got.out, ">from admin: tcp/22<")
	require.NotContains(t, got.out, ">admin<")
	got = call(t, "matrix", "--config", settings, "--group", "db")
	require.Contains(t, got.out, "\nweb        tcp/3306")
	require.NotContains(t, got.out, "tcp/22")
	got = call(t, "matrix", "--config", settings, "--group", "wbe")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `did you mean "web"?`)
}

// A daemon answers about its files as they are now; without one, and of a policy that is named, the
// files are read, and tell of their mistakes.
func TestMatrixOfTheDaemon(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	matrix := func(args ...string) answer {
		return call(t, append([]string{"matrix", "--config", d.settings, "-o", "csv"}, args...)...)
	}
	got := matrix()
	require.Equal(t, answer{0, "from,to,service,of\nweb,web,tcp/80 (IPv4),all\nweb,outside,any,all\n" +
		"outside,web,tcp/80 (IPv4),all\n", ""}, got)
	require.Equal(t, 1, matrix("--from", "wbe").code)
	require.Contains(t, matrix("--from", "wbe").errOut, `did you mean "web"?`)

	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: 81", 1))
	require.Contains(t, matrix().out, "outside,web,tcp/81 (IPv4),all\n")
	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: x", 1))
	require.Equal(t, 1, matrix().code)
	require.Contains(t, matrix().errOut, "policy.yaml:4:")
	require.Contains(t, matrix("--policy", newPolicy(t, strings.Replace(goodPolicy, "ports: 80",
		"ports: 8080", 1))).out, "outside,web,tcp/8080 (IPv4),all\n")
	d.stop(os.Interrupt)
	require.Equal(t, 1, matrix().code, "the files are not valid")
	d.writePolicy(goodPolicy)
	require.Equal(t, got, matrix())
}
