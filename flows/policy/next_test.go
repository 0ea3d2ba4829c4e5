package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// placed is a valid policy of which every instance is on a host.
func placed() *policy.Policy {
	return policytest.Fleet(policytest.FleetSize{Groups: 5, Rules: 6, Instances: 20, Local: 4}).Policy
}

// with is a policy with another instance at its end, and one of its own if it has the name.
func with(p *policy.Policy, edit func(*policy.Instance)) *policy.Policy {
	next := *p
	fresh := &policy.Instance{Name: "fresh", Host: "hv1", Groups: []string{"group-001"},
		Ports: []policy.Port{{Name: "tap-fresh", IfaceID: "port-fresh",
			MAC:       policy.MAC{2, 0xaa, 0, 0, 0, 1},
			Addresses: policytest.Nets("10.99.0.1", "2001:db8:99::1")}}}
	edit(fresh)
	next.Instances = append(slices.Clone(p.Instances), fresh)
	return &next
}

// A new instance is found valid without a look at the others, and whatever contradicts another one
// is left to Validate, which finds it.
func TestNextOfInstances(t *testing.T) {
	old := placed()
	first := old.Instances[3].Ports[0]
	for name, c := range map[string]struct {
		edit    func(*policy.Instance)
		isKnown bool // to be valid, by Next
		isValid bool
	}{
		"new":            {func(*policy.Instance) {}, true, true},
		"moving":         {func(i *policy.Instance) { i.MigratingTo = "hv2" }, true, true},
		"on every host":  {func(i *policy.Instance) { i.Host = "" }, false, true},
		"name taken":     {func(i *policy.Instance) { i.Name = old.Instances[3].Name }, false, false},
		"bad name":       {func(i *policy.Instance) { i.Name = "a\nb" }, false, false},
		"no such group":  {func(i *policy.Instance) { i.Groups = []string{"none"} }, false, false},
		"MAC taken":      {func(i *policy.Instance) { i.Ports[0].MAC = first.MAC }, false, false},
		"address taken":  {func(i *policy.Instance) { i.Ports[0].Addresses = first.Addresses }, false, false},
		"network around": {func(i *policy.Instance) { i.Ports[0].Addresses = policytest.Nets("10.0.0.0/16") }, false, false},
		"a free network": {func(i *policy.Instance) { i.Ports[0].Addresses = policytest.Nets("10.77.0.0/16") }, false, true},
		"link-local":     {func(i *policy.Instance) { i.Ports[0].Addresses = policytest.Nets("fe80::1") }, false, true},
		"address not free": {func(i *policy.Instance) {
			i.Ports[0].Allowed = []policy.AllowedAddress{{Prefix: policytest.Nets("10.99.0.9")[0], MAC: first.MAC}}
		}, false, false},
		"interface taken": {func(i *policy.Instance) {
			i.Host, i.Ports[0].Name = old.Instances[3].Host, first.Name
		}, false, false},
		"interface taken where it goes": {func(i *policy.Instance) {
			i.Host, i.MigratingTo, i.Ports[0].Name = "hv99", old.Instances[3].Host, first.Name
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var v policy.Validator
			require.Empty(t, v.Validate(old))
			next := with(old, c.edit)
			require.Equal(t, c.isKnown, v.Next(old, next))
			require.Equal(t, c.isValid, len(policy.Validate(next)) == 0)
			require.False(t, !c.isKnown && v.Next(old, old), "what was looked up by half is not used")
		})
	}
}

// What an instance had is free for the next one, and taken by who has it now; so it is with a moved
// one's interface on two hosts, and with MACs that are allowed elsewhere.
func TestNextForgetsAndRemembers(t *testing.T) {
	var v policy.Validator
	old := placed()
	old = with(old, func(i *policy.Instance) {
		i.MigratingTo = "hv2"
		i.Ports[0].Allowed = []policy.AllowedAddress{{Prefix: policytest.Nets("10.88.0.1")[0],
			MAC: policy.MAC{2, 0xbb, 0, 0, 0, 1}}}
	})
	require.Empty(t, v.Validate(old))
	without := &policy.Policy{Groups: old.Groups, Instances: old.Instances[:len(old.Instances)-1]}
	require.True(t, v.Next(old, without))
	heir := with(without, func(i *policy.Instance) { i.Name, i.Host = "heir", "hv2" })
	require.True(t, v.Next(without, heir), "all of it is free")
	rival := with(heir, func(i *policy.Instance) {
		i.Ports[0].Name, i.Ports[0].IfaceID = "tap-rival", ""
		i.Ports[0].Addresses = nil
	})
	require.False(t, v.Next(heir, rival), "its MAC is the heir's")
	require.NotEmpty(t, v.Validate(rival))

	require.Empty(t, v.Validate(old))
	own := with(old, func(i *policy.Instance) {
		*i = policy.Instance{Name: "own", Host: "hv3", Ports: []policy.Port{{Name: "tap-own",
			MAC: policy.MAC{2, 0xbb, 0, 0, 0, 1}}}}
	})
	require.False(t, v.Next(old, own), "that MAC is allowed elsewhere")
	require.NotEmpty(t, v.Validate(own))
}

