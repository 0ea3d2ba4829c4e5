package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mistake is something that people write, and what check says of it: all of it, and nothing else.
type mistake struct {
	name     string
	policy   string // "" = goodPolicy
	settings string // further settings
	want     []string
}

// oneGroup is a group with one rule.
func oneGroup(rule string) string {
	return "groups:\n  - name: web\n    rules:\n      - {" + rule + "}\n"
}

// onePort is an instance with one port.
func onePort(port string) string {
	return "groups: []\ninstances:\n  - {name: i, host: hv1, ports: [{" + port + "}]}\n"
}

const (
	tcp80  = "direction: ingress, protocol: tcp, ports: 80, "
	anyOne = "direction: ingress, protocol: any, "
)

// mistakesOfForm are of what a file is made of.
var mistakesOfForm = []mistake{
	{name: "tab", policy: "groups:\n\t- name: web\n", want: []string{
		"policy.yaml:2:1: not valid YAML: a tab cannot indent; write spaces"}},
	{name: "colon forgotten", policy: "groups:\n  - name web\n    rules: []\n", want: []string{
		"policy.yaml:2:5: not valid YAML: a colon is missing; is it name: web?"}},
	{name: "a space too deep", policy: "groups:\n  - name: web\n     rules: []\n", want: []string{
		"policy.yaml:3:6: not valid YAML: rules is indented by 5, the key before it by 4; write " +
			"keys of one mapping one below the other"}},
	{name: "bracket forgotten", policy: "groups:\n  - name: web\n    rules:\n      - {" + anyOne +
		"group: web\n      - {" + anyOne + "group: web}\n", want: []string{
		"policy.yaml:4:9: not valid YAML: this { is not closed at the end of its line"}},
	{name: "key twice", policy: "groups: []\ngroups: []\n", want: []string{
		`policy.yaml:2:1: groups: the key "groups" is here twice; the first is in line 1`}},
	{name: "groups as a mapping", policy: "groups:\n  web:\n    rules: []\n", want: []string{
		`policy.yaml:2:3: groups: must be a list, each entry begun by "- name: …", not a mapping`}},
	{name: "empty file", policy: "", want: []string{
		"policy.yaml:1:1: the file has no content; an empty policy is written as groups: []"}},
	{name: "anchor", policy: "groups:\n  - &a\n    name: web\n", want: []string{
		"policy.yaml:2:5: anchors (&name) are not accepted; write the value itself"}},
	{name: "envelope", policy: "apiVersion: v1\nkind: Policy\ngroups: []\n", want: []string{
		`policy.yaml:1:1: unknown key "apiVersion"; known are projects, networks, groups, instances`,
		`policy.yaml:2:1: unknown key "kind"; known are projects, networks, groups, instances`}},
	{name: "Latin-1", policy: "groups:\n  - name: caf\xe9\n", want: []string{
		"policy.yaml:2:14: byte 21 is not UTF-8; a file must be UTF-8 text"}},
	{name: "byte order mark", policy: "\ufeffgroups: []\n", want: []string{
		"policy.yaml:1:1: the file begins with a byte order mark; save it as UTF-8 without one"}},
	{name: "the settings", policy: "bridge: br-int\npolicy: policy.yaml\n", want: []string{
		`policy.yaml:1:1: unknown key "bridge"; it is of the settings (portcullis.yaml), not of ` +
			"a policy file",
		`policy.yaml:2:1: unknown key "policy"; it is of the settings (portcullis.yaml), not of ` +
			"a policy file"}},
}

