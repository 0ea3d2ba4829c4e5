package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type refusal struct {
	name string
	yaml string   // § where an error must be
	want []string // of each §: "field: message", its parts separated by " … "
}

func runRefusals(t *testing.T, cases []refusal) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text, at := marked("p.yaml", c.yaml)
			p, _, err := parseOne(text)
			requireErrors(t, err, at, c.want)
			require.Nil(t, p)
		})
	}
}

func TestDocumentRefused(t *testing.T) {
	runRefusals(t, []refusal{
		{"empty", "§", []string{": the file has no content; … groups: []"}},
		{"only comments", "§# nothing\n\n", []string{": the file has no content"}},
		{"only a marker", "§---\n", []string{": the file has no content"}},
		{"NUL", "§groups: []\x00", []string{": byte 10 is NUL"}},
		{"byte order mark", "§\ufeffgroups: []", []string{": the file begins with a byte order mark"}},
		{"two documents", "groups: []\n---\n§groups: []\n", []string{": a second document"}},
		{"a list", "§- groups", []string{": must be a mapping with the keys groups, instances, not a list"}},
		{"a text", "§groups", []string{`: must be a mapping … not the text "groups"`}},
		{"null", "§null", []string{": must be a mapping … not nothing"}},
		{"syntax", "groups: §[\ninstances: []", []string{": not valid YAML: "}},
		{"tab", "groups:\n§\t- name: a", []string{": not valid YAML: "}},
		{"anchors, aliases, merges, tags, directives", "groups:\n  - name: §&a x\n    description: §*a\n    §<<: {}\n    rules: §!!seq []\n",
			[]string{": anchors", ": aliases", ": merge keys", ": tags"}},
		{"directive", "§%YAML 1.2\n---\ngroups: []", []string{": directives"}},
		{"tab in a number", "groups:\n- name: a\n  rules:\n  - direction: ingress\n    protocol: udp\n    group: a\n    ports: §8\t0\n", []string{": this text holds a tab"}},
		{"tab in a key", "groups:\n- §na\tme: a\n", []string{": this text holds a tab"}},
		{"rules that are text of the description", "groups:\n- name: a\n  description: §public\n    - rules\n", []string{": this text goes on in the next line; put"}},
		{"rules that are text of the name", "groups:\n- name: §a\n    rules: []\n", []string{": this text goes on in the next line"}},
		{"colon in a text", "groups: [{name: §: a}]", []string{": this text holds a colon"}},
		{"bracket that was not opened", "groups: [{name: a}, name: §a}]", []string{": this text holds a bracket"}},
		{"complex key", "§? groups\n: []", []string{": complex keys"}},
		{"nested flow", "groups: " + strings.Repeat("[", maxDepth-1) + "§[", []string{": more than 32 lists"}},
		{"nested entries", strings.Repeat("- ", maxDepth-1) + "§- ", []string{": more than 32 lists"}},
		{"nested lines", nestedLines(maxDepth) + "§a: b", []string{": more than 32 lists"}},
		{"keys", strings.Repeat("a: 1\n", maxKeys) + "§a: 1\n", []string{": more than 1000 keys"}},
	})
}

func TestNotUTF8Refused(t *testing.T) {
	_, _, err := parseOne("groups: [] # \xff")
	require.EqualError(t, err, "p.yaml:1:1: byte 13 is not UTF-8; a file must be UTF-8 text")
}

func nestedLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String() + strings.Repeat(" ", n)
}

