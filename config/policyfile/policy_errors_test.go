package policyfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
)

func runRefusals(t *testing.T, cases []configtest.Refusal) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			text, at := configtest.Marked("p.yaml", c.Yaml)
			p, _, err := parseOne(text)
			configtest.RequireErrors(t, err, at, c.Want)
			require.Nil(t, p)
		})
	}
}

func TestDocumentRefused(t *testing.T) {
	runRefusals(t, []configtest.Refusal{
		{Name: "empty", Yaml: "§", Want: []string{": the file has no content; … groups: []"}},
		{Name: "only comments", Yaml: "§# nothing\n\n",
			Want: []string{": the file has no content"}},
		{Name: "only a marker", Yaml: "§---\n", Want: []string{": the file has no content"}},
		{Name: "NUL", Yaml: "groups: []§\x00", Want: []string{": byte 10 is NUL"}},
		{Name: "byte order mark", Yaml: "§\ufeffgroups: []",
			Want: []string{": the file begins with a byte order mark"}},
		{Name: "two documents", Yaml: "groups: []\n---\n§groups: []\n",
			Want: []string{": a second document"}},
		{Name: "a list", Yaml: "§- groups", Want: []string{
			": must be a mapping with the keys projects, networks, groups, instances, not a list"}},
		{Name: "a text", Yaml: "§groups", Want: []string{
			`: must be a mapping … not the text "groups"`}},
		{Name: "null", Yaml: "§null", Want: []string{": must be a mapping … not nothing"}},
		{Name: "syntax", Yaml: "groups: §[\ninstances: []", Want: []string{": not valid YAML: "}},
		{Name: "tab", Yaml: "groups:\n§\t- name: a", Want: []string{": not valid YAML: "}},
		{Name: "anchors, aliases, merges, tags, directives",
			Yaml: "groups:\n  - name: §&a x\n    description: §*a\n    §<<: {}\n    rules: " +
				"§!!seq []\n",
			Want: []string{": anchors", ": aliases", ": merge keys", ": tags"}},
		{Name: "directive", Yaml: "§%YAML 1.2\n---\ngroups: []", Want: []string{": directives"}},
		{Name: "tab in a number",
			Yaml: "groups:\n- name: a\n  rules:\n  - direction: ingress\n    protocol: udp\n    " +
				"group: a\n    ports: §8\t0\n", Want: []string{": this text holds a tab"}},
		{Name: "tab in a key", Yaml: "groups:\n- §na\tme: a\n",
			Want: []string{": this text holds a tab"}},
		{Name: "rules that are text of the description",
			Yaml: "groups:\n- name: a\n  description: §public\n    - rules\n",
			Want: []string{": this text goes on in the next line; put"}},
		{Name: "rules that are text of the name", Yaml: "groups:\n- name: a\n    §rules: []\n",
			Want: []string{": not valid YAML: rules is indented by 4, the key before it by 2"}},
		{Name: "key without its colon", Yaml: "groups:\n- §name a\n  rules: []\n",
			Want: []string{": not valid YAML: a colon is missing; is it name: a?"}},
		{Name: "later key without its colon",
			Yaml: "groups:\n- name: a\n  §description of all\n  rules: []\n",
			Want: []string{": not valid YAML: a colon is missing; is it description: of all?"}},
		{Name: "bracket that the next rule ends",
			Yaml: "groups:\n- name: a\n  rules:\n  - §{group: a\n  - {group: a}\n",
			Want: []string{": not valid YAML: this { is not closed at the end of its line"}},
		{Name: "bracket that the next key ends",
			Yaml: "groups:\n- name: a\n  external_sources: §[::/0\n  rules: []\n",
			Want: []string{": not valid YAML: this [ is not closed at the end of its line"}},
		{Name: "colon in a text", Yaml: "groups: [{name: §: a}]",
			Want: []string{": this text holds a colon"}},
		{Name: "bracket that was not opened", Yaml: "groups: [{name: a}, name: §a}]",
			Want: []string{": this text holds a bracket"}},
		{Name: "complex key", Yaml: "§? groups\n: []", Want: []string{": complex keys"}},
		{Name: "nested flow", Yaml: "groups: " + strings.Repeat("[", strictyaml.MaxDepth-1) + "§[",
			Want: []string{": more than 32 lists"}},
		{Name: "nested entries", Yaml: strings.Repeat("- ", strictyaml.MaxDepth-1) + "§- ",
			Want: []string{": more than 32 lists"}},
		{Name: "nested lines", Yaml: nestedLines(strictyaml.MaxDepth) + "§a: b",
			Want: []string{": more than 32 lists"}},
		{Name: "keys", Yaml: strings.Repeat("a: 1\n", strictyaml.MaxKeys) + "§a: 1\n",
			Want: []string{": more than 1000 keys"}},
	})
}

func TestNotUTF8Refused(t *testing.T) {
	_, _, err := parseOne("groups: [] # \xff")
	require.EqualError(t, err, "p.yaml:1:14: byte 13 is not UTF-8; a file must be UTF-8 text")
}

func nestedLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String() + strings.Repeat(" ", n)
}

func TestShapeRefused(t *testing.T) {
	runRefusals(t, []configtest.Refusal{
		{Name: "unknown key", Yaml: "groups: []\n§group: []",
			Want: []string{`: unknown key "group"; did you mean "groups"?`}},
		{Name: "key in capitals", Yaml: "§Groups: []",
			Want: []string{`: unknown key "Groups"; did you mean "groups"?`}},
		{Name: "far key", Yaml: "§x-y-z: []", Want: []string{
			`: unknown key "x-y-z"; known are projects, networks, groups, instances`}},
		{Name: "repeated key", Yaml: "groups: []\n§groups: []",
			Want: []string{`groups: the key "groups" is here twice; the first is in line 1`}},
		{Name: "repeated in flow", Yaml: "groups: [{name: a, §name: b}]",
			Want: []string{`groups[0].name: the key "name" is here twice`}},
		{Name: "groups without value", Yaml: "§groups:\n",
			Want: []string{"groups: must be a list … not nothing"}},
		{Name: "groups a mapping", Yaml: "groups: §{}",
			Want: []string{"groups: must be a list … not a mapping"}},
		{Name: "group a text", Yaml: "groups: [§web]",
			Want: []string{`groups[0]: must be a mapping … not the text "web"`}},
		{Name: "group without name", Yaml: "groups:\n  - §description: x",
			Want: []string{"groups[0]: a group needs a name"}},
		{Name: "group of unknown keys", Yaml: "groups: [{name: a, §rule: []}]",
			Want: []string{`groups[0]: unknown key "rule"; did you mean "rules"?`}},
		{Name: "name a number", Yaml: "groups: [{name: §12}]",
			Want: []string{
				`groups[0].name: must be text, not the number 12; write it in quotes: "12"`}},
		{Name: "name a truth", Yaml: "groups: [{name: §true}]",
			Want: []string{
				`groups[0].name: must be text, not the truth value true; write it in quotes`}},
		{Name: "name a list", Yaml: "groups: [{name: §[a]}]",
			Want: []string{"groups[0].name: must be text, not a list"}},
		{Name: "name null", Yaml: "groups: [{name: §~}]",
			Want: []string{"groups[0].name: must be text, not nothing"}},
		{Name: "name empty", Yaml: `groups: [{name: §""}]`,
			Want: []string{"groups[0].name: must not be empty"}},
		{Name: "name long", Yaml: `groups: [{name: §` + strings.Repeat("ü", 256) + `}]`,
			Want: []string{"groups[0].name: has 256 characters; at most 255"}},
		{Name: "name with a control character", Yaml: `groups: [{name: §"a\x1b[2J"}]`,
			Want: []string{"groups[0].name: must not hold control … 1B"}},
		{Name: "name with a direction override", Yaml: "groups: [{name: §\"a\u202eb\"}]",
			Want: []string{"groups[0].name: must not hold control … 202E"}},
		{Name: "name with a line break", Yaml: `groups: [{name: §"a\nb"}]`,
			Want: []string{"groups[0].name: must not hold control"}},
		{Name: "name with a space around", Yaml: `groups: [{name: §" a"}]`,
			Want: []string{"groups[0].name: must not begin or end with a space"}},
		{Name: "description long", Yaml: `groups: [{name: a, description: §` +
			strings.Repeat("x", 256) + `}]`, Want: []string{"groups[0].description: has 256"}},
		{Name: "description of lines",
			Yaml: "groups:\n  - name: a\n    description: §|\n      a\n      b\n",
			Want: []string{"groups[0].description: must not hold control"}},
		{Name: "external source",
			Yaml: "groups: [{name: a, external_sources: [§10.0.0.1, §x, §10.0.0.0/33]}]",
			Want: []string{
				`groups[0].external_sources[0]: is "10.0.0.1" without a length; write 10.0.0.1/32`,
				`groups[0].external_sources[1]: is "x"; must be a network`,
				`groups[0].external_sources[2]: is "10.0.0.0/33"; must be a network … the length is at most 32`}},
		{Name: "instance without name", Yaml: "instances: [§{groups: []}]",
			Want: []string{"instances[0]: an instance needs a name"}},
		{Name: "host a number", Yaml: "instances: [{name: a, host: §7}]",
			Want: []string{"instances[0].host: must be text"}},
		{Name: "host empty", Yaml: `instances: [{name: a, host: §""}]`,
			Want: []string{"instances[0].host: must not be empty"}},
		{Name: "groups a text", Yaml: "groups: [{name: g}]\ninstances: [{name: a, groups: §g}]",
			Want: []string{`instances[0].groups: must be a list … not the text "g"`}},
		{Name: "ports a mapping", Yaml: "instances: [{name: a, ports: §{name: x}}]",
			Want: []string{"instances[0].ports: must be a list"}},
	})
}