// mistakesOfRules are of rules.
var mistakesOfRules = []mistake{
	{name: "direction in", policy: oneGroup("direction: in, protocol: any, group: web"),
		want: []string{"policy.yaml:4:21: groups[0].rules[0].direction: must be ingress (to the " +
			`instance) or egress (from it), not the text "in"`}},
	{name: "list of protocols", policy: oneGroup("direction: ingress, protocol: [tcp, udp], " +
		"ports: 53, group: web"), want: []string{"policy.yaml:4:40: groups[0].rules[0].protocol: " +
		"must be one of tcp, udp, sctp, icmp, icmpv6, esp, ah, gre, ipip, any, or a number from " +
		"0 to 255, not a list; write one rule for each"}},
	{name: "ports in one text", policy: oneGroup("direction: ingress, protocol: tcp, ports: " +
		`"80,443", group: web`), want: []string{
		`policy.yaml:4:52: groups[0].rules[0].ports: is "80,443"; must be a port, a range such as ` +
			"8000-8999, or a service such as https; write several as a list: [80, 443]"}},
	{name: "a service misspelt", policy: oneGroup("direction: ingress, protocol: tcp, " +
		"ports: htpt, group: web"), want: []string{
		`policy.yaml:4:52: groups[0].rules[0].ports: is "htpt"; must be a port, a range such as ` +
			`8000-8999, or a service such as https; did you mean "http"?`}},
	{name: "range with a colon", policy: oneGroup("direction: ingress, protocol: tcp, " +
		"ports: 8000:8999, group: web"), want: []string{
		`policy.yaml:4:52: groups[0].rules[0].ports: is "8000:8999"; must be a port, a range ` +
			"such as 8000-8999, or a service such as https; write the range 8000-8999"}},
	{name: "port too high", policy: oneGroup("direction: ingress, protocol: tcp, ports: 70000, " +
		"group: web"), want: []string{
		"policy.yaml:4:52: groups[0].rules[0].ports: is 70000; ports are from 1 to 65535"}},
	{name: "range backwards", policy: oneGroup("direction: ingress, protocol: tcp, ports: 90-80, " +
		"group: web"), want: []string{"policy.yaml:4:52: groups[0].rules[0].ports: is 90-80, " +
		"which begins after its end; write 80-90"}},
	{name: "any network", policy: oneGroup(tcp80 + "cidr: any"), want: []string{
		`policy.yaml:4:62: groups[0].rules[0].cidr: is "any"; write 0.0.0.0/0 for all of IPv4, ` +
			`::/0 for all of IPv6, or ["0.0.0.0/0", "::/0"] for both`}},
	{name: "no length", policy: oneGroup(tcp80 + "cidr: 10.0.0.1"), want: []string{
		`policy.yaml:4:62: groups[0].rules[0].cidr: is "10.0.0.1" without a length; write ` +
			"10.0.0.1/32 for this one address"}},
	{name: "too large an octet", policy: oneGroup(tcp80 + "cidr: 10.0.0.300/24"), want: []string{
		`policy.yaml:4:62: groups[0].rules[0].cidr: is "10.0.0.300/24"; must be a network such ` +
			"as 192.0.2.0/24 or 2001:db8::/64; 300 is more than 255"}},
	{name: "mask", policy: oneGroup(tcp80 + "cidr: 10.0.0.0/255.255.255.0"), want: []string{
		`policy.yaml:4:62: groups[0].rules[0].cidr: is "10.0.0.0/255.255.255.0"; must be a ` +
			"network such as 192.0.2.0/24 or 2001:db8::/64; write 10.0.0.0/24"}},
	{name: "range of addresses", policy: oneGroup(tcp80 + "cidr: 10.0.0.2-10.0.0.5"),
		want: []string{`policy.yaml:4:62: groups[0].rules[0].cidr: is "10.0.0.2-10.0.0.5"; must ` +
			"be a network such as 192.0.2.0/24 or 2001:db8::/64; write the networks that make up " +
			`the range: ["10.0.0.2/31", "10.0.0.4/31"]`}},
	{name: "star", policy: oneGroup(tcp80 + "cidr: 10.0.*"), want: []string{
		`policy.yaml:4:62: groups[0].rules[0].cidr: is "10.0.*"; must be a network such as ` +
			"192.0.2.0/24 or 2001:db8::/64; write 10.0.0.0/16"}},
	{name: "deny", policy: oneGroup(tcp80 + "group: web, action: deny"), want: []string{
		`policy.yaml:4:68: groups[0].rules[0]: unknown key "action"; rules only admit, in any ` +
			"order; what no rule admits is denied"}},
	{name: "source", policy: oneGroup(tcp80 + "source: 10.0.0.0/8"), want: []string{
		"policy.yaml:4:9: groups[0].rules[0]: a rule needs a peer: cidr (0.0.0.0/0 is all of " +
			"IPv4, ::/0 all of IPv6) or group",
		`policy.yaml:4:56: groups[0].rules[0]: unknown key "source"; whom a rule is about is its ` +
			"cidr or group"}},
	{name: "icmp of IPv6", policy: oneGroup("direction: ingress, protocol: icmp, cidr: ::/0"),
		want: []string{"policy.yaml:4:52: groups[0].rules[0].cidr: ::/0 is IPv6, but icmp is of " +
			"IPv4; write protocol icmpv6"}},
	{name: "type misspelt", policy: oneGroup("direction: ingress, protocol: icmp, icmp_type: " +
		"echo-reqest, group: web"), want: []string{
		`policy.yaml:4:57: groups[0].rules[0].icmp_type: is "echo-reqest"; must be a number from ` +
			"-1 to 255, or one of echo-reply, destination-unreachable, redirect, echo-request, " +
			"time-exceeded, parameter-problem, timestamp-request, timestamp-reply; did you mean " +
			`"echo-request"?`}},
	{name: "an instance as a group", policy: oneGroup(tcp80+"group: web-1") +
		"instances:\n  - {name: web-1, host: hv1}\n", want: []string{
		`policy.yaml:4:63: groups[0].rules[0].group: there is no group "web-1"; it is an ` +
			"instance: name a group that it is in, or write its address as cidr"}},
	{name: "a group in capitals", policy: oneGroup(tcp80 + "group: Web"), want: []string{
		`policy.yaml:4:63: groups[0].rules[0].group: there is no group "Web"; did you mean "web"?`}},
	{name: "group twice", policy: "groups:\n  - name: web\n  - name: web\n", want: []string{
		`policy.yaml:3:11: groups[1].name: the group "web" is defined twice; the first is at ` +
			"policy.yaml:2:11"}},
	{name: "unknown network", policy: "networks: {offices: 10.0.0.0/8}\n" +
		oneGroup(tcp80+"cidr: ofices"), want: []string{
		`policy.yaml:5:62: groups[0].rules[0].cidr: there is no network "ofices"; did you mean ` +
			`"offices"?`}},
}