func TestShapeRefused(t *testing.T) {
	runRefusals(t, []refusal{
		{"unknown key", "groups: []\n§group: []", []string{`: unknown key "group"; did you mean "groups"?`}},
		{"key in capitals", "§Groups: []", []string{`: unknown key "Groups"; did you mean "groups"?`}},
		{"far key", "§x-y-z: []", []string{`: unknown key "x-y-z"; known are groups, instances`}},
		{"repeated key", "groups: []\n§groups: []", []string{`groups: the key "groups" is here twice; the first is in line 1`}},
		{"repeated in flow", "groups: [{name: a, §name: b}]", []string{`groups[0].name: the key "name" is here twice`}},
		{"groups without value", "§groups:\n", []string{"groups: must be a list … not nothing"}},
		{"groups a mapping", "groups: §{}", []string{"groups: must be a list … not a mapping"}},
		{"group a text", "groups: [§web]", []string{`groups[0]: must be a mapping … not the text "web"`}},
		{"group without name", "groups:\n  - §description: x", []string{"groups[0]: a group needs a name"}},
		{"group of unknown keys", "groups: [{name: a, §rule: []}]", []string{`groups[0]: unknown key "rule"; did you mean "rules"?`}},
		{"name a number", "groups: [{name: §12}]", []string{`groups[0].name: must be text, not the number 12; write it in quotes: "12"`}},
		{"name a truth", "groups: [{name: §true}]", []string{`groups[0].name: must be text, not the truth value true; write it in quotes`}},
		{"name a list", "groups: [{name: §[a]}]", []string{"groups[0].name: must be text, not a list"}},
		{"name null", "groups: [{name: §~}]", []string{"groups[0].name: must be text, not nothing"}},
		{"name empty", `groups: [{name: §""}]`, []string{"groups[0].name: must not be empty"}},
		{"name long", `groups: [{name: §` + strings.Repeat("ü", 256) + `}]`, []string{"groups[0].name: has 256 characters; at most 255"}},
		{"name with a control character", `groups: [{name: §"a\x1b[2J"}]`, []string{"groups[0].name: must not hold control … 1B"}},
		{"name with a direction override", "groups: [{name: §\"a\u202eb\"}]", []string{"groups[0].name: must not hold control … 202E"}},
		{"name with a line break", `groups: [{name: §"a\nb"}]`, []string{"groups[0].name: must not hold control"}},
		{"name with a space around", `groups: [{name: §" a"}]`, []string{"groups[0].name: must not begin or end with a space"}},
		{"description long", `groups: [{name: a, description: §` + strings.Repeat("x", 256) + `}]`, []string{"groups[0].description: has 256"}},
		{"description of lines", "groups:\n  - name: a\n    description: §|\n      a\n      b\n", []string{"groups[0].description: must not hold control"}},
		{"external source", "groups: [{name: a, external_sources: [§10.0.0.1, §x, §10.0.0.0/33]}]", []string{
			`groups[0].external_sources[0]: is "10.0.0.1" without a length; write 10.0.0.1/32`,
			`groups[0].external_sources[1]: is "x"; must be a network`,
			`groups[0].external_sources[2]: is "10.0.0.0/33"; must be a network … (prefix length out of range)`}},
		{"instance without name", "instances: [§{groups: []}]", []string{"instances[0]: an instance needs a name"}},
		{"host a number", "instances: [{name: a, host: §7}]", []string{"instances[0].host: must be text"}},
		{"host empty", `instances: [{name: a, host: §""}]`, []string{"instances[0].host: must not be empty"}},
		{"groups a text", "groups: [{name: g}]\ninstances: [{name: a, groups: §g}]", []string{`instances[0].groups: must be a list … not the text "g"`}},
		{"ports a mapping", "instances: [{name: a, ports: §{name: x}}]", []string{"instances[0].ports: must be a list"}},
	})
}

