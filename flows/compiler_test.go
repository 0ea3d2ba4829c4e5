package flows_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policytest"
)

// However an input is reached, by whatever changes, the program is that of the input alone, and
// each delta is what turned the one before into it: no more, no less. Meters, zone limits and the
// fingerprint agree too. Mostly many rules have one hash, and many flows.
func TestUpdateIsCompile(t *testing.T) {
	changes, mods, left, failed := 0, 0, map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		n := drawNarrow(t)
		n.Refuses = rapid.SampledFrom([]int{0, 100, 100, 1000}).Draw(t, "refuses")
		n.Salt = rapid.IntRange(0, 9999).Draw(t, "salt")
		n.Pages = rapid.SampledFrom([]int{1, 2, 1000}).Draw(t, "pages")
		c := flows.NewNarrow(n)
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		in.LastMeter = flows.MaxMeter
		var held []openflow.Flow
		for range rapid.IntRange(2, 8).Draw(t, "changes") {
			delta, err := c.Update(in)
			alone := flows.NewNarrow(n)
			if _, errAlone := alone.Update(in); (err == nil) != (errAlone == nil) {
				t.Fatalf("in steps: %v\nalone: %v", err, errAlone)
			}
			if err != nil {
				failed++
				tookBack(t, c, held, err)
				in = nextInput(t, in)
				continue
			}
			got, want := c.Program(), alone.Program()
			if ids, exact := flows.RuleIDsIn(c), flows.RuleIDsOf(c, in); !maps.Equal(ids, exact) {
				t.Fatalf("ids %v\nwant %v", ids, exact)
			}
			for _, l := range want.LeftOut {
				left[strings.Fields(l.What)[0]]++
			}
			if got.String() != want.String() || !slices.Equal(got.Unmetered, want.Unmetered) {
				t.Fatalf("in steps:\n%s\nalone:\n%s", got, want)
			}
			if exact := openflow.Diff(want.Flows, held); fmt.Sprint(delta) != fmt.Sprint(exact) {
				t.Fatalf("delta %v\nwant %v", delta, exact)
			}
			if c.Fingerprint() != flows.FingerprintOf(want.Flows) || c.Len() != len(want.Flows) {
				t.Fatalf("the mark is not that of the flows")
			}
			held = want.Flows
			changes, mods = changes+1, mods+delta.Len()
			in = nextInput(t, in)
		}
	})
	t.Logf("%d inputs, %d flow mods, left out %v, %d failed", changes, mods, left, failed)
	require.Greater(t, changes, 200)
	require.Greater(t, left["port"], 10)
	require.Greater(t, left["group"], 10)
	require.Positive(t, failed)
}

// nextInput draws another input: another policy, or something else about the ports and the switch.
func nextInput(t *rapid.T, in flows.Input) flows.Input {
	in.Bindings = slices.Clone(in.Bindings)
	switch change := rapid.IntRange(0, 10).Draw(t, "kind"); {
	case change == 0 && len(in.Bindings) > 0:
		n := rapid.IntRange(0, len(in.Bindings)-1).Draw(t, "unplugged")
		in.Bindings = slices.Delete(in.Bindings, n, n+1)
	case change == 1 && len(in.Bindings) > 0:
		b := &in.Bindings[rapid.IntRange(0, len(in.Bindings)-1).Draw(t, "moved")]
		b.OFPort, b.Zone, b.Epoch = b.OFPort+100,
			b.Zone+rapid.SampledFrom([]uint16{0, 100}).Draw(t, "zone"), b.Epoch+1
	case change == 2:
		in.LastMeter = rapid.Uint32Range(0, 20).Draw(t, "last meter")
	case change == 3:
		in.Uplinks = []flows.Uplink{{Name: "eth2", OFPort: rapid.Uint32Range(900, 903).Draw(t, "uplink")}}
	case change == 4:
		in.Policy = rearranged(t, in)
	case change == 5 && rapid.Bool().Draw(t, "spoil"):
		return spoiled(t, in)
	default:
		in.Policy = changed(t, spec.World{Policy: in.Policy, Site: in.Site}).Policy
	}
	return in
}