// rightInTheEnd is what was a mistake once, and is what people mean.
var rightInTheEnd = []string{
	oneGroup("direction: ingress, protocol: TCP, ports: 80, group: web"),
	oneGroup("direction: ingress, protocol: tcp, ports: [80, 443], group: web"),
	oneGroup("direction: ingress, protocol: tcp, ports: http, group: web"),
	oneGroup(tcp80 + "cidr: [10.0.0.0/8, 192.0.2.0/24]"),
	oneGroup("direction: ingress, protocol: ipv6-icmp, icmp_type: echo-request, group: web"),
	onePort("name: t, mac: 02-00-00-00-00-01, addresses: [192.0.2.1]"),
	onePort("name: t, mac: 0200.0000.0001, addresses: [192.0.2.1]"),
}

// mistakesOfPorts are of instances and their ports.
var mistakesOfPorts = []mistake{
	{name: "multicast MAC", policy: onePort("name: t, mac: 03:00:00:00:00:01, addresses: [10.0.0.1]"),
		want: []string{"policy.yaml:3:49: instances[0].ports[0].mac: is 03:00:00:00:00:01, a " +
			"multicast MAC (its first byte is odd), which no interface has"}},
	{name: "no MAC", policy: onePort("name: t, mac: 1g, addresses: [10.0.0.1]"), want: []string{
		`policy.yaml:3:49: instances[0].ports[0].mac: is "1g"; must be six bytes, such as ` +
			"02:00:00:00:00:11"}},
	{name: "MAC left out", policy: onePort("name: t, addresses: [10.0.0.1]"), want: []string{
		"policy.yaml:3:34: instances[0].ports[0]: a port needs a mac, such as 02:00:00:00:00:11"}},
	{name: "MAC and address twice", policy: "instances:\n" +
		"  - {name: a, host: hv1, ports: [{name: t, mac: 02:00:00:00:00:01, addresses: [10.0.0.1]}]}\n" +
		"  - {name: b, host: hv1, ports: [{name: u, mac: 02:00:00:00:00:01, addresses: [10.0.0.1]}]}\n",
		want: []string{
			`policy.yaml:3:49: instances[1].ports[0].mac: 02:00:00:00:00:01 is the MAC of the ` +
				`port "t" already, at policy.yaml:2:49`,
			`policy.yaml:3:80: instances[1].ports[0].addresses[0]: 10.0.0.1 belongs to the port "t" ` +
				"already, at policy.yaml:2:80"}},
	{name: "address with a mask", policy: onePort("name: t, mac: 02:00:00:00:00:01, " +
		"addresses: [192.0.2.11/24]"), want: []string{
		`policy.yaml:3:80: instances[0].ports[0].addresses[0]: is "192.0.2.11/24", an address ` +
			"with a netmask; write 192.0.2.11 for the one address, or 192.0.2.0/24 for all of " +
			"the network"}},
	{name: "long name", policy: onePort("name: tap-of-20-letters---, " +
		"mac: 02:00:00:00:00:01, addresses: [10.0.0.1]"), want: []string{
		`policy.yaml:3:41: instances[0].ports[0].name: is "tap-of-20-letters---" of 20 bytes; ` +
			"the name of an interface has at most 15"}},
	{name: "name with a slash", policy: onePort("name: tap/1, mac: 02:00:00:00:00:01, " +
		"addresses: [10.0.0.1]"), want: []string{
		`policy.yaml:3:41: instances[0].ports[0].name: is "tap/1"; the name of an interface has ` +
			"no '/'"}},
	{name: "key of another", policy: onePort("name: t, mac: 02:00:00:00:00:01, ip: 10.0.0.1"),
		want: []string{`policy.yaml:3:68: instances[0].ports[0]: unknown key "ip"; did you mean ` +
			`"addresses"?`}},
	{name: "uplink as a port", policy: onePort("name: eth1, mac: 02:00:00:00:00:01, " +
		"addresses: [10.0.0.1]"), want: []string{
		`policy.yaml:3:34: the port "eth1" is an uplink in the settings; it cannot be an instance's`}},
	{name: "gateway's address", settings: "gateways: [10.0.0.1]", policy: onePort(
		"name: t, mac: 02:00:00:00:00:01, addresses: [10.0.0.1]"), want: []string{
		`policy.yaml:3:34: the port "t" may use 10.0.0.1, but the settings list 10.0.0.1 as a ` +
			"gateway; give it networks without that, or set trusted: true if it is the gateway"}},
}

