package policyfile

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// TestPolicyOfDesign reads a policy with every key and pins what becomes of each.
func TestPolicyOfDesign(t *testing.T) {
	p, warnings, err := parseOne(`groups:
  - name: Frontend
    description: public web servers
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
      - direction: egress
        protocol: icmp
        icmp_type: 8
        icmp_code: 0
        group: Frontend
        description: ping
  - {name: backend, external_sources: [198.51.100.0/24]}
instances:
  - name: web-1
    host: hv1
    groups: [Frontend, backend]
    ports:
      - name: tap-web-1
        mac: 02:00:00:00:00:11
        addresses: [203.0.113.11, 2001:db8::11, 203.0.114.0/28]
        allowed_addresses: [203.0.113.200, {address: 203.0.113.201, mac: 00:00:5E:00:01:05}, {address: 203.0.113.202, mac: 02:00:00:00:00:11}]
        type: internal
        trusted: true
        ethertypes: [0x88cc, 35021]
  - name: web-2
`)
	require.NoError(t, err)
	require.Empty(t, warnings)
	at := func(line, column int) policy.Position {
		return policy.Position{File: "p.yaml", Line: line, Column: column}
	}
	require.Equal(t, &policy.Policy{
		Groups: []*policy.Group{
			{Name: "Frontend", Description: "public web servers", At: at(2, 5),
				Rules: []policy.Rule{
					{Direction: policy.Ingress, Protocol: policy.TCP,
						Ports: []policy.PortRange{{First: 80, Last: 80}}, ICMPType: policy.AnyICMP,
						ICMPCode: policy.AnyICMP, Peers: []policy.Peer{
							{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}, At: at(5, 9)},
					{Direction: policy.Egress, Protocol: policy.ICMP, ICMPType: 8, ICMPCode: 0,
						Peers:       []policy.Peer{{Group: "Frontend"}},
						Description: "ping", At: at(6, 9)},
				}},
			{Name: "backend", ExternalSources: configtest.Prefixes("198.51.100.0/24"),
				At: at(12, 5)},
		},
		Instances: []*policy.Instance{
			{Name: "web-1", Host: "hv1", Groups: []string{"Frontend", "backend"}, At: at(14, 5),
				Ports: []policy.Port{{
					Name: "tap-web-1", MAC: policy.MAC{2, 0, 0, 0, 0, 0x11},
					Addresses: configtest.Prefixes("203.0.113.11/32", "2001:db8::11/128",
						"203.0.114.0/28"),
					Allowed: []policy.AllowedAddress{
						{Prefix: netip.MustParsePrefix("203.0.113.200/32")},
						{Prefix: netip.MustParsePrefix("203.0.113.201/32"),
							MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}},
						{Prefix: netip.MustParsePrefix("203.0.113.202/32")}},
					Type: policy.InternalDevice, Trusted: true, EtherTypes: []uint16{0x88cc, 35021},
					At: at(18, 9),
				}}},
			{Name: "web-2", At: at(25, 5)},
		},
	}, p)
}

func TestRuleServices(t *testing.T) {
	for fields, want := range map[string]string{
		"protocol: tcp, ports: 80":                         "tcp 80",
		`protocol: tcp, ports: "80"`:                       "tcp 80",
		"protocol: udp, ports: 1-65535":                    "udp 1-65535",
		"protocol: 132, ports: 7-9":                        "sctp 7-9",
		`protocol: "6", ports: "7-7"`:                      "tcp 7",
		"protocol: icmp":                                   "icmp",
		"protocol: 1, icmp_type: -1":                       "icmp",
		"protocol: icmp, icmp_type: -1, icmp_code: -1":     "icmp",
		"protocol: icmp, icmp_type: 8":                     "icmp type 8",
		"protocol: icmpv6, icmp_type: 255, icmp_code: 255": "icmpv6 type 255 code 255",
		"protocol: icmp, icmp_type: 0, icmp_code: 0":       "icmp type 0 code 0",
		"protocol: esp":                                    "esp",
		"protocol: 51":                                     "ah",
		"protocol: gre":                                    "gre",
		"protocol: ipip":                                   "ipip",
		"protocol: 0":                                      "0",
		"protocol: 255":                                    "255",
		"protocol: any":                                    "any",
	} {
		t.Run(fields, func(t *testing.T) {
			p, warnings, err := parseOne(configtest.Rule(fields +
				", direction: ingress, group: db"))
			require.NoError(t, err)
			require.Empty(t, warnings)
			require.Equal(t, "ingress "+want+" from group db", p.Groups[0].Rules[0].String())
		})
	}
}