func TestRuleRefused(t *testing.T) {
	runRefusals(t, []configtest.Refusal{
		{Name: "empty", Yaml: "groups: [{name: a, rules: [§§§{}]}]", Want: []string{
			"groups[0].rules[0]: a rule needs a direction",
			"groups[0].rules[0]: a rule needs a protocol",
			"groups[0].rules[0]: a rule needs a peer"}},
		{Name: "direction", Yaml: configtest.Rule("direction: §ingres, protocol: any, group: db"),
			Want: []string{
				`groups[0].rules[0].direction: must be ingress … not the text "ingres"; did you mean "ingress"?`}},
		{Name: "direction null", Yaml: configtest.Rule(
			"direction: §null, protocol: any, group: db"), Want: []string{
			"groups[0].rules[0].direction: must be ingress … not nothing"}},
		{Name: "protocol", Yaml: configtest.Rule("direction: ingress, protocol: §tpc, group: db"),
			Want: []string{
				`groups[0].rules[0].protocol: must be one of tcp, … not the text "tpc"; did you mean "tcp"?`}},
		{Name: "protocol misspelt", Yaml: configtest.Rule(
			"direction: ingress, protocol: §TPC, ports: 1, group: db"), Want: []string{
			`groups[0].rules[0].protocol: must be one of … did you mean "tcp"?`}},
		{Name: "protocol 256", Yaml: configtest.Rule(
			"direction: ingress, protocol: §256, group: db"), Want: []string{
			"groups[0].rules[0].protocol: must be one of … from 0 to 255, not the number 256"}},
		{Name: "protocol -1", Yaml: configtest.Rule("direction: ingress, protocol: §-1, group: db"),
			Want: []string{"groups[0].rules[0].protocol: must be one of"}},
		{Name: "protocol octal", Yaml: configtest.Rule(
			"direction: ingress, protocol: §06, group: db"),
			Want: []string{"groups[0].rules[0].protocol: must be one of"}},
		{Name: "protocol hex", Yaml: configtest.Rule(
			"direction: ingress, protocol: §0x6, group: db"),
			Want: []string{"groups[0].rules[0].protocol: must be one of"}},
		{Name: "protocol list", Yaml: configtest.Rule(
			"direction: ingress, protocol: §[tcp], group: db"), Want: []string{
			"groups[0].rules[0].protocol: must be one of … not a list"}},
		{Name: "tcp without ports",
			Yaml: "groups: [{name: a, rules: [§{direction: ingress, protocol: tcp, group: a}]}]",
			Want: []string{
				"groups[0].rules[0]: tcp needs ports, such as"}},
		{Name: "6 without ports",
			Yaml: "groups: [{name: a, rules: [§{direction: ingress, protocol: 6, group: a}]}]",
			Want: []string{
				"groups[0].rules[0]: tcp needs ports"}},
		{Name: "sctp without ports",
			Yaml: "groups: [{name: a, rules: [§{direction: ingress, protocol: sctp, group: a}]}]",
			Want: []string{
				"groups[0].rules[0]: sctp needs ports"}},
		{Name: "ports of gre", Yaml: configtest.Rule(
			"direction: ingress, protocol: gre, ports: §1, group: db"), Want: []string{
			"groups[0].rules[0].ports: protocol gre has no ports"}},
		{Name: "ports of 47", Yaml: configtest.Rule(
			"direction: ingress, protocol: 47, ports: §1, group: db"), Want: []string{
			"groups[0].rules[0].ports: protocol gre has no ports"}},
		{Name: "ports of icmp", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, ports: §1, group: db"), Want: []string{
			"groups[0].rules[0].ports: protocol icmp has no ports"}},
		{Name: "ports of any", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, ports: §80, group: db"), Want: []string{
			"groups[0].rules[0].ports: protocol any is every port"}},
		{Name: "port 0",
			Yaml: configtest.Rule("direction: ingress, protocol: tcp, ports: §0, group: db"),
			Want: []string{
				"groups[0].rules[0].ports: is 0; ports are from 1 to 65535"}},
		{Name: "port 65536", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §65536, group: db"),
			Want: []string{"groups[0].rules[0].ports: is 65536;"}},
		{Name: "range from 0", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §0-10, group: db"),
			Want: []string{"groups[0].rules[0].ports: is 0-10;"}},
		{Name: "range backward", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §90-80, group: db"), Want: []string{
			"groups[0].rules[0].ports: is 90-80, which begins after its end; write 80-90"}},
		{Name: "port -1", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §-1, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "-1"; must be a port`}},
		{Name: "range of three", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §1-2-3, group: db"),
			Want: []string{"groups[0].rules[0].ports: is"}},
		{Name: "range without end", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §1-, group: db"),
			Want: []string{"groups[0].rules[0].ports: is"}},
		{Name: "port octal", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §080, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "080"`}},
		{Name: "port hex", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §0x50, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "0x50"`}},
		{Name: "port underscored", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §8_0, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "8_0"`}},
		{Name: "port float", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §80.0, group: db"), Want: []string{
			"groups[0].rules[0].ports: must be a port, a range … not the number 80.0"}},
		{Name: "service misspelt", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §htpp, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "htpp"; must be a port, … did you mean "http"?`}},
		{Name: "service of another protocol", Yaml: configtest.Rule(
			"direction: ingress, protocol: udp, ports: [80, §mysql], group: db"),
			Want: []string{`groups[0].rules[0].ports[1]: mysql is a service of tcp, not of udp; ` +
				`write protocol tcp, or the number 3306`}},
		{Name: "ports in one text", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §'80,443', group: db"),
			Want: []string{`groups[0].rules[0].ports: is "80,443"; … as a list: [80, 443]`}},
		{Name: "range with a colon", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §8000:8999, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "8000:8999"; … write the range 8000-8999`}},
		{Name: "any port", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §any, group: db"),
			Want: []string{`groups[0].rules[0].ports: is "any"; … 1-65535 are all`}},
		{Name: "port 0 in a list", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [80, §0], group: db"),
			Want: []string{`groups[0].rules[0].ports[1]: is 0; ports are from 1 to 65535`}},
		{Name: "list in a list", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [§[80]], group: db"), Want: []string{
			"groups[0].rules[0].ports[0]: must be a port, … not a list"}},
		{Name: "no ports in a list", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §[], group: db"), Want: []string{
			"groups[0].rules[0].ports: must not be an empty list"}},
		{Name: "too many ports", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §[" + numbers(101) + "], group: db"),
			Want: []string{
				"groups[0].rules[0].ports: has 101 entries; at most 100 are possible"}},
		{Name: "too many peers",
			Yaml: "groups: [{name: a, rules: [§{direction: ingress, protocol: any, cidr: [" +
				networks(101) + "]}]}]",
			Want: []string{"groups[0].rules[0]: has 101 peers; at most 100 are possible"}},
		{Name: "unknown network",
			Yaml: "networks: {offices: 10.0.0.0/8}\n" + configtest.Rule(
				"direction: ingress, protocol: any, cidr: [::/0, §ofices]"),
			Want: []string{`groups[0].rules[0].cidr[1]: there is no network "ofices"; ` +
				`did you mean "offices"?`}},
		{Name: "any network", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §any"), Want: []string{
			`groups[0].rules[0].cidr: is "any"; write 0.0.0.0/0 for all of IPv4, ::/0`}},
		{Name: "a group as a network", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §db"), Want: []string{
			`groups[0].rules[0].cidr: "db" is a group, not a named network; write group: db`}},
		{Name: "a network as a group",
			Yaml: "networks: {offices: 10.0.0.0/8}\n" + configtest.Rule(
				"direction: ingress, protocol: any, group: [db, §offices]"),
			Want: []string{`groups[0].rules[0].group[1]: "offices" is a named network, not a ` +
				`group; where a rule is about it, write cidr: offices`}},
		{Name: "a network that is a group",
			Yaml: "networks: {db: 10.0.0.0/8}\ngroups: [{name: §db}]",
			Want: []string{`groups[0].name: a group and a named network are both called "db"; ` +
				`the other is at p.yaml:1:12`}},
		{Name: "network twice", Yaml: "networks: {a: 10.0.0.0/8, §a: ::/0}",
			Want: []string{`networks.a: the name "a" is here twice; the first is in line 1`}},
		{Name: "network that is a number", Yaml: "networks: {§10: 10.0.0.0/8}",
			Want: []string{`networks.10: is "10"; the name of a network begins with a letter`}},
		{Name: "network called any", Yaml: "networks: {§any: 10.0.0.0/8}",
			Want: []string{`networks.any: is "any", which would be taken for all addresses`}},
		{Name: "network of no networks", Yaml: "networks: {a: §[]}",
			Want: []string{`networks.a: must not be an empty list`}},
		{Name: "network without a length", Yaml: "networks: {a: [::/0, §10.0.0.1]}",
			Want: []string{`networks.a[1]: is "10.0.0.1" without a length; write 10.0.0.1/32`}},
		{Name: "networks in a list", Yaml: "networks: §[10.0.0.0/8]",
			Want: []string{`networks: must be a mapping of names, such as offices: [10.0.0.0/8], ` +
				`not a list`}},
		{Name: "port null", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: §null, group: db"),
			Want: []string{"groups[0].rules[0].ports: must be a port"}},
		{Name: "type of tcp", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, ports: 1, icmp_type: §8, icmp_code: §0, group: db"),
			Want: []string{
				"groups[0].rules[0].icmp_type: protocol tcp has no ICMP",
				"groups[0].rules[0].icmp_code: protocol tcp has no ICMP"}},
		{Name: "type of any", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, icmp_type: §8, group: db"),
			Want: []string{"groups[0].rules[0].icmp_type: protocol any"}},
		{Name: "code without type", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_code: §0, group: db"), Want: []string{
			"groups[0].rules[0].icmp_code: a code has a meaning only with a type"}},
		{Name: "code of any type", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: -1, icmp_code: §0, group: db"),
			Want: []string{
				"groups[0].rules[0].icmp_code: a code has a meaning only with a type"}},
		{Name: "type 256", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: §256, group: db"), Want: []string{
			"groups[0].rules[0].icmp_type: must be a decimal number from -1 to 255, not 256"}},
		{Name: "code -2", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: 8, icmp_code: §-2, group: db"),
			Want: []string{
				"groups[0].rules[0].icmp_code: must be a decimal number from -1 to 255"}},
		{Name: "type text", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: §echo, group: db"), Want: []string{
			`groups[0].rules[0].icmp_type: is "echo"; must be a number from -1 to 255, or one of ` +
				`echo-reply, destination-unreachable, `}},
		{Name: "type of the other protocol", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: §packet-too-big, group: db"),
			Want: []string{`groups[0].rules[0].icmp_type: … packet-too-big is a type of icmpv6`}},
		{Name: "no peer",
			Yaml: "groups: [{name: a, rules: [§{direction: ingress, protocol: any}]}]",
			Want: []string{"groups[0].rules[0]: a rule needs a peer"}},
		{Name: "cidr without length", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §10.0.0.1"), Want: []string{
			`groups[0].rules[0].cidr: is "10.0.0.1" without a length; write 10.0.0.1/32`}},
		{Name: "cidr mapped", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §'::ffff:10.0.0.0/104'"), Want: []string{
			"groups[0].rules[0].cidr: is IPv4-mapped; write 10.0.0.0/8"}},
		{Name: "cidr zoned", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §'fe80::1%eth0/64'"),
			Want: []string{"groups[0].rules[0].cidr: is … zone"}},
		{Name: "cidr a float", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, cidr: §10.0"),
			Want: []string{"groups[0].rules[0].cidr: must be text"}},
		{Name: "icmp and IPv6", Yaml: configtest.Rule(
			"direction: ingress, protocol: icmp, cidr: §'2001:db8::/32'"), Want: []string{
			"groups[0].rules[0].cidr: 2001:db8::/32 is IPv6, but icmp is of IPv4; write protocol " +
				"icmpv6"}},
		{Name: "icmpv6 and IPv4", Yaml: configtest.Rule(
			"direction: ingress, protocol: 58, cidr: §10.0.0.0/8"), Want: []string{
			"groups[0].rules[0].cidr: 10.0.0.0/8 is IPv4, but icmpv6 is of IPv6; write protocol icmp"}},
		{Name: "unknown group",
			Yaml: "groups: [{name: frontend, rules: [{direction: ingress, protocol: any, group: " +
				"§fronted}]}]", Want: []string{
				`groups[0].rules[0].group: there is no group "fronted"; did you mean "frontend"?`}},
		{Name: "group in capitals", Yaml: configtest.Rule(
			"direction: ingress, protocol: any, group: §DB"), Want: []string{
			`groups[0].rules[0].group: there is no group "DB"; did you mean "db"?`}},
		{Name: "unknown key", Yaml: configtest.Rule(
			"direction: ingress, protocol: tcp, §port: 22, ports: 22, group: db"), Want: []string{
			`groups[0].rules[0]: unknown key "port"; did you mean "ports"?`}},
	})
}