// rearranged returns the policy with an instance gone, back, or on another host, as far as the
// bindings allow; unchanged parts are shared.
func rearranged(t *rapid.T, in flows.Input) *policy.Policy {
	out := &policy.Policy{Groups: in.Policy.Groups, Instances: slices.Clone(in.Policy.Instances)}
	var free []int
	for n, i := range out.Instances {
		if !slices.ContainsFunc(in.Bindings,
			func(b flows.Binding) bool { return b.Port == i.Ports[0].Name }) {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return out
	}
	n := rapid.SampledFrom(free).Draw(t, "instance")
	if rapid.Bool().Draw(t, "gone") && len(out.Instances) > 1 {
		out.Instances = slices.Delete(out.Instances, n, n+1)
		return out
	}
	moved := *out.Instances[n]
	moved.Host = rapid.SampledFrom([]string{"h", "x", ""}).Draw(t, "host")
	out.Instances[n] = &moved
	return out
}

// A rule that matches nothing here, because its peer has no members, closes egress all the same.
func TestEgressClosesByARuleForNobody(t *testing.T) {
	var c flows.Compiler
	in := flowtest.Seed()
	_, err := c.Update(in)
	require.NoError(t, err)
	open := len(c.Program().Flows)
	in.Policy = in.Policy.Clone()
	in.Policy.Groups = append(in.Policy.Groups, &policy.Group{Name: "empty"})
	in.Policy.Groups[0].Rules = append(in.Policy.Groups[0].Rules,
		policytest.Rule("egress tcp 443", "empty"))
	delta, err := c.Update(in)
	require.NoError(t, err)
	require.Len(t, delta.Delete, 1)
	require.Contains(t, delta.Delete[0].String(), "table=32, priority=600,reg1=0x1 ")
	require.Len(t, c.Program().Flows, open-1)
}

// Two deltas one after the other are one, exactly: also where the second undoes part of the first.
func TestThenIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		var states [][]openflow.Flow
		for range 3 {
			states = append(states, compile(t, in).Flows)
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				in.Policy = w.Policy
			} else {
				in = nextInput(t, in)
			}
		}
		both := openflow.Diff(states[1], states[0]).Then(openflow.Diff(states[2], states[1]))
		if want := openflow.Diff(states[2], states[0]); fmt.Sprint(both) != fmt.Sprint(want) {
			t.Fatalf("%v\nwant %v", both, want)
		}
	})
}

// A change touches what it is about: the number of flow mods does not depend on what else there is.
func TestChangeCostsWhatItTouches(t *testing.T) {
	mods := func(elsewhere int, change func(*policy.Policy)) int {
		var c flows.Compiler
		in := cloud(50, elsewhere, 20, 2)
		_, err := c.Update(in)
		require.NoError(t, err)
		in.Policy = in.Policy.Clone()
		change(in.Policy)
		delta, err := c.Update(in)
		require.NoError(t, err)
		return delta.Len()
	}
	member := func(p *policy.Policy) {
		p.Instances = append(p.Instances,
			&policy.Instance{Name: "new", Host: "elsewhere", Groups: []string{"g3"}, Ports: []policy.Port{{
				Name: "new", MAC: policy.MAC{2, 9}, Addresses: policytest.Nets("192.0.2.1")}}})
	}
	gone := func(p *policy.Policy) { p.Instances = p.Instances[:len(p.Instances)-1] }
	ruled := func(p *policy.Policy) {
		p.Groups[3].Rules = append(p.Groups[3].Rules, policytest.Rule("ingress udp 1000", "192.0.2.0/24"))
	}
	for _, size := range []int{100, 10_000} {
		require.Equal(t, 2, mods(size, member), "one flow for each direction that names its group")
		require.Equal(t, 2, mods(size, gone))
		require.Equal(t, 10, mods(size, ruled),
			"its five ports, peer, two services, and what admits; one service is shared")
	}
}