func TestRuleRefused(t *testing.T) {
	runRefusals(t, []refusal{
		{"empty", "groups: [{name: a, rules: [§§§{}]}]", []string{
			"groups[0].rules[0]: a rule needs a direction", "groups[0].rules[0]: a rule needs a protocol",
			"groups[0].rules[0]: a rule needs a peer"}},
		{"direction", rule("direction: §ingres, protocol: any, group: db"), []string{
			`groups[0].rules[0].direction: must be ingress … not the text "ingres"; did you mean "ingress"?`}},
		{"direction null", rule("direction: §null, protocol: any, group: db"), []string{
			"groups[0].rules[0].direction: must be ingress … not nothing"}},
		{"protocol", rule("direction: ingress, protocol: §tpc, group: db"), []string{
			`groups[0].rules[0].protocol: must be one of tcp, … not the text "tpc"; did you mean "tcp"?`}},
		{"protocol in capitals", rule("direction: ingress, protocol: §TCP, ports: 1, group: db"), []string{
			`groups[0].rules[0].protocol: must be one of … did you mean "tcp"?`}},
		{"protocol 256", rule("direction: ingress, protocol: §256, group: db"), []string{
			"groups[0].rules[0].protocol: must be one of … from 0 to 255, not the number 256"}},
		{"protocol -1", rule("direction: ingress, protocol: §-1, group: db"), []string{"groups[0].rules[0].protocol: must be one of"}},
		{"protocol octal", rule("direction: ingress, protocol: §06, group: db"), []string{"groups[0].rules[0].protocol: must be one of"}},
		{"protocol hex", rule("direction: ingress, protocol: §0x6, group: db"), []string{"groups[0].rules[0].protocol: must be one of"}},
		{"protocol list", rule("direction: ingress, protocol: §[tcp], group: db"), []string{
			"groups[0].rules[0].protocol: must be one of … not a list"}},
		{"tcp without ports", "groups: [{name: a, rules: [§{direction: ingress, protocol: tcp, group: a}]}]", []string{
			"groups[0].rules[0]: tcp needs ports, such as"}},
		{"6 without ports", "groups: [{name: a, rules: [§{direction: ingress, protocol: 6, group: a}]}]", []string{
			"groups[0].rules[0]: tcp needs ports"}},
		{"sctp without ports", "groups: [{name: a, rules: [§{direction: ingress, protocol: sctp, group: a}]}]", []string{
			"groups[0].rules[0]: sctp needs ports"}},
		{"ports of gre", rule("direction: ingress, protocol: gre, ports: §1, group: db"), []string{
			"groups[0].rules[0].ports: protocol gre has no ports"}},
		{"ports of 47", rule("direction: ingress, protocol: 47, ports: §1, group: db"), []string{
			"groups[0].rules[0].ports: protocol gre has no ports"}},
		{"ports of icmp", rule("direction: ingress, protocol: icmp, ports: §1, group: db"), []string{
			"groups[0].rules[0].ports: protocol icmp has no ports"}},
		{"ports of any", rule("direction: ingress, protocol: any, ports: §80, group: db"), []string{
			"groups[0].rules[0].ports: protocol any is every port"}},
		{"port 0", rule("direction: ingress, protocol: tcp, ports: §0, group: db"), []string{
			"groups[0].rules[0].ports: is 0; ports are from 1 to 65535"}},
		{"port 65536", rule("direction: ingress, protocol: tcp, ports: §65536, group: db"), []string{"groups[0].rules[0].ports: is 65536;"}},
		{"range from 0", rule("direction: ingress, protocol: tcp, ports: §0-10, group: db"), []string{"groups[0].rules[0].ports: is 0-10;"}},
		{"range backward", rule("direction: ingress, protocol: tcp, ports: §90-80, group: db"), []string{
			"groups[0].rules[0].ports: is 90-80, which begins after its end; write 80-90"}},
		{"port -1", rule("direction: ingress, protocol: tcp, ports: §-1, group: db"), []string{`groups[0].rules[0].ports: is "-1"; must be a port`}},
		{"range of three", rule("direction: ingress, protocol: tcp, ports: §1-2-3, group: db"), []string{"groups[0].rules[0].ports: is"}},
		{"range without end", rule("direction: ingress, protocol: tcp, ports: §1-, group: db"), []string{"groups[0].rules[0].ports: is"}},
		{"port octal", rule("direction: ingress, protocol: tcp, ports: §080, group: db"), []string{`groups[0].rules[0].ports: is "080"`}},
		{"port hex", rule("direction: ingress, protocol: tcp, ports: §0x50, group: db"), []string{`groups[0].rules[0].ports: is "0x50"`}},
		{"port underscored", rule("direction: ingress, protocol: tcp, ports: §8_0, group: db"), []string{`groups[0].rules[0].ports: is "8_0"`}},
		{"port float", rule("direction: ingress, protocol: tcp, ports: §80.0, group: db"), []string{
			"groups[0].rules[0].ports: must be one port or one range, … not the number 80.0"}},
		{"port name", rule("direction: ingress, protocol: tcp, ports: §http, group: db"), []string{`groups[0].rules[0].ports: is "http"`}},
		{"port list", rule("direction: ingress, protocol: tcp, ports: §[80], group: db"), []string{
			"groups[0].rules[0].ports: must be one port or one range, … not a list; write one rule for each"}},
		{"port null", rule("direction: ingress, protocol: tcp, ports: §null, group: db"), []string{"groups[0].rules[0].ports: must be one port"}},
		{"type of tcp", rule("direction: ingress, protocol: tcp, ports: 1, icmp_type: §8, icmp_code: §0, group: db"), []string{
			"groups[0].rules[0].icmp_type: protocol tcp has no ICMP", "groups[0].rules[0].icmp_code: protocol tcp has no ICMP"}},
		{"type of any", rule("direction: ingress, protocol: any, icmp_type: §8, group: db"), []string{"groups[0].rules[0].icmp_type: protocol any"}},
		{"code without type", rule("direction: ingress, protocol: icmp, icmp_code: §0, group: db"), []string{
			"groups[0].rules[0].icmp_code: a code has a meaning only with a type"}},
		{"code of any type", rule("direction: ingress, protocol: icmp, icmp_type: -1, icmp_code: §0, group: db"), []string{
			"groups[0].rules[0].icmp_code: a code has a meaning only with a type"}},
		{"type 256", rule("direction: ingress, protocol: icmp, icmp_type: §256, group: db"), []string{
			"groups[0].rules[0].icmp_type: must be a decimal number from -1 to 255, not 256"}},
		{"code -2", rule("direction: ingress, protocol: icmp, icmp_type: 8, icmp_code: §-2, group: db"), []string{
			"groups[0].rules[0].icmp_code: must be a decimal number from -1 to 255"}},
		{"type text", rule("direction: ingress, protocol: icmp, icmp_type: §echo, group: db"), []string{
			`groups[0].rules[0].icmp_type: must be a number from -1 to 255, not the text "echo"`}},
		{"no peer", "groups: [{name: a, rules: [§{direction: ingress, protocol: any}]}]", []string{"groups[0].rules[0]: a rule needs a peer"}},
		{"two peers", "groups: [{name: a, rules: [§{direction: ingress, protocol: any, group: a, cidr: 10.0.0.0/8}]}]", []string{
			"groups[0].rules[0]: cidr and group are both given"}},
		{"cidr without length", rule("direction: ingress, protocol: any, cidr: §10.0.0.1"), []string{
			`groups[0].rules[0].cidr: is "10.0.0.1" without a length; write 10.0.0.1/32`}},
		{"cidr mapped", rule("direction: ingress, protocol: any, cidr: §'::ffff:10.0.0.0/104'"), []string{
			"groups[0].rules[0].cidr: is IPv4-mapped; write 10.0.0.0/8"}},
		{"cidr zoned", rule("direction: ingress, protocol: any, cidr: §'fe80::1%eth0/64'"), []string{"groups[0].rules[0].cidr: is … zone"}},
		{"cidr a float", rule("direction: ingress, protocol: any, cidr: §10.0"), []string{"groups[0].rules[0].cidr: must be text"}},
		{"icmp and IPv6", rule("direction: ingress, protocol: icmp, cidr: §'2001:db8::/32'"), []string{
			"groups[0].rules[0].cidr: 2001:db8::/32 is IPv6, but icmp is of IPv4; write protocol icmpv6"}},
		{"icmpv6 and IPv4", rule("direction: ingress, protocol: 58, cidr: §10.0.0.0/8"), []string{
			"groups[0].rules[0].cidr: 10.0.0.0/8 is IPv4, but icmpv6 is of IPv6; write protocol icmp"}},
		{"unknown group", "groups: [{name: frontend, rules: [{direction: ingress, protocol: any, group: §fronted}]}]", []string{
			`groups[0].rules[0].group: there is no group "fronted"; did you mean "frontend"?`}},
		{"group in capitals", rule("direction: ingress, protocol: any, group: §DB"), []string{
			`groups[0].rules[0].group: there is no group "DB"; did you mean "db"?`}},
		{"unknown key", rule("direction: ingress, protocol: tcp, §port: 22, ports: 22, group: db"), []string{
			`groups[0].rules[0]: unknown key "port"; did you mean "ports"?`}},
	})
}