func TestPolicyAccepted(t *testing.T) {
	a := "name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1, '2001:db8::1']"
	for name, text := range map[string]string{
		"empty lists":     "groups: []\ninstances: []\n",
		"empty mapping":   "{}",
		"document marker": "---\ngroups: []\n",
		"tabs between values": "groups:\t# a\tcomment\n- name:\ta\t# a comment\n  " +
			"description:\t'x'\n",
		"brackets in block text": "groups:\n- name: a [b], {c}\n  description: |\n    " +
			"text: in a block, [\n",
		"text in quotes on two lines": "groups:\n- name: 'a\n    b'\n",
		"CRLF":                        "groups:\r\n  - name: a\r\n    rules: []\r\n",
		"block description": "groups:\n  - name: a\n    description: >\n      one\n   " +
			"   line\n",
		"longest names": "groups: [{name: " + strings.Repeat("ü", 255) +
			"}]\ninstances: [{name: " + strings.Repeat("x", 255) + "}]",
		"a word of YAML 1.1":          "groups: [{name: yes}, {name: NO}, {name: 'true'}]",
		"group before its definition": "instances: [{name: a, groups: [g]}]\ngroups: [{name: g}]",
		"interface of 15 bytes": configtest.Ports(
			"name: tap-12345678901, mac: 02:00:00:00:00:01, trusted: true"),
		"one interface on two hosts": configtest.Ports(a+"@h1",
			"name: a, mac: 02:00:00:00:00:0b, trusted: true@h2"),
		"own link-local, written": configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: ['fe80::ff:fe00:a', '2001:db8::1']"),
		"link-local without IPv6": configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1]",
			"name: b, mac: 02:00:00:00:00:0b, addresses: ['fe80::ff:fe00:a']"),
		"shared allowed MAC": configtest.Ports(
			a+", allowed_addresses: [{address: 192.0.2.9, mac: 00:00:5e:00:01:05}]",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.2], allowed_addresses: "+
				"[{address: 192.0.2.9, mac: 00:00:5e:00:01:05}]"),
		"networks side by side": configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.0/25]",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.128/25]"),
		"networks within, of one port": configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.0/24, 192.0.2.1]"),
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := parseOne(text)
			require.NoError(t, err)
			require.Empty(t, warnings)
		})
	}
}

func TestWarnings(t *testing.T) {
	a := "name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1]"
	for _, c := range []configtest.Refusal{
		{Name: "host bits of a peer", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §10.0.0.7/24"), Want: []string{
			"groups[0].rules[0].cidr: 10.0.0.7/24 has host bits; taken as 10.0.0.0/24"}},
		{Name: "host bits of a source",
			Yaml: "groups: [{name: a, external_sources: [§'2001:db8::1/64']}]", Want: []string{
				"groups[0].external_sources[0]: 2001:db8::1/64 has host bits; taken as 2001:db8::/64"}},
		{Name: "the same rule",
			Yaml: "groups:\n- name: a\n  rules:\n  - {direction: ingress, protocol: 6, ports: " +
				"80, cidr: 10.0.0.0/8, description: x}\n" +
				"  - {direction: egress, protocol: 6, ports: 80, cidr: 10.0.0.0/8}\n" +
				"  - §{protocol: tcp, cidr: 10.0.0.0/8, direction: ingress, ports: 80-80}",
			Want: []string{
				"groups[0].rules[2]: the same rule is in line 4 already: ingress tcp 80 from " +
					"10.0.0.0/8"}},
		{Name: "the same rule of lists",
			Yaml: "groups:\n- name: a\n  rules:\n  - {direction: ingress, protocol: tcp, ports: " +
				"[80, https, 81], group: a, cidr: ['10.0.0.0/8', '::/0']}\n" +
				"  - §{direction: ingress, protocol: tcp, ports: [443, 80-81], group: [a], " +
				"cidr: ['::/0', '10.0.0.0/8']}\n",
			Want: []string{"groups[0].rules[1]: the same rule is in line 4 already: ingress tcp " +
				"80-81, 443 from 10.0.0.0/8, ::/0, group a"}},
		{Name: "the same port", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [ssh, 80, §22], group: db"),
			Want: []string{"groups[0].rules[0].ports[2]: 22 is in this list twice"}},
		{Name: "ports that overlap", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [80-90, 100, §85-95], group: db"),
			Want: []string{"groups[0].rules[0].ports[2]: 85-95 and 80-90, which is in this list, " +
				"too, have ports in common"}},
		{Name: "the same peer", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, group: [db, §db]"),
			Want: []string{"groups[0].rules[0].group[1]: group db is in this list twice"}},
		{Name: "networks that overlap", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: [§10.1.0.0/16, '::/0', 10.0.0.0/8]"),
			Want: []string{"groups[0].rules[0].cidr[0]: 10.1.0.0/16 is within 10.0.0.0/8, which " +
				"is in this list, too"}},
		{Name: "a network that icmp is never of", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, cidr: §[10.0.0.0/8, '::/0']"),
			Want: []string{"groups[0].rules[0].cidr: ::/0 is of the other IP version than icmp: " +
				"nobody of it is admitted"}},
		{Name: "the same network of a name", Yaml: "networks: {a: ['::/0', §'::/0']}",
			Want: []string{"networks.a[1]: ::/0 is in this list twice"}},
		{Name: "the same source",
			Yaml: "groups: [{name: a, external_sources: [10.0.0.0/8, §10.0.0.0/8]}]",
			Want: []string{
				"groups[0].external_sources[1]: 10.0.0.0/8 is in this list twice"}},
		{Name: "the same group",
			Yaml: "groups: [{name: a}]\ninstances: [{name: i, groups: [a, §a]}]",
			Want: []string{"instances[0].groups[1]: a is in this list twice"}},
		{Name: "the same address", Yaml: configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1, §192.0.2.1/32]"),
			Want: []string{
				"instances[0].ports[0].addresses[1]: 192.0.2.1/32 is in this list twice"}},
		{Name: "the same allowed address", Yaml: configtest.Ports(a +
			", allowed_addresses: [192.0.2.2, §{address: 192.0.2.2, mac: 02:00:00:00:00:0a}]"),
			Want: []string{
				"instances[0].ports[0].allowed_addresses[1]: {192.0.2.2/32 … is in this list twice"}},
		{Name: "the same ethertype", Yaml: configtest.Ports(a + ", ethertypes: [0x88cc, §35020]"),
			Want: []string{"instances[0].ports[0].ethertypes[1]: 35020 is in this list twice"}},
		{Name: "no addresses",
			Yaml: "instances: [{name: i, ports: [§{name: a, mac: 02:00:00:00:00:01}]}]",
			Want: []string{"instances[0].ports[0]: the port has no addresses"}},
		{Name: "empty addresses",
			Yaml: "instances: [{name: i, ports: [§{name: a, mac: 02:00:00:00:00:01, addresses: " +
				"[]}]}]", Want: []string{"instances[0].ports[0]: the port has no"}},
		{Name: "another's address", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.2], allowed_addresses: "+
				"[192.0.2.3, §192.0.2.1]"), Want: []string{
			`instances[1].ports[0].allowed_addresses[1]: 192.0.2.1 is allowed here, but 192.0.2.1 is the port "a"'s own, at p.yaml:3:`}},
		{Name: "another's address within", Yaml: configtest.Ports(a+"@h1",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.2], allowed_addresses: "+
				"[§192.0.2.0/24]@h2"), Want: []string{
			`instances[1].ports[0].allowed_addresses[0]: 192.0.2.0/24 is allowed here, but 192.0.2.1 is the port "a"'s`}},
		{Name: "another's address around", Yaml: configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.0/24]",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.3.2], allowed_addresses: "+
				"[§192.0.2.7]"), Want: []string{
			`instances[1].ports[0].allowed_addresses[0]: 192.0.2.7 is allowed here, but 192.0.2.0/24 is the port "a"'s`}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			text, at := configtest.Marked("p.yaml", c.Yaml)
			_, warnings, err := parseOne(text)
			require.NoError(t, err)
			require.Len(t, warnings, len(c.Want), "%v", warnings)
			for i, w := range warnings {
				assert.Equal(t, at[i], w.At, "%v", w)
				configtest.RequireParts(t, w.Field+": "+w.Message, c.Want[i])
			}
		})
	}
}

