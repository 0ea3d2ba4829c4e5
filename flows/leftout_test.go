package flows_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

// spoiled puts something into an input that no policy file can have and that cannot be compiled,
// and takes something out of it.
func spoiled(t *rapid.T, in flows.Input) flows.Input {
	in.Policy, in.Bindings = in.Policy.Clone(), slices.Clone(in.Bindings)
	kind := rapid.IntRange(0, 4).Draw(t, "spoiled")
	if kind >= 3 && len(in.Bindings) > 0 {
		b := &in.Bindings[rapid.IntRange(0, len(in.Bindings)-1).Draw(t, "spoiled binding")]
		*b = rapid.SampledFrom([]flows.Binding{{Port: b.Port},
			{Port: b.Port, OFPort: 0xff00, Zone: b.Zone, Epoch: 1},
			{Port: "nobody's", OFPort: 70, Zone: 70, Epoch: 1},
			{Port: b.Port, OFPort: in.Bindings[0].OFPort, Zone: 80, Epoch: 1},
			{Port: b.Port, OFPort: 80, Zone: in.Bindings[0].Zone, Epoch: 1},
			{Port: in.Bindings[0].Port, OFPort: 81, Zone: 81, Epoch: 1}}).Draw(t, "as what")
		return in
	}
	g := rapid.SampledFrom(in.Policy.Groups).Draw(t, "spoiled group")
	switch kind {
	case 0:
		r := policytest.DrawRule(t, []string{g.Name})
		r.Peers = nil
		g.Rules = append(g.Rules, r)
	case 1:
		g.ExternalSources = append(g.ExternalSources, netip.Prefix{})
	case 2:
		i := rapid.SampledFrom(in.Policy.Instances).Draw(t, "spoiled instance")
		i.Ports[0].Addresses = append(i.Ports[0].Addresses, netip.Prefix{})
	}
	return in
}

// What cannot be compiled is named, and all else is as if it were not there.
func TestTheRestIsCompiled(t *testing.T) {
	kinds := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		for range rapid.IntRange(1, 3).Draw(t, "how often") {
			in = spoiled(t, in)
		}
		program := compile(t, in)
		if err := flowtest.Lint(program.Flows, oppositeRules...); err != nil {
			t.Fatal(err)
		}
		rest := withoutLeftOut(in, program.LeftOut, kinds)
		want := compile(t, rest)
		if len(want.LeftOut) > 0 {
			t.Fatalf("left out of the rest: %v", want.LeftOut)
		}
		if left := openflow.Diff(want.Flows, program.Flows); !left.Empty() {
			t.Fatalf("%v left out: %v", program.LeftOut, left)
		}
	})
	t.Log(kinds)
	for _, kind := range []string{"port", "rule", "address", "source"} {
		require.Positive(t, kinds[kind], kind)
	}
}

// withoutLeftOut returns an input without what a program has left out. An egress rule becomes one
// that admits nothing.
func withoutLeftOut(in flows.Input, left []flows.LeftOut, kinds map[string]int) flows.Input {
	in.Policy, in.Bindings = in.Policy.Clone(), slices.Clone(in.Bindings)
	is := func(what string) bool {
		return slices.ContainsFunc(left, func(l flows.LeftOut) bool { return l.What == what })
	}
	for _, l := range left {
		if l.Port != "" {
			kinds["port"]++
			in.Bindings = slices.DeleteFunc(in.Bindings,
				func(b flows.Binding) bool { return b.Port == l.Port })
		}
	}
	for _, i := range in.Policy.Instances {
		for n := range i.Ports {
			p := &i.Ports[n]
			p.Addresses = slices.DeleteFunc(p.Addresses, func(a netip.Prefix) bool {
				if a.IsValid() || !is(fmt.Sprintf("address %s of port %s", a, p.Name)) && !is("port "+p.Name) {
					return false
				}
				kinds["address"]++
				return true
			})
		}
	}
	for _, g := range in.Policy.Groups {
		g.ExternalSources = slices.DeleteFunc(g.ExternalSources, func(a netip.Prefix) bool {
			gone := is(fmt.Sprintf("group %s: external source %s", g.Name, a))
			if gone {
				kinds["source"]++
			}
			return gone || !a.IsValid() // where nothing asks for it, nothing is left out
		})
		var rules []policy.Rule
		for _, r := range g.Rules {
			if is(fmt.Sprintf("group %s: %s", g.Name, r)) {
				kinds["rule"]++
				if r.Direction == policy.Egress {
					r.Peers = []policy.Peer{{Group: "nobody"}}
					rules = append(rules, r)
				}
				continue
			}
			rules = append(rules, r)
		}
		g.Rules = rules
	}
	return in
}

