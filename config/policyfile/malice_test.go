package policyfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The textPlaces in a policy that take a text or a number; it stands where % is.
var textPlaces = []string{
	`projects: [{name: %}]`,
	`projects: [{name: p, description: %}]`,
	`projects: [{name: p, %: 1}]`,
	`groups: [{name: %}]`,
	`groups: [{name: g, shared: %}]`,
	`groups: [{name: g, description: %}]`,
	`groups: [{name: g, external_sources: [%]}]`,
	`groups: [{name: g, rules: [{direction: %, protocol: any, group: g}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: %, group: g}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: tcp, ports: %, group: g}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: icmp, icmp_type: %, group: g}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: icmp, icmp_type: 8, icmp_code: %, group: g}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: any, group: %}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: any, cidr: %}]}]`,
	`groups: [{name: g, rules: [{direction: ingress, protocol: any, group: g, description: %}]}]`,
	`groups: [{name: g, %: 1}]`,
	`instances: [{name: %}]`,
	`instances: [{name: i, host: %}]`,
	`instances: [{name: i, groups: [%]}]`,
	`instances: [{name: i, ports: [{name: %, mac: "02:00:00:00:00:01"}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: %}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", addresses: [%]}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", addresses: [192.0.2.1], allowed_addresses: [%]}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", addresses: [192.0.2.1], allowed_addresses: [{address: 192.0.2.2, mac: %}]}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", type: %}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", trusted: %}]}]`,
	`instances: [{name: i, ports: [{name: p, mac: "02:00:00:00:00:01", ethertypes: [%]}]}]`,
}

// Whatever stands in whatever place: a mistake with its place in one printable line, or a policy
// that survives being written and read, and compiles.
func TestMaliciousTexts(t *testing.T) {
	accepted, refused := 0, 0
	for _, valueID := range textPlaces {
		for _, text := range configtest.Malicious {
			quoted, err := json.Marshal(text)
			require.NoError(t, err)
			for _, written := range []string{string(quoted), text} {
				file := strings.ReplaceAll(valueID, "%", written)
				requireAnswer(t, file)
				if p, _, err := parseOne(file); err == nil {
					accepted++
					requireCompiles(t, p)
				} else {
					refused++
				}
			}
		}
	}
	t.Logf("%d texts in %d textPlaces, with and without quotes: %d policies, %d mistakes",
		len(configtest.Malicious), len(textPlaces), accepted, refused)
	require.Greater(t, accepted, 100)
	require.Greater(t, refused, 1000)
}

// requireCompiles compiles the policy with every port of it on the switch, and finds no text of it
// in the flows.
func requireCompiles(t require.TestingT, p *policy.Policy) {
	in := flows.Input{Policy: p, Site: policy.Site{Host: "h"},
		Uplinks: []flows.Uplink{{Name: "eth1", OFPort: 60_000}}}
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if n := len(in.Bindings) + 1; i.IsLocal("h") {
				in.Bindings = append(in.Bindings,
					flows.Binding{Port: port.Name, OFPort: uint32(n), Zone: uint16(n), Epoch: 1})
			}
		}
	}
	program, err := flows.Compile(in)
	require.NoError(t, err)
	for _, f := range program.Flows {
		require.NotContains(t, strings.ToUpper(f.String()), "NORMAL")
	}
}

// Files that are made to cost time or memory are refused, or read, within bounds that a small host
// has.
func TestCostlyFiles(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for n := range 20 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", n+1, n+1, n,
			n, n, n, n, n, n)
	}
	var keys, groups, rules strings.Builder
	fmt.Fprint(&groups, "groups:\n")
	fmt.Fprint(&rules, "groups:\n- name: g\n  rules:\n")
	for n := range 10_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", n)
		fmt.Fprintf(&groups,
			"- name: group-%d\n  rules:\n  - {direction: ingress, protocol: tcp, ports: 22, "+
				"group: group-%d}\n", n, (n+1)%10_000)
		if n < 1_000 {
			fmt.Fprintf(&rules, "  - {direction: ingress, protocol: tcp, ports: %d, group: g}\n",
				n+1)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"alias bomb":           {bomb, "anchors (&name) are not accepted"},
		"merge bomb":           {"a: {<<: [*a, *a]}\n", "merge keys (<<) are not accepted"},
		"brackets":             {"groups: " + strings.Repeat("[", 200_000), "more than 32"},
		"braces":               {"groups: " + strings.Repeat("{a: ", 200_000), "more than 32"},
		"dashes":               {"groups:\n" + strings.Repeat("- ", 200_000), "more than 32"},
		"indented":             {indented(2_000), "more than 32"},
		"many keys":            {keys.String(), "more than 1000 keys"},
		"key a thousand times": {strings.Repeat("groups: []\n", 900), "twice"},
		"NUL":                  {"groups: []\x00", "NUL"},
		"one line":             {"groups: [{name: " + strings.Repeat("a", 1<<20) + "}]", "at most 255"},
		"a million spaces":     {"groups:" + strings.Repeat(" ", 1<<20) + "[]", ""},
		"10,000 groups":        {groups.String(), ""},
		"1,000 rules":          {rules.String(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, err := configtest.Within(t, 1<<30,
				func() (*policy.Policy, strictyaml.Warnings, error) { return parseOne(c.text) })
			if c.want == "" && err == nil {
				requireCompiles(t, p)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 1<<20, "the message is as costly as the file")
		})
	}
}

func indented(depth int) string {
	var b strings.Builder
	for n := range depth {
		b.WriteString(strings.Repeat(" ", n) + "a:\n")
	}
	return b.String()
}
