package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	file := policyfile.ParseFragment(strictyaml.File{Name: "policy.yaml", Data: []byte(text)})
	p, _, err := policyfile.Join([]*policyfile.Fragment{file})
	require.NoError(t, err)
	return p
}

// places are findings as LINE ID.
func places(found []Finding) (out []string) {
	for _, f := range found {
		out = append(out, fmt.Sprintf("%d %s", f.At.Line, f.ID))
	}
	return out
}

// Each lint has an example in which it, and nothing else, is found, and one in which nothing is.
func TestEachLintHasAnExampleAndItsTwin(t *testing.T) {
	lines := map[string]int{WorldSSH: 4, WorldRDP: 4, WorldAny: 6, EmptyPeer: 5, UnusedGroup: 5, UnusedNetwork: 3,
		NoGroup: 7, CoveredRule: 4, OneFamily: 4, EgressWithoutDNS: 4}
	for _, l := range All() {
		t.Run(l.ID, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", l.ID+".yaml"))
			require.NoError(t, err)
			require.Equal(t, []string{fmt.Sprintf("%d %s", lines[l.ID], l.ID)},
				places(Check(parse(t, string(text)))))
			text, err = os.ReadFile(filepath.Join("testdata", l.ID+".clean.yaml"))
			require.NoError(t, err)
			require.Empty(t, Check(parse(t, string(text))))
			require.NotEmpty(t, l.Title)
			require.NotEmpty(t, l.Why)
			require.NotEmpty(t, l.WayOut)
		})
	}
}

// group returns a policy of one group with a rule in each line, from the fourth on.
func group(rules ...string) string {
	return "groups:\n  - name: g\n    rules:\n      - " + strings.Join(rules, "\n      - ") + "\n"
}

func TestOpenToTheWorld(t *testing.T) {
	const ssh = "{direction: ingress, protocol: tcp, ports: 22, cidr: %s}"
	halves := func(nets ...string) (out []string) {
		for _, n := range nets {
			out = append(out, fmt.Sprintf(ssh, n))
		}
		return out
	}
	for name, c := range map[string]struct {
		rules []string
		want  []string
	}{
		"one network":     {halves(`"::/0"`), []string{"4 world-ssh"}},
		"the public part": {halves("2000::/3"), []string{"4 world-ssh"}},
		"halves":          {halves("0.0.0.0/1", "128.0.0.0/1"), []string{"4 world-ssh"}},
		"one half":        {halves("0.0.0.0/1", "128.0.0.0/2"), nil},
		"all but a private network": {halves("0.0.0.0/5", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6",
			"16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/1"), []string{"4 world-ssh"}},
		"all but a public one": {halves("0.0.0.0/5", "8.0.0.0/7", "10.0.0.0/8", "12.0.0.0/6",
			"16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/1"), nil},
		"the widest of several": {halves("198.51.100.0/24", "0.0.0.0/0"),
			[]string{"4 covered-rule", "5 world-ssh"}},
		"all ports": {[]string{"{direction: ingress, protocol: tcp, ports: 1-65535, cidr: 0.0.0.0/0}"},
			[]string{"4 world-ssh", "4 world-rdp"}},
		"the port beside": {[]string{"{direction: ingress, protocol: tcp, ports: 23-3388, cidr: 0.0.0.0/0}",
			"{direction: ingress, protocol: udp, ports: 22, cidr: 0.0.0.0/0}"}, nil},
		"RDP by udp": {[]string{"{direction: ingress, protocol: udp, ports: 3389, cidr: 0.0.0.0/0}"},
			[]string{"4 world-rdp"}},
		"any says it all": {[]string{"{direction: ingress, protocol: any, cidr: 0.0.0.0/0}"},
			[]string{"4 world-any"}},
		"any to the inside": {[]string{"{direction: ingress, protocol: any, cidr: 10.0.0.0/8}"}, nil},
		"egress":            {[]string{"{direction: egress, protocol: any, cidr: 0.0.0.0/0}"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, places(Check(parse(t, group(c.rules...)))))
		})
	}
}