// Of two rules with one hash both get an id, and the same ones, whichever came first and however
// the other got there.
func TestRulesOfOneHash(t *testing.T) {
	a, b := policytest.Rule("ingress tcp 19359", "10.0.0.0/16"),
		policytest.Rule("ingress tcp 446", "10.1.0.0/16")
	in := flowtest.Seed()
	in.Policy.Groups[0].Rules = append(in.Policy.Groups[0].Rules, a)
	with := func(rules ...policy.Rule) flows.Input {
		out := in
		out.Policy = in.Policy.Clone()
		out.Policy.Groups[0].Rules = append(out.Policy.Groups[0].Rules[:3:3], rules...)
		return out
	}
	var c flows.Compiler
	var mods []int
	for n, next := range []flows.Input{with(a), with(a, b), with(b), with(), with(b, a), with(a)} {
		delta, err := c.Update(next)
		require.NoError(t, err)
		mods = append(mods, delta.Len())
		alone, err := flows.Compile(next)
		require.NoError(t, err)
		require.Equal(t, alone.String(), c.Program().String(), "step %d", n)
	}
	require.Less(t, slices.Max(mods[1:]), 10, "only the flows of the two rules change")
	ids := flows.RuleIDs(with(a, b).Policy)
	require.NotEqual(t, ids[flows.RuleKey("frontend", a)], ids[flows.RuleKey("frontend", b)])
	require.Equal(t, flows.RuleIDs(with(a).Policy)[flows.RuleKey("frontend", a)],
		flows.RuleIDs(with(b).Policy)[flows.RuleKey("frontend", b)])
}

// Where two flows have one hash only these two are concerned: the later in order gets another
// cookie while the first is there. The flows from these addresses, in the group band of the
// ingress rules, have one hash.
func TestFlowsOfOneCookie(t *testing.T) {
	in := flowtest.Seed()
	member := func(n byte, address string) *policy.Instance {
		return &policy.Instance{Name: address, Host: "hv2", Groups: []string{"frontend"},
			Ports: []policy.Port{{Name: address, MAC: policy.MAC{2, 8, n},
				Addresses: policytest.Nets(address)}}}
	}
	a, b := member(1, "12.189.186.125"), member(2, "11.27.93.38")
	with := func(more ...*policy.Instance) flows.Input {
		out := in
		out.Policy = &policy.Policy{Groups: in.Policy.Groups,
			Instances: slices.Concat(in.Policy.Instances, more)}
		return out
	}
	var c flows.Compiler
	var held []openflow.Flow
	var sent []int
	for n, next := range []flows.Input{with(), with(a), with(a, b), with(b), with(b, a), with(a),
		with()} {
		delta, err := c.Update(next)
		require.NoError(t, err)
		alone, err := flows.Compile(next)
		require.NoError(t, err)
		require.Equal(t, alone.String(), c.Program().String(), "step %d", n)
		held = applied(held, delta)
		require.Equal(t, c.Fingerprint(), flows.FingerprintOf(held), "step %d", n)
		sent = append(sent, delta.Len())
		cookies := map[uint64]bool{}
		for _, f := range alone.Flows {
			require.False(t, cookies[f.Cookie], f)
			cookies[f.Cookie] = true
		}
	}
	require.Equal(t, []int{1, 2, 1, 1, 2, 1}, sent[1:],
		"b comes first in order: a, which was there, gets the next cookie")
}

