package flows_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

// hostile are texts that would be dangerous if they came to a flow, a shell or a terminal. Most of
// them are refused by package config; the compiler does not rely on that.
var hostile = []string{
	"a\nactions=NORMAL", "actions=NORMAL", " actions=output:1", "x,actions=drop",
	"0,priority=65535,actions=FLOOD", "cookie=0/0", "a,b", "a b", "'", `"`, "`id`", "$(id)",
	"; reboot", "-O", "--help", "%s%n", "\\", "\x00", "\x1b[2J", "\r", "\u202e", "\u2028", "ä", "😀",
	strings.Repeat("n", 255), strings.Repeat("é", 4000), "g\x00ingress any from 0.0.0.0/0",
	"conjunction(1,1/2)", "resubmit(,60)", "reg0=0x1/0x1", "*", "#", "/", "..", "null", "\xff\xfe",
}

// Nothing of a policy's texts reaches the flows: with any names, hosts and descriptions at all the
// program is the same but for the numbers that stand for rules and flows.
func TestNamesNeverReachTheFlows(t *testing.T) {
	programs := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		bad := renamed(t, in)
		got := compile(t, bad)
		if want, has := withoutIDs(compile(t, in)), withoutIDs(got); !slices.Equal(want, has) {
			t.Fatalf("%q\n%s\n---\n%s", policyfile.Marshal(bad.Policy), strings.Join(want, "\n"),
				strings.Join(has, "\n"))
		}
		for _, f := range got.Flows {
			if !flowLine.MatchString(f.String()) {
				t.Fatalf("%q is no flow", f.String())
			}
		}
		if err := flowtest.Lint(got.Flows, oppositeRules...); err != nil {
			t.Fatal(err)
		}
		programs++
	})
	t.Logf("%d programs with hostile names, of %d names", programs, len(hostile))
}

// flowLine is the whole alphabet of a flow, and its form.
var flowLine = regexp.MustCompile(
	`^cookie=0x5043[0-9a-f]{12}, table=\d+, priority=\d+(,[a-z0-9_]+(=[0-9a-z:./+-]+)?)* actions=[A-Za-z0-9_:.,/()\[\]=>+-]+$`)

// renamed gives everything in a world that has a name another one.
func renamed(t *rapid.T, in flows.Input) flows.Input {
	names := rapid.Permutation(hostile).Draw(t, "names")
	next := func() (name string) { name, names = names[0], names[1:]; return name }
	to := map[string]string{}
	name := func(old string) string {
		if _, known := to[old]; !known {
			to[old] = next()
		}
		return to[old]
	}
	out := in
	out.Policy, out.Bindings = in.Policy.Clone(), slices.Clone(in.Bindings)
	out.Site.Host = name("host " + in.Site.Host)
	for i, g := range out.Policy.Groups {
		g.Description, g.Name, g.At = hostile[i], name("group "+g.Name),
			policy.Position{File: hostile[i], Line: -1}
		for j := range g.Rules {
			r := &g.Rules[j]
			for k := range r.Peers {
				if p := &r.Peers[k]; p.Group != "" {
					p.Group, r.Description = name("group "+p.Group), hostile[j]
				}
			}
		}
	}
	for _, n := range out.Policy.Instances {
		n.Name = name("instance " + n.Name)
		for j := range n.Groups {
			n.Groups[j] = name("group " + n.Groups[j])
		}
		if n.Host != "" {
			n.Host = name("host " + n.Host)
		}
		if n.MigratingTo != "" {
			n.MigratingTo = name("host " + n.MigratingTo)
		}
		n.Ports[0].Name, n.Ports[0].Type = name("port "+n.Ports[0].Name), "$(type)"
	}
	for i := range out.Bindings {
		out.Bindings[i].Port = name("port " + out.Bindings[i].Port)
	}
	out.Uplinks = []flows.Uplink{{Name: next(), OFPort: in.Uplinks[0].OFPort}}
	return out
}

var (
	cookies      = regexp.MustCompile(`^cookie=0x[0-9a-f]+, `)
	ruleNumbers  = regexp.MustCompile(`(conjunction\(|conj_id=)\d+`)
	ruleRegister = regexp.MustCompile(`set_field:0x[0-9a-f]+->reg3`)
)

// withoutIDs returns the flows, sorted, without the hashes in them. Egress that is open keeps its
// number, 1, as its band says so too.
func withoutIDs(p *flows.Program) []string {
	var out []string
	for _, f := range p.Flows {
		actions := openflow.Split(
			ruleRegister.ReplaceAllString(ruleNumbers.ReplaceAllString(f.Actions.String(), "${1}R"), "R"))
		if strings.HasPrefix(actions[0], "conjunction") {
			slices.Sort(actions) // their order is that of the ids
		}
		f.Actions = openflow.ParseActions(strings.Join(actions, ","))
		out = append(out, cookies.ReplaceAllString(ruleNumbers.ReplaceAllString(f.String(), "${1}R"), ""))
	}
	slices.Sort(out)
	return out
}

// Ten thousand groups, and a group of a thousand rules, compile to a sum and not to a product.
func TestManyGroupsAndRules(t *testing.T) {
	p := &policy.Policy{}
	for n := range 10_000 {
		p.Groups = append(p.Groups,
			&policy.Group{Name: fmt.Sprintf("g%d", n),
				Rules: []policy.Rule{policytest.Rule("ingress tcp 22", fmt.Sprintf("g%d", (n+1)%10_000))}})
	}
	for n := range 1_000 {
		p.Groups[0].Rules = append(p.Groups[0].Rules,
			policytest.Rule(fmt.Sprintf("ingress tcp %d-%d", n+1, 60_000-n), fmt.Sprintf("g%d", n%100)))
	}
	for n := range 50 {
		p.Instances = append(p.Instances,
			&policy.Instance{Name: fmt.Sprintf("i%d", n), Groups: []string{"g0", fmt.Sprintf("g%d", n)},
				Ports: []policy.Port{{
					Name: fmt.Sprintf("p%d", n), MAC: policy.MAC{2, 1, 0, 0, 0, byte(n)},
					Addresses: policytest.Nets(fmt.Sprintf("10.1.0.%d", n))}}})
	}
	program, err := flows.Compile(flowtest.Bound(p, policy.Site{Host: "h"}))
	require.NoError(t, err)
	require.NoError(t, flowtest.Lint(program.Flows, oppositeRules...))
	longest := 0
	for _, f := range program.Flows {
		longest = max(longest, len(f.Actions.String()))
	}
	t.Logf("10,000 groups, 11,000 rules, 50 ports: %d flows, the longest actions %d bytes",
		len(program.Flows), longest)
	require.Less(t, len(program.Flows), 20_000)
}