func TestPortRefused(t *testing.T) {
	const at = "instances[0].ports[0]"
	runRefusals(t, []refusal{
		{"empty", "instances: [{name: i, ports: [§§{addresses: [192.0.2.1]}]}]", []string{at + ": a port needs a name", at + ": a port needs a mac"}},
		{"host device", ports(`name: a, mac: 02:00:00:00:00:01, trusted: true, host_device: §yes`), []string{at + `.host_device: must be true or false, not the text "yes"`}},
		{"host device that Open vSwitch makes", ports(`name: a, mac: 02:00:00:00:00:01, trusted: true, type: internal, host_device: §true`), []string{
			at + ".host_device: a device that Open vSwitch makes for the port"}},
		{"name empty", ports(`name: §"", mac: 02:00:00:00:00:01, trusted: true`), []string{at + ".name: must not be empty"}},
		{"name of 16 bytes", ports(`name: §tap-12345678901x, mac: 02:00:00:00:00:01, trusted: true`), []string{
			at + `.name: is "tap-12345678901x" of 16 bytes; … at most 15`}},
		{"name with a slash", ports(`name: §a/b, mac: 02:00:00:00:00:01, trusted: true`), []string{at + `.name: is "a/b"; the name of an interface has no '/'`}},
		{"name with a space", ports(`name: §a b, mac: 02:00:00:00:00:01, trusted: true`), []string{at + ".name: is"}},
		{"name of dots", ports(`name: §.., mac: 02:00:00:00:00:01, trusted: true`), []string{at + `.name: must not be ".."`}},
		{"name not ASCII", ports(`name: §tap-ü, mac: 02:00:00:00:00:01, trusted: true`), []string{at + ".name: is"}},
		{"MAC", ports("name: a, mac: §02:00:00:00:00, trusted: true"), []string{at + `.mac: is "02:00:00:00:00"; must be six bytes`}},
		{"MAC of eight bytes", ports("name: a, mac: §02:00:00:00:00:01:02:03, trusted: true"), []string{at + ".mac: is"}},
		{"MAC of zeros", ports("name: a, mac: §00:00:00:00:00:00, trusted: true"), []string{at + ".mac: is all zeros"}},
		{"MAC multicast", ports("name: a, mac: §03:00:00:00:00:01, trusted: true"), []string{at + ".mac: is 03:00:00:00:00:01, a multicast MAC"}},
		{"MAC broadcast", ports("name: a, mac: §ff:ff:ff:ff:ff:ff, trusted: true"), []string{at + ".mac: is the broadcast MAC"}},
		{"addresses a text", port("addresses: §192.0.2.1"), []string{at + ".addresses: must be a list"}},
		{"address", port("addresses: [§192.0.2.256]"), []string{at + `.addresses[0]: is "192.0.2.256"; must be an address`}},
		{"address /0", port("addresses: [§0.0.0.0/0, §'::/0']"), []string{
			at + ".addresses[0]: is 0.0.0.0/0, which is every address", at + ".addresses[1]: is ::/0, which is every address"}},
		{"address with its netmask", port("addresses: [§192.0.2.1/24]"), []string{
			at + `.addresses[0]: is "192.0.2.1/24", an address with a netmask; write 192.0.2.1 for the one address, or 192.0.2.0/24`}},
		{"address unspecified", port("addresses: [§0.0.0.0, §'::']"), []string{at + ".addresses[0]: is 0.0.0.0, one of unspecified", at + ".addresses[1]: is ::"}},
		{"address loopback", port("addresses: [§127.0.0.1, §'::1']"), []string{at + ".addresses[0]: is 127.0.0.1, one of loopback", at + ".addresses[1]: is ::1"}},
		{"address multicast", port("addresses: [§224.0.0.1, §'ff02::1']"), []string{at + ".addresses[0]: is 224.0.0.1, one of multicast", at + ".addresses[1]: is ff02::1"}},
		{"address broadcast", port("addresses: [§255.255.255.255]"), []string{at + ".addresses[0]: is 255.255.255.255, one of the broadcast"}},
		{"network around multicast", port("addresses: [§192.0.0.0/2, §'8000::/1']"), []string{
			at + ".addresses[0]: is 192.0.0.0/2, which holds multicast addresses", at + ".addresses[1]: is 8000::/1, which holds multicast"}},
		{"address mapped", port("addresses: [§'::ffff:192.0.2.1', §'::ffff:192.0.2.0/120']"), []string{
			at + ".addresses[0]: is … IPv4-mapped address; write 192.0.2.1", at + ".addresses[1]: is IPv4-mapped; write 192.0.2.0/24"}},
		{"address zoned", port("addresses: [§'fe80::1%eth0']"), []string{at + ".addresses[0]: is … without the zone: fe80::1"}},
		{"address a number", port("addresses: [§1, §1.5]"), []string{at + ".addresses[0]: must be text", at + ".addresses[1]: must be text"}},
		{"allowed /0", port("addresses: [192.0.2.1], allowed_addresses: [§0.0.0.0/0, {address: §'::/0'}]"), []string{
			at + ".allowed_addresses[0]: is 0.0.0.0/0", at + ".allowed_addresses[1].address: is ::/0"}},
		{"allowed without address", port("addresses: [192.0.2.1], allowed_addresses: [§{mac: 02:00:00:00:00:02}]"), []string{
			at + ".allowed_addresses[0]: needs an address"}},
		{"allowed MAC", port("addresses: [192.0.2.1], allowed_addresses: [{address: 192.0.2.2, mac: §01:00:5e:00:00:01}]"), []string{
			at + ".allowed_addresses[0].mac: is 01:00:5e:00:00:01, a multicast MAC"}},
		{"allowed unknown key", port("addresses: [192.0.2.1], allowed_addresses: [{address: 192.0.2.2, §macs: x}]"), []string{
			at + `.allowed_addresses[0]: unknown key "macs"; did you mean "mac"?`}},
		{"type", port("trusted: true, type: §Internal"), []string{at + `.type: must be internal … not the text "Internal"`}},
		{"type null", port("trusted: true, type: §null"), []string{at + ".type: must be internal … not nothing"}},
		{"trusted", port("trusted: §yes, addresses: [192.0.2.1]"), []string{at + `.trusted: must be true or false, not the text "yes"`}},
		{"trusted 1", port("trusted: §1, addresses: [192.0.2.1]"), []string{at + ".trusted: must be true or false, not the number 1"}},
		{"ethertypes", port("trusted: true, ethertypes: [§0x05ff, §0x10000, §-1, §lldp, §1.5]"), []string{
			at + ".ethertypes[0]: must be an Ethernet type", at + ".ethertypes[1]: must be", at + ".ethertypes[2]: must be",
			at + ".ethertypes[3]: must be", at + ".ethertypes[4]: must be"}},
		{"ethertypes of ours", port("trusted: true, ethertypes: [§2048, §0x0806, §0x86dd, §0x8100, §0x88a8, §0x8847, §0x8848, §0x9100, §0x88e7, §0x894f]"), []string{
			at + ".ethertypes[0]: 0x0800 is IPv4", at + ".ethertypes[1]: 0x0806", at + ".ethertypes[2]: 0x86dd",
			at + ".ethertypes[3]: 0x8100 is a VLAN tag", at + ".ethertypes[4]: 0x88a8 is a VLAN tag",
			at + ".ethertypes[5]: 0x8847 is MPLS", at + ".ethertypes[6]: 0x8848 is MPLS",
			at + ".ethertypes[7]: 0x9100 is a VLAN tag", at + ".ethertypes[8]: 0x88e7 is a VLAN tag", at + ".ethertypes[9]: 0x894f is NSH"}},
	})
}