// What a switch holds is compared without keeping it: flows that are missing, altered, foreign, or
// foreign with a cookie of ours.
func TestCompareFindsWhatDiffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		var c flows.Compiler
		if _, err := c.Update(in); err != nil {
			t.Fatal(err)
		}
		want := c.Program().Flows
		held := meddled(t, want)
		d, err := c.Compare(listed(held, nil))
		if err != nil {
			t.Fatal(err)
		}
		if d.Fingerprint != flows.FingerprintOf(held) || d.Held != len(held) ||
			(d.Fingerprint == c.Fingerprint()) != d.Delta().Empty() {
			t.Fatalf("%d flows differ, mark %v, program %v", d.Delta().Len(), d.Fingerprint, c.Fingerprint())
		}
		if left := applied(held, d.Delta()); flows.FingerprintOf(left) != c.Fingerprint() {
			t.Fatalf("%v\nleaves %v", d.Delta(), openflow.Diff(want, left))
		}
	})
}

// applied does to flows what a switch does with a delta.
func applied(held []openflow.Flow, d openflow.Delta) []openflow.Flow {
	left := map[openflow.Key]openflow.Flow{}
	for _, f := range held {
		left[f.Key()] = f
	}
	for _, f := range d.Delete {
		delete(left, f.Key())
	}
	for _, f := range d.Add {
		left[f.Key()] = f
	}
	out := make([]openflow.Flow, 0, len(left))
	for _, f := range left {
		out = append(out, f)
	}
	return out
}

// meddled returns flows of which some were deleted, altered, or added by somebody else.
func meddled(t *rapid.T, want []openflow.Flow) []openflow.Flow {
	held := slices.Clone(want)
	for range rapid.IntRange(0, 4).Draw(t, "meddlings") {
		n := rapid.IntRange(0, len(held)-1).Draw(t, "flow")
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			held = slices.Delete(held, n, n+1)
		case 1:
			held[n].Actions = openflow.ParseActions("output:666")
		case 2:
			held[n].Cookie++
		case 3:
			copied := held[n]
			copied.Match = openflow.ParseMatch(fmt.Sprintf("%s,pkt_mark=%d", copied.Match, len(held)))
			held = append(held, copied)
		}
	}
	return held
}

func listed(held []openflow.Flow, failure error) iter.Seq2[openflow.Flow, error] {
	return func(yield func(openflow.Flow, error) bool) {
		for _, f := range held {
			if !yield(f, nil) {
				return
			}
		}
		if failure != nil {
			yield(openflow.Flow{}, failure)
		}
	}
}

func TestCompareFails(t *testing.T) {
	var c flows.Compiler
	_, err := c.Update(flowtest.Seed())
	require.NoError(t, err)
	broken := errors.New("broken")
	_, err = c.Compare(listed(c.Program().Flows[:3], broken))
	require.ErrorIs(t, err, broken)
}

// memberAdded returns the input with one more member elsewhere, which shares all else.
func memberAdded(in flows.Input, n int) flows.Input {
	in.Policy = &policy.Policy{Groups: in.Policy.Groups,
		Instances: append(in.Policy.Instances[:len(in.Policy.Instances):len(in.Policy.Instances)],
			&policy.Instance{Name: "new", Host: "elsewhere", Groups: []string{"g3"},
				Ports: []policy.Port{{Name: "new", MAC: policy.MAC{2, 9},
					Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}),
						32)}}}})}
	return in
}

func BenchmarkMemberAdded(b *testing.B) {
	for _, elsewhere := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(elsewhere), func(b *testing.B) {
			var c flows.Compiler
			in := cloud(200, elsewhere, 100, 2)
			_, err := c.Update(in)
			require.NoError(b, err)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				next := memberAdded(in, n%200)
				delta, err := c.Update(next)
				if err != nil || delta.Len() > 4 {
					b.Fatal(delta, err)
				}
			}
		})
	}
}

func BenchmarkCompileAlone(b *testing.B) {
	in := cloud(200, 10_000, 100, 2)
	b.ReportAllocs()
	for b.Loop() {
		var c flows.Compiler
		if _, err := c.Update(in); err != nil {
			b.Fatal(err)
		}
	}
}