func TestCoveredRules(t *testing.T) {
	const ssh = "{direction: ingress, protocol: tcp, ports: 22, group: g}"
	for name, c := range map[string]struct {
		rules []string
		want  []string
	}{
		"the same twice": {[]string{ssh, ssh}, []string{"5 covered-rule"}},
		"thrice": {[]string{ssh, ssh, ssh},
			[]string{"5 covered-rule", "6 covered-rule"}},
		"a type of icmp": {[]string{"{direction: ingress, protocol: icmp, icmp_type: 8, cidr: 10.0.0.0/8}",
			"{direction: ingress, protocol: icmp, cidr: 10.0.0.0/8}"}, []string{"4 covered-rule"}},
		"a group within all of both": {[]string{ssh,
			"{direction: ingress, protocol: tcp, ports: 20-30, cidr: 0.0.0.0/0}",
			"{direction: ingress, protocol: tcp, ports: 20-30, cidr: ::/0}"},
			[]string{"5 world-ssh"}},
		"icmp of a group within all of IPv4": {[]string{
			"{direction: ingress, protocol: icmp, group: g}",
			"{direction: ingress, protocol: icmp, cidr: 0.0.0.0/0}"}, []string{"4 covered-rule"}},
		"a list within another": {[]string{
			"{direction: ingress, protocol: tcp, ports: [80, 8000-8010], cidr: [10.1.0.0/16, 10.2.0.0/16]}",
			"{direction: ingress, protocol: tcp, ports: [1-100, 8000-8005, 8006-9000], cidr: [10.1.0.0/16, 10.2.0.0/17, 10.2.128.0/17]}"},
			[]string{"4 covered-rule"}},
		"a port of a list too many": {[]string{
			"{direction: ingress, protocol: tcp, ports: [80, 8000-8010], cidr: 10.0.0.0/8}",
			"{direction: ingress, protocol: tcp, ports: [80, 81, 8000-8009], cidr: 10.0.0.0/8}"}, nil},
		"a network of a list too many": {[]string{
			"{direction: ingress, protocol: tcp, ports: 80, cidr: [10.1.0.0/16, 10.2.0.0/15]}",
			"{direction: ingress, protocol: tcp, ports: 80, cidr: [10.1.0.0/16, 10.2.0.0/16]}"},
			[]string{"5 covered-rule"}},
		"the narrower list first": {[]string{
			"{direction: ingress, protocol: tcp, ports: 80, cidr: [10.1.0.0/16, 10.2.0.0/16]}",
			"{direction: ingress, protocol: tcp, ports: 80, cidr: [10.1.0.0/16, 10.2.0.0/15]}"},
			[]string{"4 covered-rule"}},
		"a group of a list too many": {[]string{
			"{direction: ingress, protocol: tcp, ports: 80, group: g, cidr: 10.2.0.0/16}",
			"{direction: ingress, protocol: tcp, ports: 80, group: g}"}, []string{"5 covered-rule"}},
		"another protocol": {[]string{ssh, "{direction: ingress, protocol: udp, ports: 22, group: g}"}, nil},
		"another direction": {[]string{ssh, "{direction: egress, protocol: tcp, ports: 22, group: g}"},
			nil},
		"another family": {[]string{"{direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}",
			"{direction: ingress, protocol: tcp, ports: 80, cidr: ::/0}"}, nil},
		"overlapping": {[]string{"{direction: ingress, protocol: tcp, ports: 80-90, cidr: 10.0.0.0/8}",
			"{direction: ingress, protocol: tcp, ports: 85-95, cidr: 10.0.0.0/8}"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, places(Check(parse(t, group(c.rules...)))))
		})
	}
}

// Rules that are covered, all of them, are taken out of a random world: every packet meets the same
// fate.
func TestCoveredRulesCanBeRemoved(t *testing.T) {
	removed, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for _, g := range w.Policy.Groups {
			repeat(t, g)
		}
		number(w.Policy)
		out := map[policy.Position]bool{}
		for _, f := range Check(w.Policy) {
			if f.ID == CoveredRule {
				out[f.At] = true
			}
		}
		without := spec.World{Policy: w.Policy.Clone(), Site: w.Site}
		for _, g := range without.Policy.Groups {
			before := len(g.Rules)
			g.Rules = slices.DeleteFunc(g.Rules, func(r policy.Rule) bool { return out[r.At] })
			removed += before - len(g.Rules)
		}
		if len(out) == 0 {
			return
		}
		for range 30 {
			p := policytest.DrawPacket(t, w)
			was, is := spec.Decide(w, p), spec.Decide(without, p)
			require.Equal(t, []any{was.Ports, was.Uplink, was.Egress.Admitted, was.Ingress.Admitted},
				[]any{is.Ports, is.Uplink, is.Egress.Admitted, is.Ingress.Admitted}, "%+v", p)
			asked++
		}
	})
	require.Positive(t, removed)
	t.Logf("%d rules removed, %d packets asked", removed, asked)
}