func TestRepetitionsAreDropped(t *testing.T) {
	p, _, err := parseOne(
		"groups: [{name: a, external_sources: [10.0.0.0/8, 10.1.1.1/8]}]\ninstances: [{name: i, " +
			"groups: [a, a]}]")
	require.NoError(t, err)
	require.Equal(t, configtest.Prefixes("10.0.0.0/8"), p.Groups[0].ExternalSources)
	require.Equal(t, []string{"a"}, p.Instances[0].Groups)
}

// largePolicy has one port per instance, five instances per group, two rules per group.
func largePolicy(ports int) string {
	var b strings.Builder
	b.WriteString("groups:\n")
	for i := range ports / 5 {
		fmt.Fprintf(&b,
			"  - name: g%d\n    rules:\n      - {direction: ingress, protocol: tcp, ports: 80, "+
				"cidr: 0.0.0.0/0}\n"+
				"      - {direction: ingress, protocol: tcp, ports: 1-65535, group: g%d}\n", i,
			(i+1)%(ports/5))
	}
	b.WriteString("instances:\n")
	for i := range ports {
		fmt.Fprintf(&b,
			"  - name: i%d\n    host: hv%d\n    groups: [g%d]\n    ports:\n      - name: tap%d\n "+
				"       mac: 02:00:00:%02x:%02x:%02x\n"+
				"        addresses: [10.%d.%d.%d, 2001:db8::%x:%x]\n", i, i%100, i/5, i, i>>16,
			i>>8&255, i&255, i>>16, i>>8&255, i&255, i>>16, i&0xffff)
	}
	return b.String()
}

// The bounds are loose: they are to notice what grows with the square of the policy. Parsing a file
// of 20,000 lines takes about 0.25 s on a 2 GHz core, joining 50,000 ports about 0.3 s.
func TestSpeed(t *testing.T) {
	text := largePolicy(2500)
	require.Greater(t, strings.Count(text, "\n"), 19000)
	began := time.Now()
	fragment := ParseFragment(strictyaml.File{Name: "p.yaml", Data: []byte(text)})
	assert.Less(t, time.Since(began), configtest.Hangs)
	_, _, err := Join([]*Fragment{fragment})
	require.NoError(t, err)
}

func BenchmarkParse(b *testing.B) {
	text := []byte(largePolicy(2500))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		ParseFragment(strictyaml.File{Name: "p.yaml", Data: text})
	}
}
