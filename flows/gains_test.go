package flows_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policytest"
)

// Without some of its gains a policy permits nothing that it does not permit with them; without all
// of them nothing that the one before does not permit, either. What is left to gain is what was
// withheld.
func TestWithhold(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		before, after := w.Policy, nextPolicy(t, w)
		gains := policy.Gains(before, after)
		all := rapid.Bool().Draw(t, "all")
		out := map[policy.Gain]bool{}
		for _, g := range gains {
			if all || rapid.Bool().Draw(t, "withhold") {
				out[g] = true
				counts[map[policy.GainKind]string{policy.RuleGain: "rule", policy.SourceGain: "source",
					policy.OpeningGain:  "opening",
					policy.InstanceGain: "instance"}[g.Kind]]++
			}
		}
		left := policy.Withhold(before, after, out)
		require.Subset(t, keys(out), policy.Gains(left, after), "what is not withheld is there")
		in := func(p *policy.Policy) flows.Input { return flows.Input{Policy: p, Site: w.Site} }
		require.Empty(t, flows.RevokedPorts(in(left), in(after)), "nobody may do what he may not do in the end")
		if len(out) == len(gains) {
			require.Empty(t, flows.RevokedPorts(in(left), in(before)), "nor what he could not do at first")
		}
		if len(out) == 0 {
			require.Same(t, after, left)
		}
		program, err := flows.Compile(flowtest.Bound(left, w.Site))
		require.NoError(t, err)
		spelled := policy.Spelled(left)
		_, _, err = policyfile.Parse(
			[]strictyaml.File{{Name: "p.yaml", Data: policyfile.Marshal(spelled)}})
		if err == nil {
			counts["read back"]++
		} else if strings.Contains(err.Error(), "invisible") {
			t.Fatal(err)
		}
		again, err := flows.Compile(flowtest.Bound(spelled, w.Site))
		require.NoError(t, err)
		require.Equal(t, program.Flows, again.Flows)
	})
	t.Logf("%v", counts)
	for _, kind := range []string{"rule", "source", "opening", "instance"} {
		require.Positive(t, counts[kind], kind)
	}
}

// nextPolicy is a policy that a few changes make of another, or one that is quite different.
func nextPolicy(t *rapid.T, w spec.World) *policy.Policy {
	if rapid.Bool().Draw(t, "quite different") {
		return policytest.DrawWorld(t).Policy
	}
	after := w.Policy
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		after = nextInput(t, flows.Input{Policy: after, Site: w.Site}).Policy
	}
	return after
}

func keys(m map[policy.Gain]bool) (out []policy.Gain) {
	for g := range m {
		out = append(out, g)
	}
	return out
}

// trusts says whether a policy trusts the port of an interface.
func trusts(p *policy.Policy, name string) bool {
	return slices.ContainsFunc(p.Instances, func(i *policy.Instance) bool {
		return slices.ContainsFunc(i.Ports, func(port policy.Port) bool {
			return port.Name == name && port.Trusted
		})
	})
}

// lists says whether a link-local address is one that a port is to use.
func lists(p *policy.Policy, a netip.Addr) bool {
	uses := func(u policy.Use) bool { return u.Prefix.Contains(a) }
	return a.IsLinkLocalUnicast() && slices.ContainsFunc(p.Instances, func(i *policy.Instance) bool {
		return slices.ContainsFunc(i.Ports, func(port policy.Port) bool {
			return slices.ContainsFunc(port.Uses(), uses)
		})
	})
}

// The IP that one instance gets of another without the gains it would get with them, too. (At the
// uplink nobody is kept from the address of an instance that is not here yet; trusted ports hear
// who asks for DHCP servers, also of a port whose trust is withheld; and a link-local address that
// others may choose is theirs until the port is here that is to use it.)
func TestWithheldDeliversNothingElse(t *testing.T) {
	delivered := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		after := nextPolicy(t, w)
		out := map[policy.Gain]bool{}
		for _, g := range policy.Gains(w.Policy, after) {
			out[g] = true
		}
		now, left := spec.World{Policy: after, Site: w.Site},
			spec.World{Policy: policy.Withhold(w.Policy, after, out), Site: w.Site}
		for range 50 {
			p := policytest.DrawPacket(t, now)
			less, more := spec.Decide(left, p), spec.Decide(now, p)
			if p.EtherType != policy.EtherIPv4 && p.EtherType != policy.EtherIPv6 || p.FromUplink {
				continue
			}
			if lists(after, p.Src) || lists(after, p.Dst) || lists(after, p.ND.Target) {
				continue
			}
			asks := p.FromDHCPClient()
			for _, port := range less.Ports {
				delivered++
				if asks && trusts(left.Policy, port) {
					continue
				}
				if !slices.Contains(more.Ports, port) {
					t.Fatalf("%+v reaches %s (%s) without the gains %v only: %s", p, port, less.Reason, out,
						more.Reason)
				}
			}
		}
	})
	t.Logf("%d delivered", delivered)
	require.Positive(t, delivered)
}