// repeat adds rules to a group that are nearly those which it has.
func repeat(t *rapid.T, g *policy.Group) {
	for n := range g.Rules {
		r := g.Rules[n]
		switch rapid.IntRange(0, 4).Draw(t, "repeated") {
		case 0:
			r = policy.Rule{Direction: r.Direction, Protocol: policy.AnyProtocol,
				ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP, Peers: r.Peers}
		case 1:
			if r.Protocol != policy.ICMPv6 {
				r.Peers = append([]policy.Peer{{CIDR: wholeOf[v4]}}, r.Peers...)
			}
		case 2:
			if r.Protocol.HasPorts() {
				first := r.Ports[0].First
				r.Ports = append([]policy.PortRange{{First: first,
					Last: rapid.Uint16Min(first).Draw(t, "last port")}}, r.Ports[1:]...)
			}
		case 3:
			continue
		}
		g.Rules = append(g.Rules, r)
	}
}

// number gives every rule of a drawn policy a place of its own.
func number(p *policy.Policy) {
	for n, g := range p.Groups {
		for r := range g.Rules {
			g.Rules[r].At = policy.Position{File: "drawn", Line: n + 1, Column: r + 1}
		}
	}
}

func TestWhoIsInAGroup(t *testing.T) {
	const head = "groups:\n  - {name: a, rules: [{direction: ingress, protocol: tcp, ports: 80, group: b}]}\n" +
		"  - {name: b%s}\ninstances:\n"
	const instance = "  - {name: i%d, groups: [%s], ports: [{name: t%[1]d, mac: \"02:00:00:00:00:0%[1]d\"%[3]s}]}\n"
	in := func(n int, groups, addresses string) string {
		return fmt.Sprintf(instance, n, groups, addresses)
	}
	const address = ", addresses: [10.0.0.1]"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a member":                   {fmt.Sprintf(head, "") + in(1, "a, b", address), nil},
		"a member without addresses": {fmt.Sprintf(head, "") + in(1, "a, b", ""), []string{"2 empty-peer"}},
		"nobody but sources":         {fmt.Sprintf(head, ", external_sources: [10.0.0.0/8]") + in(1, "a", address), nil},
		"rules of nobody, though a peer": {fmt.Sprintf(head, ", external_sources: [10.0.0.0/8], "+
			"rules: [{direction: egress, protocol: any, cidr: 10.0.0.0/8}]") + in(1, "a", address),
			[]string{"3 unused-group"}},
		"no instances at all": {"groups: [{name: a, rules: [{direction: ingress, protocol: tcp, ports: 80, group: b}]}, {name: b}]",
			nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, places(Check(parse(t, c.text))))
		})
	}
}

