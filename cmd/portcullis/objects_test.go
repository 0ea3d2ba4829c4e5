package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// does calls a verb on a database, which has to succeed.
func (d *database) does(line string, more ...string) string {
	d.t.Helper()
	got := call(d.t, append(append(strings.Fields(line), more...), "--db", d.endpoint)...)
	require.Equal(d.t, 0, got.code, "%s: %s", line, got.errOut)
	return got.out
}

// refuses calls a verb that has to be refused.
func (d *database) refuses(want, line string, more ...string) {
	d.t.Helper()
	got := call(d.t, append(append(strings.Fields(line), more...), "--db", d.endpoint)...)
	require.Equal(d.t, 1, got.code, "%s: %s", line, got.out)
	require.Contains(d.t, got.errOut, want, line)
}

// A policy made by single verbs is the one that a file says.
func TestVerbsMakeAPolicy(t *testing.T) {
	db := newDatabase(t)
	db.does("group add web --description", "the front")
	db.does("group add backend --external-source 192.0.2.0/24 --external-source 2001:db8::/64")
	db.does("group add offices --network --external-source 198.51.100.0/24")
	db.does("rule add web ingress tcp 80, 443 from 0.0.0.0/0, ::/0 --description", "to all")
	db.does("rule add backend", "ingress tcp mysql from group web, network offices")
	db.does("rule add web ingress icmp type echo-request code 0 from offices")
	db.does("instance add web-1 --host hv1 --group web --port",
		"name=tap1,mac=02:00:00:00:00:11,address=203.0.113.11,address=2001:db8::11")
	db.does("instance add db-1 --group backend --port", "name=tap2,mac=02:00:00:00:00:12")
	db.does("port add web-1 tap1b --mac 02:00:00:00:00:13 --address 203.0.113.13 --ethertype 0x88cc " +
		"--limit connections=500 --log-denied")
	db.does("port set tap2 --address 203.0.113.12 --allowed", "203.0.113.99 00:00:5e:00:01:05")
	db.does("instance move db-1 --to hv2")
	const want = `networks:
  offices: ["198.51.100.0/24"]
groups:
  - name: backend
    external_sources: ["192.0.2.0/24", "2001:db8::/64"]
    rules:
      - {direction: ingress, protocol: tcp, ports: 3306, cidr: offices, group: web}
  - name: web
    description: "the front"
    rules:
      - {direction: ingress, protocol: icmp, icmp_type: 8, icmp_code: 0, cidr: offices}
      - {direction: ingress, protocol: tcp, ports: [80, 443], cidr: ["0.0.0.0/0", "::/0"], description: "to all"}
instances:
  - name: db-1
    host: hv2
    groups: [backend]
    ports:
      - name: tap2
        mac: 02:00:00:00:00:12
        addresses: ["203.0.113.12"]
        allowed_addresses: [{address: "203.0.113.99", mac: 00:00:5e:00:01:05}]
  - name: web-1
    host: hv1
    groups: [web]
    ports:
      - name: tap1
        mac: 02:00:00:00:00:11
        addresses: ["203.0.113.11", "2001:db8::11"]
      - name: tap1b
        mac: 02:00:00:00:00:13
        addresses: ["203.0.113.13"]
        ethertypes: [0x88cc]
        limits: {connections: 500}
        log_denied: true
`
	require.Equal(t, want, call(t, "export", "--db", db.endpoint).out)
	require.Contains(t, db.apply(want, "--prune").out, "unchanged: generation 11")
}

// Verbs change and take away what others made, and tell what that means before.
func TestVerbsChangeAPolicy(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	planned := db.does("rule add web ingress tcp 22 from 198.51.100.0/24 --dry-run")
	require.Contains(t, planned, "may now be reached from 198.51.100.0/24 by tcp 22")
	require.Contains(t, planned, "nothing was written: generation 1 stays; 1 would gain, 0 lose")
	require.NotContains(t, db.does("rule list"), "198.51.100.0/24")

	var listed []struct {
		ID    uint32
		Words string
	}
	require.NoError(t, json.Unmarshal([]byte(db.does("rule list web -o json")), &listed))
	require.Equal(t, "ingress tcp 80 from 0.0.0.0/0", listed[0].Words)
	id := strings.Fields(strings.Split(db.does("rule list"), "\n")[1])[0]
	require.Contains(t, db.does("rule show "+id), "ingress tcp 80 from 0.0.0.0/0")
	db.does("rule set "+id+" --description", "open")
	require.Contains(t, db.does("rule show "+id), "open", "the words are the same, and so is the ID")
	db.does("rule set " + id + " ingress tcp 8080 from 0.0.0.0/0")
	require.Contains(t, db.does("rule list"), "tcp 8080")
	db.does("rule remove web ingress tcp 8080 from 0.0.0.0/0")

	db.does("group add admin")
	db.does("instance set web-1 --join admin --leave web")
	require.Contains(t, db.does("instance show web-1"), "admin")
	db.does("instance move web-1 --to hv2 --live")
	require.Contains(t, db.does("instance list"), "MOVING TO")
	require.Contains(t, db.does("host show hv2"), "web-1")
	db.does("instance move web-1 --finish")
	db.does("host drain hv2 --to hv1 --wait --timeout 0s -o json", "--dry-run")
	require.Contains(t, db.does("host drain hv2 --to hv1"), "generation ")
	require.Contains(t, db.does("host remove hv2"), "host hv2 is forgotten")
	db.does("port remove web-2/tap2 --dry-run --help")
	db.does("instance remove web-2")
	db.does("project add acme --description", "a customer")
	db.does("group add acme/web --project acme")
	require.Contains(t, db.does("project list"), "a customer")
	require.Contains(t, db.does("project show acme"), "acme/web")
	db.does("group remove acme/web")
	db.does("project remove acme")
	require.Contains(t, call(t, "history", "--db", db.endpoint).out, "project remove acme")
}