// mistakesOfSettings are of the settings; those of a test stand behind seven others.
var mistakesOfSettings = []mistake{
	{name: "brige", settings: "brige: br-int", want: []string{
		`portcullis.yaml:8:1: unknown key "brige"; did you mean "bridge"?`}},
	{name: "long bridge", settings: "bridge: br-of-23-bytes--------", want: []string{
		`portcullis.yaml:8:9: bridge: is "br-of-23-bytes--------" of 22 bytes; the name of an ` +
			"interface has at most 15"}},
	{name: "no list of gateways", settings: "gateways: 10.0.0.1", want: []string{
		`portcullis.yaml:8:11: gateways: must be a list, such as [a, b], not the text "10.0.0.1"`}},
	{name: "kernel", settings: "datapath_type: kernel", want: []string{
		`portcullis.yaml:8:16: datapath_type: is "kernel"; must be one of "", "system", ` +
			`"netdev"; the kernel's is "system", as when it is left out`}},
	{name: "log level", settings: "log: {level: loud, format: xml}", want: []string{
		`portcullis.yaml:8:14: log.level: is "loud"; must be one of "trace", "debug", "info", ` +
			`"warn", "error"`,
		`portcullis.yaml:8:28: log.format: is "xml"; must be one of "text", "json"`}},
	{name: "limits", settings: "limits: {connections: -1, fragments_per_second: 10k}",
		want: []string{"portcullis.yaml:8:23: limits.connections: must be a decimal number from " +
			"0 to 10000000, not -1", "portcullis.yaml:8:49: limits.fragments_per_second: must be " +
			`a number from 0 to 10000000, not the text "10k"`}},
	{name: "gateway with a mask", settings: "gateways: [192.0.2.1/24, gw]", want: []string{
		`portcullis.yaml:8:12: gateways[0]: is "192.0.2.1/24"; must be an address such as ` +
			"192.0.2.1 or 2001:db8::1; write 192.0.2.1",
		`portcullis.yaml:8:26: gateways[1]: is "gw"; must be an address such as 192.0.2.1 or ` +
			"2001:db8::1"}},
	{name: "the policy", settings: "groups: []", want: []string{
		`portcullis.yaml:8:1: unknown key "groups"; it is of a policy file, not of the settings; ` +
			"the setting policy names that file"}},
}