// What is left out takes nobody with it: a revocation in the same change is in the program. As
// soon as it can be compiled, it is there, as if it never had been away.
func TestLeftOutHoldsUpNobody(t *testing.T) {
	var c flows.Compiler
	in := flowtest.Seed()
	_, err := c.Update(in)
	require.NoError(t, err)
	before := c.Program()
	require.Contains(t, before.String(), "nw_src=203.0.113.31", "management reaches ssh")

	bad := in
	bad.Policy = in.Policy.Clone()
	frontend := bad.Policy.Groups[0]
	frontend.Rules = append(frontend.Rules[:2:2],
		policy.Rule{Direction: policy.Egress, Protocol: policy.TCP,
			At: policy.Position{File: "p.yaml", Line: 7, Column: 9}})
	bad.Bindings = slices.Clone(in.Bindings)
	bad.Bindings[1].Epoch = 0
	bad.Bindings = append(bad.Bindings,
		flows.Binding{Port: "nobody's", OFPort: 99, Zone: 99, Epoch: 1})
	bad.Policy.Instances[2].Ports[0].At = policy.Position{File: "p.yaml", Line: 30, Column: 5}
	delta, err := c.Update(bad)
	require.NoError(t, err)
	var told []string
	for _, l := range c.LeftOut() {
		told = append(told, l.String())
	}
	require.Equal(t, []string{
		"port nobody's: left out: no instance of this host has it",
		"p.yaml:7:9: group frontend: egress tcp 0 to nobody: left out: it names neither a group nor a network",
		"p.yaml:30:5: port tap-db-1: left out: OpenFlow port 2, zone 2, epoch 0: none may be 0",
	}, told)
	require.NotContains(t, c.Program().String(), "in_port=2,")
	require.NotContains(t, c.Program().String(), "table=32, priority=600,reg1=0x1 ",
		"egress is closed all the same")
	require.True(t, slices.ContainsFunc(delta.Delete, func(f openflow.Flow) bool {
		return f.Table == 52 && strings.Contains(f.Match.String(), "reg1=0x1") &&
			strings.Contains(f.Match.String(), "tp_dst=22")
	}), "the rule that was taken away: %v", delta.Delete)

	_, err = c.Update(in)
	require.NoError(t, err)
	require.Empty(t, c.LeftOut())
	require.Equal(t, before.String(), c.Program().String())
}

// A flow that is about no port, rule or address is not left out: the program stays what it was.
func TestUpdateSurvivesErrors(t *testing.T) {
	var c flows.Compiler
	in := flowtest.Seed()
	_, err := c.Update(in)
	require.NoError(t, err)
	before := c.Program().String()

	bad := in
	bad.Policy = in.Policy.Clone()
	bad.Policy.Groups[0].Rules = nil
	bad.Site.DHCPServers = []netip.Addr{{}}
	_, err = c.Update(bad)
	require.ErrorContains(t, err, "not a value of its field")
	require.Equal(t, before, c.Program().String())
	require.Equal(t, flows.FingerprintOf(c.Program().Flows), c.Fingerprint())

	delta, err := c.Update(in)
	require.NoError(t, err)
	require.True(t, delta.Empty())
	require.Equal(t, before, c.Program().String())
}

// tookBack fails unless a compiler has failed because of a flow of nobody's, and its program is what
// it was.
func tookBack(t *rapid.T, c *flows.Compiler, held []openflow.Flow, err error) {
	if !strings.Contains(err.Error(), "nobody's") {
		t.Fatalf("it could have been left out: %v", err)
	}
	if c.Fingerprint() != flows.FingerprintOf(held) ||
		flows.FingerprintOf(c.Program().Flows) != c.Fingerprint() {
		t.Fatalf("after %v the program has changed", err)
	}
}

// The same where the input is near enough to change the program in place: what was written before
// the failure is taken back. Nothing that a policy file can say makes a flow of nobody's fail there,
// so that a compiler is looked for which refuses one of those that name the ports.
func TestChangeThatFailsIsTakenBack(t *testing.T) {
	p := &policy.Policy{}
	for n := range 3 {
		name := fmt.Sprintf("p%d", n+1)
		p.Instances = append(p.Instances, &policy.Instance{Name: name, Host: "h",
			Ports: []policy.Port{{Name: name, MAC: smallMAC(n + 1),
				Addresses: []netip.Prefix{policytest.Hosts4[n], policytest.Hosts6[n]}}}})
	}
	in := flowtest.Bound(p, policy.Site{Host: "h"})
	next := in
	next.Bindings = slices.Clone(in.Bindings[1:]) // a port is gone, and one is somewhere else
	next.Bindings[0].OFPort += 100
	for salt := range 5000 {
		c := flows.NewNarrow(flows.Narrow{Bits: 48, Clauses: 4000, List: 4000, Pages: 1000,
			Refuses: 100, Salt: salt})
		if _, err := c.Update(in); err != nil {
			continue
		}
		before := c.Program()
		if _, err := c.Update(next); err == nil {
			continue
		}
		require.Equal(t, before.Flows, c.Program().Flows)
		require.Equal(t, flows.FingerprintOf(before.Flows), c.Fingerprint())
		delta, err := c.Update(in)
		require.NoError(t, err)
		require.True(t, delta.Empty(), delta)
		return
	}
	require.Fail(t, "no compiler refuses the second input alone")
}