func TestPortRefused(t *testing.T) {
	const at = "instances[0].ports[0]"
	runRefusals(t, []configtest.Refusal{
		{Name: "empty", Yaml: "instances: [{name: i, ports: [§§{addresses: [192.0.2.1]}]}]",
			Want: []string{at + ": a port needs a name", at + ": a port needs a mac"}},
		{Name: "an interface that is known by its name",
			Yaml: configtest.Ports(`name: §6f1b7a52-6d19-4c8b, mac: 02:00:00:00:00:01`),
			Want: []string{at + ".name: is \"6f1b7a52-6d19-4c8b\" of 18 bytes"}},
		{Name: "identity", Yaml: configtest.Ports(`iface_id: §[a], mac: 02:00:00:00:00:01`),
			Want: []string{at + ".iface_id: must be text"}},
		{Name: "host device", Yaml: configtest.Ports(
			`name: a, mac: 02:00:00:00:00:01, trusted: true, host_device: §yes`),
			Want: []string{at + `.host_device: must be true or false, not the text "yes"`}},
		{Name: "host device that Open vSwitch makes",
			Yaml: configtest.Ports(
				`name: a, mac: 02:00:00:00:00:01, trusted: true, type: internal, host_device: §true`),
			Want: []string{
				at + ".host_device: a device that Open vSwitch makes for the port"}},
		{Name: "name empty", Yaml: configtest.Ports(
			`name: §"", mac: 02:00:00:00:00:01, trusted: true`),
			Want: []string{at + ".name: must not be empty"}},
		{Name: "name of 16 bytes", Yaml: configtest.Ports(
			`name: §tap-12345678901x, mac: 02:00:00:00:00:01, trusted: true`), Want: []string{
			at + `.name: is "tap-12345678901x" of 16 bytes; … at most 15`}},
		{Name: "name with a slash", Yaml: configtest.Ports(
			`name: §a/b, mac: 02:00:00:00:00:01, trusted: true`),
			Want: []string{at + `.name: is "a/b"; the name of an interface has no '/'`}},
		{Name: "name with a space", Yaml: configtest.Ports(
			`name: §a b, mac: 02:00:00:00:00:01, trusted: true`), Want: []string{at + ".name: is"}},
		{Name: "name of dots", Yaml: configtest.Ports(
			`name: §.., mac: 02:00:00:00:00:01, trusted: true`),
			Want: []string{at + `.name: must not be ".."`}},
		{Name: "name not ASCII", Yaml: configtest.Ports(
			`name: §tap-ü, mac: 02:00:00:00:00:01, trusted: true`),
			Want: []string{at + ".name: is"}},
		{Name: "MAC", Yaml: configtest.Ports("name: a, mac: §02:00:00:00:00, trusted: true"),
			Want: []string{at + `.mac: is "02:00:00:00:00"; must be six bytes`}},
		{Name: "MAC of eight bytes", Yaml: configtest.Ports(
			"name: a, mac: §02:00:00:00:00:01:02:03, trusted: true"),
			Want: []string{at + ".mac: is"}},
		{Name: "MAC of zeros", Yaml: configtest.Ports(
			"name: a, mac: §00:00:00:00:00:00, trusted: true"),
			Want: []string{at + ".mac: is all zeros"}},
		{Name: "MAC multicast", Yaml: configtest.Ports(
			"name: a, mac: §03:00:00:00:00:01, trusted: true"),
			Want: []string{at + ".mac: is 03:00:00:00:00:01, a multicast MAC"}},
		{Name: "MAC broadcast", Yaml: configtest.Ports(
			"name: a, mac: §ff:ff:ff:ff:ff:ff, trusted: true"),
			Want: []string{at + ".mac: is the broadcast MAC"}},
		{Name: "addresses a text", Yaml: configtest.Port("addresses: §192.0.2.1"),
			Want: []string{at + ".addresses: must be a list"}},
		{Name: "address", Yaml: configtest.Port("addresses: [§192.0.2.256]"),
			Want: []string{at + `.addresses[0]: is "192.0.2.256"; must be an address`}},
		{Name: "address /0", Yaml: configtest.Port("addresses: [§0.0.0.0/0, §'::/0']"),
			Want: []string{
				at + ".addresses[0]: is 0.0.0.0/0, which is every address",
				at + ".addresses[1]: is ::/0, which is every address"}},
		{Name: "address with its netmask", Yaml: configtest.Port("addresses: [§192.0.2.1/24]"),
			Want: []string{
				at + `.addresses[0]: is "192.0.2.1/24", an address with a netmask; write 192.0.2.1 for the one address, or 192.0.2.0/24`}},
		{Name: "address unspecified", Yaml: configtest.Port("addresses: [§0.0.0.0, §'::']"),
			Want: []string{at + ".addresses[0]: is 0.0.0.0, one of unspecified",
				at + ".addresses[1]: is ::"}},
		{Name: "address loopback", Yaml: configtest.Port("addresses: [§127.0.0.1, §'::1']"),
			Want: []string{at + ".addresses[0]: is 127.0.0.1, one of loopback",
				at + ".addresses[1]: is ::1"}},
		{Name: "address multicast", Yaml: configtest.Port("addresses: [§224.0.0.1, §'ff02::1']"),
			Want: []string{at + ".addresses[0]: is 224.0.0.1, one of multicast",
				at + ".addresses[1]: is ff02::1"}},
		{Name: "address broadcast", Yaml: configtest.Port("addresses: [§255.255.255.255]"),
			Want: []string{at + ".addresses[0]: is 255.255.255.255, one of the broadcast"}},
		{Name: "network around multicast", Yaml: configtest.Port(
			"addresses: [§192.0.0.0/2, §'8000::/1']"), Want: []string{
			at + ".addresses[0]: is 192.0.0.0/2, which holds multicast addresses",
			at + ".addresses[1]: is 8000::/1, which holds multicast"}},
		{Name: "address mapped", Yaml: configtest.Port(
			"addresses: [§'::ffff:192.0.2.1', §'::ffff:192.0.2.0/120']"), Want: []string{
			at + ".addresses[0]: is … IPv4-mapped address; write 192.0.2.1",
			at + ".addresses[1]: is IPv4-mapped; write 192.0.2.0/24"}},
		{Name: "address zoned", Yaml: configtest.Port("addresses: [§'fe80::1%eth0']"),
			Want: []string{at + ".addresses[0]: is … without the zone: fe80::1"}},
		{Name: "address a number", Yaml: configtest.Port("addresses: [§1, §1.5]"),
			Want: []string{at + ".addresses[0]: must be text", at + ".addresses[1]: must be text"}},
		{Name: "allowed /0", Yaml: configtest.Port(
			"addresses: [192.0.2.1], allowed_addresses: [§0.0.0.0/0, {address: §'::/0'}]"),
			Want: []string{
				at + ".allowed_addresses[0]: is 0.0.0.0/0",
				at + ".allowed_addresses[1].address: is ::/0"}},
		{Name: "allowed without address", Yaml: configtest.Port(
			"addresses: [192.0.2.1], allowed_addresses: [§{mac: 02:00:00:00:00:02}]"),
			Want: []string{
				at + ".allowed_addresses[0]: needs an address"}},
		{Name: "allowed MAC", Yaml: configtest.Port(
			"addresses: [192.0.2.1], allowed_addresses: [{address: 192.0.2.2, mac: " +
				"§01:00:5e:00:00:01}]"), Want: []string{
			at + ".allowed_addresses[0].mac: is 01:00:5e:00:00:01, a multicast MAC"}},
		{Name: "allowed unknown key", Yaml: configtest.Port(
			"addresses: [192.0.2.1], allowed_addresses: [{address: 192.0.2.2, §macs: x}]"),
			Want: []string{
				at + `.allowed_addresses[0]: unknown key "macs"; did you mean "mac"?`}},
		{Name: "type", Yaml: configtest.Port("trusted: true, type: §Internal"),
			Want: []string{at + `.type: must be internal … not the text "Internal"`}},
		{Name: "type null", Yaml: configtest.Port("trusted: true, type: §null"),
			Want: []string{at + ".type: must be internal … not nothing"}},
		{Name: "trusted", Yaml: configtest.Port("trusted: §yes, addresses: [192.0.2.1]"),
			Want: []string{at + `.trusted: must be true or false, not the text "yes"`}},
		{Name: "trusted 1", Yaml: configtest.Port("trusted: §1, addresses: [192.0.2.1]"),
			Want: []string{at + ".trusted: must be true or false, not the number 1"}},
		{Name: "ethertypes", Yaml: configtest.Port(
			"trusted: true, ethertypes: [§0x05ff, §0x10000, §-1, §lldp, §1.5]"), Want: []string{
			at + ".ethertypes[0]: must be an Ethernet type", at + ".ethertypes[1]: must be",
			at + ".ethertypes[2]: must be",
			at + ".ethertypes[3]: must be", at + ".ethertypes[4]: must be"}},
		{Name: "ethertypes of ours", Yaml: configtest.Port(
			"trusted: true, ethertypes: [§2048, §0x0806, §0x86dd, §0x8100, §0x88a8, §0x8847, " +
				"§0x8848, §0x9100, §0x88e7, §0x894f]"), Want: []string{
			at + ".ethertypes[0]: 0x0800 is IPv4", at + ".ethertypes[1]: 0x0806",
			at + ".ethertypes[2]: 0x86dd",
			at + ".ethertypes[3]: 0x8100 is a VLAN tag",
			at + ".ethertypes[4]: 0x88a8 is a VLAN tag",
			at + ".ethertypes[5]: 0x8847 is MPLS", at + ".ethertypes[6]: 0x8848 is MPLS",
			at + ".ethertypes[7]: 0x9100 is a VLAN tag",
			at + ".ethertypes[8]: 0x88e7 is a VLAN tag", at + ".ethertypes[9]: 0x894f is NSH"}},
	})
}