// Every mistake that people were seen to make is told with its place and a way out, in these words.
func TestMistakesAreToldWithAWayOut(t *testing.T) {
	for _, list := range [][]mistake{mistakesOfForm, mistakesOfRules, mistakesOfPorts,
		mistakesOfSettings} {
		for _, m := range list {
			t.Run(m.name, func(t *testing.T) {
				text := m.policy
				if text == "" && m.settings != "" {
					text = goodPolicy
				}
				var extra []string
				if m.settings != "" {
					extra = append(extra, m.settings)
				}
				requireTold(t, site(t, text, extra...), m.want)
			})
		}
	}
}

// requireTold checks settings, and holds what is said against what should be, without the folder.
func requireTold(t *testing.T, settings string, want []string) {
	t.Helper()
	got := call(t, "check", "--config", settings)
	require.Equal(t, 1, got.code, "%s%s", got.out, got.errOut)
	said := strings.ReplaceAll(got.out+got.errOut, filepath.Dir(settings)+"/", "")
	for _, line := range want {
		require.Contains(t, said, line+"\n", "%s", said)
	}
	lines := 0
	for line := range strings.Lines(said) {
		if strings.Contains(line, ".yaml:") {
			lines++
		}
	}
	require.Equal(t, len(want), lines, "%s", said)
}

func TestWhatPeopleMeanIsAccepted(t *testing.T) {
	for _, text := range rightInTheEnd {
		got := call(t, "check", "--config", site(t, text))
		require.Equal(t, 0, got.code, "%s\n%s", text, got.errOut)
	}
}

// Where a port stands alone, the message says what it lacks, not that it is a number.
func TestMetricsPortAlone(t *testing.T) {
	settings := site(t, goodPolicy)
	data, err := os.ReadFile(settings)
	require.NoError(t, err)
	text := strings.Replace(string(data), `metrics: ""`, "metrics: 9477", 1)
	require.NoError(t, os.WriteFile(settings, []byte(text), 0o600))
	requireTold(t, settings, []string{"portcullis.yaml:4:10: metrics: is 9477, a port alone; " +
		"write 127.0.0.1:9477 for this host, or :9477 for every address"})
}