// Groups: a rule that is new is looked at, and a group that goes, or is something else, may be named
// anywhere.
func TestNextOfGroups(t *testing.T) {
	old := placed()
	edit := func(n int, edit func(*policy.Group)) *policy.Policy {
		next := *old
		next.Groups = slices.Clone(old.Groups)
		g := *old.Groups[n]
		edit(&g)
		next.Groups[n] = &g
		return &next
	}
	for name, c := range map[string]struct {
		next             *policy.Policy
		isKnown, isValid bool
	}{
		"the same":  {old, true, true},
		"rule gone": {edit(1, func(g *policy.Group) { g.Rules = g.Rules[1:] }), true, true},
		"another one": {edit(1, func(g *policy.Group) {
			g.Rules = append(slices.Clone(g.Rules), policytest.Rule("ingress tcp 9", "group-002"))
		}), true, true},
		"bad peer": {edit(1, func(g *policy.Group) {
			g.Rules = append(slices.Clone(g.Rules), policytest.Rule("ingress tcp 9", "none"))
		}), false, false},
		"bad text": {edit(1, func(g *policy.Group) { g.Description = "\x00" }), false, false},
		"shared":   {edit(1, func(g *policy.Group) { g.Shared = true }), false, true},
		"renamed":  {edit(1, func(g *policy.Group) { g.Name = "other" }), false, false},
		"gone":     {&policy.Policy{Groups: old.Groups[1:], Instances: old.Instances}, false, false},
		"new": {&policy.Policy{Groups: append(slices.Clone(old.Groups), &policy.Group{Name: "zz"}),
			Instances: old.Instances}, true, true},
		"twice": {&policy.Policy{Groups: append(slices.Clone(old.Groups), &policy.Group{Name: old.Groups[0].Name}),
			Instances: old.Instances}, false, false},
		"in projects": {&policy.Policy{Projects: []*policy.Project{{Name: "p"}}, Groups: old.Groups,
			Instances: old.Instances}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var v policy.Validator
			require.Empty(t, v.Validate(old))
			require.Equal(t, c.isKnown, v.Next(old, c.next))
			require.Equal(t, c.isValid, len(policy.Validate(c.next)) == 0, policy.Validate(c.next))
		})
	}
	var v policy.Validator
	require.False(t, v.Next(old, old), "nothing was validated yet")
}

// Whatever happens, one change after the other: what Next says is valid is valid.
func TestNextNeverSaysMoreThanValidate(t *testing.T) {
	known := 0
	rapid.Check(t, func(t *rapid.T) {
		var v policy.Validator
		now := placed()
		require.Empty(t, v.Validate(now))
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			next := *now
			next.Instances = slices.Clone(now.Instances)
			for range rapid.IntRange(1, 3).Draw(t, "objects") {
				alter(t, &next)
			}
			problems := policy.Validate(&next)
			switch {
			case v.Next(now, &next):
				known++
				require.Empty(t, problems)
			case len(problems) > 0:
				require.NotEmpty(t, v.Validate(&next))
				require.Empty(t, v.Validate(now))
				continue
			default:
				require.Empty(t, v.Validate(&next))
			}
			now = &next
		}
	})
	require.Greater(t, known, 50)
}

// alter makes an instance another one, or takes it away, or adds one; of few names, MACs and
// addresses, so that they often contradict each other.
func alter(t *rapid.T, p *policy.Policy) {
	few := func(label string) int { return rapid.IntRange(0, 11).Draw(t, label) }
	i := &policy.Instance{Name: fmt.Sprintf("new-%d", few("name")), Host: fmt.Sprintf("hv%d", few("host")),
		Groups: []string{fmt.Sprintf("group-00%d", few("group")%5)},
		Ports: []policy.Port{{Name: fmt.Sprintf("tap-%d", few("interface")),
			MAC: policy.MAC{2, 0xcc, byte(few("MAC"))},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 9,
				byte(8 * few("address"))}), 32-3*(few("length")/11))}}}}
	if few("moves") == 0 {
		i.MigratingTo = "hv7"
	}
	if few("allows") == 0 {
		i.Ports[0].Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("10.8.8.8/32"),
			MAC: policy.MAC{2, 0xcc, byte(few("allowed MAC"))}}}
	}
	at := slices.IndexFunc(p.Instances, func(old *policy.Instance) bool { return old.Name == i.Name })
	switch kind := few("kind"); {
	case kind == 0 && len(p.Instances) > 0:
		n := rapid.IntRange(0, len(p.Instances)-1).Draw(t, "gone")
		p.Instances = slices.Delete(p.Instances, n, n+1)
	case at >= 0:
		p.Instances[at] = i
	default:
		p.Instances = append(p.Instances, i)
	}
}

// A change of one port costs the same among many as among few, but for a look at the list.
func BenchmarkNext(b *testing.B) {
	p := policytest.Fleet(policytest.FleetSize{Groups: 100, Rules: 6, Instances: 10_200,
		Local: 200}).Policy
	var v policy.Validator
	require.Empty(b, v.Validate(p))
	next := with(p, func(*policy.Instance) {})
	require.True(b, v.Next(p, next))
	for b.Loop() {
		if !v.Next(next, p) || !v.Next(p, next) {
			b.Fatal("it is valid")
		}
	}
}