func TestConflictRefused(t *testing.T) {
	const at = "instances[1].ports[0]"
	a := "name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.1, '2001:db8::1']"
	runRefusals(t, []configtest.Refusal{
		{Name: "groups", Yaml: "groups: [{name: a}, {name: b}, {name: §a}]",
			Want: []string{
				`groups[2].name: the group "a" is defined twice; the first is at p.yaml:1:17`}},
		{Name: "instances", Yaml: "instances: [{name: a}, {name: §a}]",
			Want: []string{`instances[1].name: the instance "a" is defined twice; … p.yaml:1:20`}},
		{Name: "unknown group",
			Yaml: "groups: [{name: frontend}]\ninstances: [{name: a, groups: [§frontent, " +
				"frontend, §other]}]", Want: []string{
				`instances[0].groups[0]: there is no group "frontent"; did you mean "frontend"?`,
				`instances[0].groups[2]: there is no group "other"`}},
		{Name: "ports of one host", Yaml: configtest.Ports(a+"@h1",
			"name: §a, mac: 02:00:00:00:00:0b, trusted: true@h1"), Want: []string{
			at + `.name: the port "a" is on this host twice; the first is at p.yaml:4:`}},
		{Name: "ports of any host, later", Yaml: configtest.Ports(a+"@h1",
			"name: §a, mac: 02:00:00:00:00:0b, trusted: true"),
			Want: []string{at + `.name: the port "a"`}},
		{Name: "ports of any host, first", Yaml: configtest.Ports(a,
			"name: §a, mac: 02:00:00:00:00:0b, trusted: true@h1"),
			Want: []string{at + `.name: the port "a"`}},
		{Name: "MACs", Yaml: configtest.Ports(a+"@h1",
			"name: b, mac: §02:00:00:00:00:0A, trusted: true@h2"), Want: []string{
			at + `.mac: 02:00:00:00:00:0a is the MAC of the port "a" already, at p.yaml:4:`}},
		{Name: "MACs, with IPv6", Yaml: configtest.Ports(a+"@h1",
			"name: b, mac: §02:00:00:00:00:0a, addresses: ['2001:db8::2']@h2"),
			Want: []string{at + ".mac: 02:00"}},
		{Name: "allowed MAC", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, trusted: true, allowed_addresses: [§{address: "+
				"192.0.2.9, mac: 02:00:00:00:00:0a}]"),
			Want: []string{at +
				`.allowed_addresses[0]: 02:00:00:00:00:0a is the own MAC of the port "a"`}},
		{Name: "address", Yaml: configtest.Ports(a+"@h1",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [192.0.2.2, §192.0.2.1]@h2"),
			Want: []string{
				at + `.addresses[1]: 192.0.2.1 belongs to the port "a" already, at p.yaml:4:`}},
		{Name: "address written otherwise", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, addresses: [§'2001:0DB8:0::0:1/128']"),
			Want: []string{
				at + `.addresses[0]: 2001:db8::1 belongs to the port "a"`}},
		{Name: "network around", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, addresses: [§192.0.2.0/24]"), Want: []string{
			at + `.addresses[0]: 192.0.2.0/24 overlaps 192.0.2.1 of the port "a"`}},
		{Name: "network within", Yaml: configtest.Ports(
			"name: a, mac: 02:00:00:00:00:0a, addresses: [192.0.2.0/24]",
			"name: b, mac: 02:00:00:00:00:0b, addresses: [§192.0.2.128/25]"),
			Want: []string{at +
				`.addresses[0]: 192.0.2.128/25 overlaps 192.0.2.0/24 of the port "a"`}},
		{Name: "link-local of another", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, addresses: [§'fe80::ff:fe00:a']"), Want: []string{
			at + `.addresses[0]: fe80::ff:fe00:a belongs to the port "a" already`}},
		{Name: "link-local network", Yaml: configtest.Ports(a,
			"name: b, mac: 02:00:00:00:00:0b, addresses: [§'fe80::/64']"), Want: []string{
			at + `.addresses[0]: fe80::/64 overlaps the link-local address fe80::ff:fe00:a of the MAC of the port "a"`}},
		{Name: "link-local, first", Yaml: configtest.Ports(
			"name: b, mac: 02:00:00:00:00:0b, addresses: ['fe80::/64']",
			"name: a, mac: §02:00:00:00:00:0a, addresses: ['2001:db8::1']"),
			Want: []string{at +
				`.mac: the link-local address fe80::ff:fe00:a of the MAC overlaps fe80::/64 of the port "b"`}},
	})
}