// What one group leaves out another one of the same instance may have.
func TestFamiliesOfAllGroups(t *testing.T) {
	const two = "groups:\n  - {name: a, rules: [{direction: %s, protocol: tcp, ports: 80, cidr: %s}]}\n" +
		"  - {name: b, rules: [{direction: %[1]s, protocol: any, cidr: %[3]s}]}\ninstances:\n" +
		"  - {name: i, groups: [a%[4]s], ports: [{name: t, mac: \"02:00:00:00:00:01\", addresses: [10.0.0.1, \"2001:db8::1\"]}]}\n" +
		"  - {name: j, groups: [b], ports: [{name: u, mac: \"02:00:00:00:00:02\", addresses: [10.0.0.2]}]}\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"no other group": {fmt.Sprintf(two, "ingress", "0.0.0.0/0", "fd00::/8", ""), []string{"2 one-family"}},
		"the other way":  {fmt.Sprintf(two, "ingress", "::/0", "10.0.0.0/8", ""), []string{"2 one-family"}},
		"another group":  {fmt.Sprintf(two, "ingress", "0.0.0.0/0", "fd00::/8", ", b"), nil},
		"of the same":    {fmt.Sprintf(two, "ingress", "0.0.0.0/0", "10.0.0.0/8", ", b"), []string{"2 one-family"}},
		"the other direction": {strings.Replace(fmt.Sprintf(two, "ingress", "0.0.0.0/0", "fd00::/8", ", b"),
			"ingress, protocol: any", "egress, protocol: any", 1), []string{"2 one-family"}},
		"a trusted port": {strings.Replace(fmt.Sprintf(two, "ingress", "0.0.0.0/0", "fd00::/8", ""),
			"02:00:00:00:00:01\"", "02:00:00:00:00:01\", trusted: true", 1), nil},
		"a part of a world": {fmt.Sprintf(two, "ingress", "10.0.0.0/8", "fd00::/8", ""), nil},
		"egress": {fmt.Sprintf(two, "egress", "0.0.0.0/0", "10.0.0.0/8", ", b"),
			[]string{"2 one-family"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, places(Check(parse(t, c.text))))
		})
	}
}

// The same policy in any order of its files gives each finding its file's own numbers.
func TestFieldsAreOfTheFile(t *testing.T) {
	p := parse(t, "groups: [{name: a}, {name: b}]")
	p.Groups[1].At.File = "other.yaml"
	p.Instances = []*policy.Instance{{Name: "i", Groups: []string{"a"}}}
	found := Check(p)
	require.Len(t, found, 1)
	require.Equal(t, "groups[0]", found[0].Field)
	require.Equal(t, policy.Object{Kind: policy.AGroup, Index: 1, Name: "b"}, found[0].Object)
	require.Contains(t, found[0].String(), "other.yaml:1:21: groups[0]: no instance is in group "+
		`"b"`)
	require.Contains(t, found[0].String(), " [unused-group]")
}

// large is a policy of so many groups with ten rules each, and of instances in three groups each.
func large(groups, instances int) *policy.Policy {
	p := &policy.Policy{}
	name := func(n int) string { return fmt.Sprintf("group-%d", n%groups) }
	for n := range groups {
		g := &policy.Group{Name: name(n)}
		for r := range 10 {
			g.Rules = append(g.Rules, policy.Rule{Direction: policy.Ingress, Protocol: policy.TCP,
				Ports:    []policy.PortRange{{First: uint16(1000 + r), Last: uint16(1100 + r)}},
				ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
				Peers: []policy.Peer{{Group: name(n + r)}}})
			if r%3 == 0 {
				g.Rules[r].Peers = []policy.Peer{{CIDR: wholeOf[v4]}}
			}
		}
		p.Groups = append(p.Groups, g)
	}
	for n := range instances {
		port := policy.Port{Addresses: policytest.Nets(fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255))}
		p.Instances = append(p.Instances, &policy.Instance{Ports: []policy.Port{port},
			Groups: []string{name(n), name(n*7 + 1), name(n*13 + 2)}})
	}
	return p
}

// The lints of a large policy, and of a group of very many rules, take a small part of a second of
// a processor; a busy machine does not matter.
func TestLargePoliciesTakeNoTime(t *testing.T) {
	spent := func(p *policy.Policy) time.Duration {
		before := cpu(t)
		Check(p)
		return cpu(t) - before
	}
	big := spent(large(500, 50000))
	one := large(1, 1)
	for n := range uint16(20000) {
		r := one.Groups[0].Rules[0]
		r.Ports = []policy.PortRange{{First: 2 * n, Last: 2*n + 1}}
		one.Groups[0].Rules = append(one.Groups[0].Rules, r)
	}
	many := spent(one)
	t.Logf("500 groups, 50,000 instances: %v; 20,010 rules in one group: %v", big, many)
	require.Less(t, big, time.Second)
	require.Less(t, many, 5*time.Second)
}

// cpu is the time that processors spent on this process.
func cpu(t *testing.T) time.Duration {
	var usage unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkCheck(b *testing.B) {
	p := large(500, 50000)
	for b.Loop() {
		Check(p)
	}
}