// What is refused names the object, why, and the way out.
func TestVerbsRefuse(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy+"projects: [{name: acme}, {name: other}]\n").code)
	for line, want := range map[string]string{
		"group remove web": `group "web": 3 instances are in it; take out first: web-1, web-2, web-3`,
		"group add web":    `group "web": there is one of this name already`,
		"group show wbe":   `group "wbe": there is none of this name; did you mean "web"?`,
		"group set web --external-source 1.2.3.4":    `group "web": external_sources`,
		"rule add web ingress tcp from 0.0.0.0/0":    "tcp needs ports, such as 80",
		"rule add web ingress tpc 80 from ::/0":      `did you mean "tcp"?`,
		"rule add web ingress tcp 80 to ::/0":        "ingress is from somebody; write it as",
		"rule add web ingress tcp 80":                "write it as ingress tcp 80 from 0.0.0.0/0",
		"rule add web ingress tcp 80 from group":     "the name of the group is missing",
		"rule add web ingress tcp 81 from group wbe": `there is no group "wbe"; did you mean "web"?`,
		"rule add web ingress tcp 80 from 0.0.0.0/0": "it has this rule already",
		"rule remove 1":                         `rule "1": there is none of this ID; 'portcullis rule list'`,
		"instance add x":                        `instance "x": it needs a port`,
		"instance add x --port tap9":            `"tap9" is no KEY=VALUE`,
		"instance add x --port name=tap9":       `port of instance "x": a port needs a mac`,
		"instance move web-1":                   "say where: --to HOST",
		"instance move web-1 --to hv1":          `it is on the host "hv1" already`,
		"instance move web-1 --abort":           "it is not moving",
		"instance set web-1":                    "say what: --group, --join or --leave",
		"port remove tap1":                      "it is the only one of the instance \"web-1\"; remove that",
		"port set tap1 --mac 02:00:00:00:00:12": "is the MAC of the port",
		"port set tap1 --address 203.0.113.300": `port "tap1": addresses`,
		"port add web-1 tap9 --mac 02:00:00:00:00:19 --limit connections=no": `port "tap9": limits`,
		"host remove hv1":                    `host "hv1": 1 instance is on it: web-1; move them first: drain`,
		"host drain hv9":                     `host "hv9": no instance is on it`,
		"project add a/b":                    "the name of a project has no slash",
		"group add other/web --project acme": `"other/web" is not of the project "acme"`,
		"group add x --confirm 1ms":          "--confirm 1ms: want a time from 1s",
	} {
		db.refuses(want, line)
	}
	db.does("group add acme/web --project acme")
	db.does("instance add acme/1 --project acme --host hv9 --port",
		"name=tap1,mac=02:00:00:00:00:21,address=203.0.113.21")
	db.refuses("203.0.113.11 is taken", "port set acme/1/tap1 --project acme --address 203.0.113.11")
	db.refuses(`belongs to the port "tap1" already`, "port set acme/1/tap1 --address 203.0.113.11")
	db.refuses("project \"acme\": it is not empty; remove first: group \"acme/web\", instance \"acme/1\"",
		"project remove acme")
	settings := site(t, goodPolicy)
	files := call(t, "group", "remove", "web", "--config", settings)
	require.Equal(t, 1, files.code)
	require.Contains(t, files.errOut, "a policy in files is changed by changing the files")
	require.Contains(t, call(t, "group", "list", "--config", settings).out, "web")
	require.Equal(t, 2, call(t, "instance", "move", "web-1", "--live", "--abort").code)
	require.Contains(t, call(t, "group", "lst").errOut, `did you mean "list"?`)
}

// Names are completed of the database that is named.
func TestCompletionOfObjects(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	for line, want := range map[string]string{
		"instance show": "web-1\tweb\nweb-2\tweb\nweb-3\tweb\n:4\n",
		"group remove":  "web\n:4\n",
		"host drain":    "hv1\nhv2\n:4\n",
		"port set":      "tap1\tweb-1\ntap2\tweb-2\ntap3\tweb-3\n:4\n",
		"rule add":      "web\n:4\n",
	} {
		words := append([]string{"__complete"}, strings.Fields(line)...)
		require.Equal(t, want, call(t, append(words, "--db", db.endpoint, "")...).out, line)
	}
}

// On a terminal the plan is shown and asked about; who says no has changed nothing.
func TestAChangeIsAskedAbout(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	s := newScreen(t, 120, 30)
	const line = "rule add web ingress tcp 22 from 198.51.100.0/24"
	words := append(strings.Fields(line), "--db", db.endpoint)
	asked := func(text string) bool {
		return strings.Contains(text, "by tcp 22") &&
			strings.Contains(text, "1 gain, 0 lose. Change generation 1? [y/N]")
	}
	s.runs(words...)
	s.until(asked)
	s.types("n", "Enter")
	s.until(func(text string) bool {
		return strings.Contains(text, "nothing was written: generation 1 stays")
	})
	require.False(t, db.holds("ports: 22"))
	s.runs(words...)
	s.until(asked)
	db.does("group add meanwhile")
	s.types("y", "Enter")
	s.until(func(text string) bool { return strings.Contains(text, "generation 3: 1 gained, 0 lost") })
	require.True(t, db.holds("ports: 22"))
	s.runs(append(words, "--yes")...)
	s.until(func(text string) bool { return strings.Contains(text, "it has this rule already") })
}