// numbers lists so many ports, and networks so many networks.
func numbers(n int) string { return countedList(n, "%d") }

func networks(n int) string { return countedList(n, "10.%d.0.0/16") }

func countedList(n int, format string) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(format, 2*i+1))
	}
	return strings.Join(out, ", ")
}

func TestManyErrorsAtOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n")
	for range 200 {
		b.WriteString(
			"  - {name: §1, rules: [{direction: §up, protocol: §x, ports: §0, cidr: §1, §z: 1}]}\n")
	}
	text, at := configtest.Marked("b.yaml", b.String())
	other, otherAt := configtest.Marked("a.yaml",
		"groups: §x\ninstances: [{name: a, ports: [{name: §'', mac: §x, trusted: §2}]}]\n")
	broken, brokenAt := configtest.Marked("c.yaml", "groups: §[\na: 1")
	_, _, err := Parse([]strictyaml.File{{Name: "b.yaml", Data: []byte(text)},
		{Name: "a.yaml", Data: []byte(other)}, {Name: "c.yaml", Data: []byte(broken)}})
	list, ok := err.(strictyaml.Errors)
	require.True(t, ok)
	want := append(append(otherAt, at...), brokenAt...)
	require.Len(t, list, len(want))
	for i, e := range list {
		require.Equal(t, want[i], e.At)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), len(want), "one line each")
	var first strictyaml.Error
	require.ErrorAs(t, err, &first)
	require.Equal(t, list[0], first)
}

// A file that cannot be read to its end may hold the group that another file names.
func TestNoErrorsThatFollowFromOthers(t *testing.T) {
	files := []strictyaml.File{{Name: "a.yaml", Data: []byte("groups: [")},
		{Name: "b.yaml", Data: []byte("instances: [{name: a, groups: [web]}]")}}
	_, _, err := Parse(files)
	require.Len(t, err, 1, "%v", err)
	files[0].Data = []byte("groups: []")
	_, _, err = Parse(files)
	require.ErrorContains(t, err, `b.yaml:1:32: instances[0].groups[0]: there is no group "web"`)
}
