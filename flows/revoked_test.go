package flows_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policytest"
)

// A group that loses its egress rules opens nothing where another group keeps egress closed: its
// members lose what these admitted.
func TestEgressRulesOfOneOfTwoGroupsGo(t *testing.T) {
	before := flowtest.Seed()
	before.Policy.Instances[0].Groups = []string{"frontend", "backend"}
	before.Policy.Groups[0].Rules = append(before.Policy.Groups[0].Rules,
		policytest.Rule("egress tcp 4443", "0.0.0.0/0"))
	after := before
	after.Policy = before.Policy.Clone()
	after.Policy.Groups[0].Rules = after.Policy.Groups[0].Rules[:3]
	require.Equal(t, []string{"tap-web-1"}, flows.RevokedPorts(before, after))
}

// RevokedPorts looks at what changed only; looking at everything gives the same.
func TestRevokedPortsLeaveNothingOut(t *testing.T) {
	lost := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		before := flowtest.Bound(w.Policy, w.Site)
		after := before
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			after.Policy = nextInput(t, flows.Input{Policy: after.Policy, Site: w.Site}).Policy
		}
		got, want := flows.RevokedPorts(before, after), plainRevokedPorts(before, after)
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		lost += len(got)
	})
	t.Logf("%d ports lost something", lost)
	require.Positive(t, lost)
}

// plainRevokedPorts compares what each port could do with what it can do.
func plainRevokedPorts(before, after flows.Input) []string {
	was, is := portGroups(before), portGroups(after)
	members, now := before.Policy.Members(), after.Policy.Members()
	var lost []string
	for port, groups := range was {
		if current, stays := is[port]; stays && plainLoss(before, after, groups, current, members, now) {
			lost = append(lost, port)
		}
	}
	slices.Sort(lost)
	return lost
}

func plainLoss(before, after flows.Input, groups, current []string, members,
	now map[string][]netip.Prefix) bool {
	had, has := rulesOf(before.Policy, groups), rulesOf(after.Policy, current)
	open := func(rules []policy.Rule) bool {
		return !slices.ContainsFunc(rules,
			func(r policy.Rule) bool { return r.Direction == policy.Egress })
	}
	if open(had) && !open(has) {
		return true
	}
	return slices.ContainsFunc(had, func(r policy.Rule) bool {
		stays := slices.ContainsFunc(has, func(s policy.Rule) bool { return s.String() == r.String() })
		reduced := slices.ContainsFunc(r.Peers, func(p policy.Peer) bool {
			return slices.ContainsFunc(members[p.Group],
				func(n netip.Prefix) bool { return !slices.Contains(now[p.Group], n) })
		})
		return (r.Direction == policy.Ingress || !open(has)) && (!stays || reduced)
	})
}

func portGroups(in flows.Input) map[string][]string {
	out := map[string][]string{}
	for _, i := range in.Policy.Instances {
		if i.IsLocal(in.Site.Host) && !i.Ports[0].Trusted {
			out[i.Ports[0].Name] = i.Groups
		}
	}
	return out
}

func rulesOf(p *policy.Policy, groups []string) []policy.Rule {
	var out []policy.Rule
	for _, g := range p.Groups {
		if slices.Contains(groups, g.Name) {
			out = append(out, g.Rules...)
		}
	}
	return out
}