func TestConflictRefused(t *testing.T) {
	const at = "instances[1].ports[0]"
	a := "name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1, '2001:db8::1']"
	runRefusals(t, []refusal{
		{"groups", "groups: [{name: a}, {name: b}, {name: §a}]", []string{`groups[2].name: the group "a" is defined twice; the first is at p.yaml:1:17`}},
		{"instances", "instances: [{name: a}, {name: §a}]", []string{`instances[1].name: the instance "a" is defined twice; … p.yaml:1:20`}},
		{"unknown group", "groups: [{name: frontend}]\ninstances: [{name: a, groups: [§frontent, frontend, §other]}]", []string{
			`instances[0].groups[0]: there is no group "frontent"; did you mean "frontend"?`,
			`instances[0].groups[2]: there is no group "other"`}},
		{"ports of one host", ports(a+"@h1", "name: §a, mac: 02:00:00:00:00:0b, trusted: true@h1"), []string{
			at + `.name: the port "a" is on this host twice; the first is at p.yaml:4:`}},
		{"ports of any host, later", ports(a+"@h1", "name: §a, mac: 02:00:00:00:00:0b, trusted: true"), []string{at + `.name: the port "a"`}},
		{"ports of any host, first", ports(a, "name: §a, mac: 02:00:00:00:00:0b, trusted: true@h1"), []string{at + `.name: the port "a"`}},
		{"MACs", ports(a+"@h1", "name: b, mac: §02:00:00:00:00:0A, trusted: true@h2"), []string{
			at + `.mac: 02:00:00:00:00:0a is the MAC of the port "a" already, at p.yaml:4:`}},
		{"MACs, with IPv6", ports(a+"@h1", "name: b, mac: §02:00:00:00:00:0a, addresses: ['2001:db8::2']@h2"), []string{at + ".mac: 02:00"}},
		{"allowed MAC", ports(a, "name: b, mac: 02:00:00:00:00:0b, trusted: true, allowed_addresses: [§{address: 192.0.2.9, mac: 02:00:00:00:00:0a}]"),
			[]string{at + `.allowed_addresses[0]: 02:00:00:00:00:0a is the own MAC of the port "a"`}},
		{"address", ports(a+"@h1", "name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.2, §192.0.2.1]@h2"), []string{
			at + `.addresses[1]: 192.0.2.1 is of the port "a" already, at p.yaml:4:`}},
		{"address written otherwise", ports(a, "name: b, mac: 02:00:00:00:00:0b, addresses: [§'2001:0DB8:0::0:1/128']"), []string{
			at + `.addresses[0]: 2001:db8::1 is of the port "a"`}},
		{"network around", ports(a, "name: b, mac: 02:00:00:00:00:0b, addresses: [§192.0.2.0/24]"), []string{
			at + `.addresses[0]: 192.0.2.0/24 overlaps 192.0.2.1 of the port "a"`}},
		{"network within", ports("name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.0/24]", "name: b, mac: 02:00:00:00:00:0b, addresses: [§192.0.2.128/25]"),
			[]string{at + `.addresses[0]: 192.0.2.128/25 overlaps 192.0.2.0/24 of the port "a"`}},
		{"link-local of another", ports(a, "name: b, mac: 02:00:00:00:00:0b, addresses: [§'fe80::ff:fe00:a']"), []string{
			at + `.addresses[0]: fe80::ff:fe00:a is of the port "a" already`}},
		{"link-local network", ports(a, "name: b, mac: 02:00:00:00:00:0b, addresses: [§'fe80::/64']"), []string{
			at + `.addresses[0]: fe80::/64 overlaps the link-local address fe80::ff:fe00:a of the MAC of the port "a"`}},
		{"link-local, first", ports("name: b, mac: 02:00:00:00:00:0b, addresses: ['fe80::/64']", "name: a, mac: §02:00:00:00:00:0a, addresses: ['2001:db8::1']"),
			[]string{at + `.mac: the link-local address fe80::ff:fe00:a of the MAC overlaps fe80::/64 of the port "b"`}},
	})
}

func TestManyErrorsAtOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n")
	for range 200 {
		b.WriteString("  - {name: §1, rules: [{direction: §up, protocol: §x, ports: §0, cidr: §y, §z: 1}]}\n")
	}
	text, at := marked("b.yaml", b.String())
	other, otherAt := marked("a.yaml", "groups: §x\ninstances: [{name: a, ports: [{name: §'', mac: §x, trusted: §2}]}]\n")
	broken, brokenAt := marked("c.yaml", "groups: §[\na: 1")
	_, _, err := ParsePolicy([]File{{"b.yaml", []byte(text)}, {"a.yaml", []byte(other)}, {"c.yaml", []byte(broken)}})
	list, ok := err.(Errors)
	require.True(t, ok)
	want := append(append(otherAt, at...), brokenAt...)
	require.Len(t, list, len(want))
	for i, e := range list {
		require.Equal(t, want[i], e.At)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), len(want), "one line each")
	var first Error
	require.ErrorAs(t, err, &first)
	require.Equal(t, list[0], first)
}

// A file that cannot be read to its end may hold the group that another file names.
func TestNoErrorsThatFollowFromOthers(t *testing.T) {
	files := []File{{"a.yaml", []byte("groups: [")}, {"b.yaml", []byte("instances: [{name: a, groups: [web]}]")}}
	_, _, err := ParsePolicy(files)
	require.Len(t, err, 1, "%v", err)
	files[0].Data = []byte("groups: []")
	_, _, err = ParsePolicy(files)
	require.ErrorContains(t, err, `b.yaml:1:32: instances[0].groups[0]: there is no group "web"`)
}
