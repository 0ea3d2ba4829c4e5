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
	"golang.org/x/tools/txtar"
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
	lines := map[string]int{WorldSSH: 4, WorldRDP: 4, WorldAny: 6, EmptyPeer: 5, UnusedGroup: 5,
		UnusedNetwork: 3, NoGroup: 7, CoveredRule: 4, OneFamily: 4, EgressWithoutDNS: 4}
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

// Policies of testdata/cases.txtar: in each is found what its marks say, and nothing else.
func TestCases(t *testing.T) {
	cases, err := txtar.ParseFile("testdata/cases.txtar")
	require.NoError(t, err)
	require.Len(t, cases.Files, 40)
	for _, c := range cases.Files {
		t.Run(c.Name, func(t *testing.T) {
			var want []string
			for n, line := range strings.Split(string(c.Data), "\n") {
				_, marks, _ := strings.Cut(line, "  # ")
				for _, id := range strings.Fields(marks) {
					want = append(want, fmt.Sprintf("%d %s", n+1, id))
				}
			}
			require.Equal(t, want, places(Check(parse(t, string(c.Data)))))
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
