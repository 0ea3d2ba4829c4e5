package flows_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// The small universe: instances a and b here and c elsewhere, groups g0 and g1, one outsider;
// addresses, ports and protocols of two bits each. Every policy of at most two rules of the
// universe meets every packet of it, and Decide and the fake switch agree.
//
// What is enumerated once instead of for every policy, and why that leaves nothing out:
//   - Everything outside the two rule tables is the same program for every policy and membership (requireSameOutside holds that). So a
//     packet that reaches no rule table under the empty policy reaches none under any, and its way is the same; that Decide does not
//     depend on the rules either is asked for the policies of one rule.
//   - Exchanging the names g0 and g1 gives the same world, so that with all 64 memberships only g0 needs to own the one rule.
//   - The order of two rules changes no byte (TestSameInputSameBytes), and a rule beside itself is one rule.
//   - What zones know of a packet leads, in tables that are the same for every policy, to one of two questions: "new" or "reply". Under
//     one membership the policies of one rule meet everything that zones may say, all others those two.
//
// PORTCULLIS_EXHAUSTIVE=1 runs every policy, else every 61st is run, each with all its
// packets.
func TestExhaustiveSmallWorlds(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) {
		t.Parallel()
		u := newUniverse(t, "10.0.0.%d", "10.0.0.2/31", "0.0.0.0/0",
			policytest.Rule("ingress icmp 8/0", "g0"))
		u.everyPacket()
		u.everySingleRule()
		u.everyMembership()
		u.everyPair()
		u.report()
	})
	t.Run("IPv6", func(t *testing.T) {
		t.Parallel()
		u := newUniverse(t, "2001:db8::%d", "2001:db8::2/127", "::/0",
			policytest.Rule("ingress icmpv6 128/0", "g0"))
		u.everyPacket()
		u.everySingleRule()
		u.report()
	})
}

// universe is all that there is, of one family.
type universe struct {
	t         *testing.T
	addresses [4]netip.Addr // of the outsider, a, b and c
	peers     [][]policy.Peer
	services  []policy.Rule   // as rules without direction and peer
	tuples    []spec.Tuple    // what a packet may carry beside its addresses
	Outside   []openflow.Flow // every flow that is not in a rule table
	every     int             // one of so many policies is run
	counts    map[string]int
}

// owned is a rule with its group.
type owned struct {
	group int
	Rule  policy.Rule
}

// memberships says which of the groups 1 (g0) and 2 (g1) each instance is a member of, as bits.
type memberships [3]int

// crossed is the membership under which all pairs of rules are run: an own group, a union of
// groups, and members elsewhere.
var crossed = memberships{1, 3, 2}

func newUniverse(t *testing.T, format, half, all string, echo policy.Rule) *universe {
	u := &universe{t: t, every: 61, counts: map[string]int{}}
	if os.Getenv("PORTCULLIS_EXHAUSTIVE") != "" {
		u.every = 1
	}
	for n := range u.addresses {
		u.addresses[n] = netip.MustParseAddr(fmt.Sprintf(format, n))
	}
	u.peers = [][]policy.Peer{{{Group: "g0"}}, {{Group: "g1"}}, {{CIDR: netip.MustParsePrefix(half)}},
		{{CIDR: netip.MustParsePrefix(all)}},
		{{Group: "g0"}, {CIDR: netip.MustParsePrefix(half)}},
		{{Group: "g1"}, {CIDR: netip.MustParsePrefix(half)}}}
	u.services = []policy.Rule{policytest.Rule("ingress any", "g0"),
		policytest.Rule("ingress tcp 1", "g0"), policytest.Rule("ingress tcp 2-3", "g0"),
		policytest.Rule("ingress tcp 1,3", "g0"), echo}
	for port := range uint16(4) {
		u.tuples = append(u.tuples, spec.Tuple{Protocol: uint8(policy.TCP), SrcPort: 9, DstPort: port},
			spec.Tuple{Protocol: uint8(policy.UDP), SrcPort: 9, DstPort: port})
		u.tuples = append(u.tuples,
			spec.Tuple{Protocol: uint8(echo.Protocol), ICMPType: uint8(echo.ICMPType) + 5*uint8(port/2),
				ICMPCode: uint8(port % 2)})
	}
	u.tuples = append(u.tuples, spec.Tuple{Protocol: uint8(policy.GRE)})
	u.Outside = withoutRules(u.compile(u.input(crossed)).Flows)
	return u
}

// rules lists every rule that the groups from first on may own.
func (u *universe) rules(groups ...int) []owned {
	var out []owned
	for _, g := range groups {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			for _, r := range u.services {
				for _, p := range u.peers {
					r.Direction, r.Peers = d, p
					out = append(out, owned{g, r})
				}
			}
		}
	}
	return out
}

// input returns the world with these rules.
func (u *universe) input(m memberships, rules ...owned) flows.Input {
	p := &policy.Policy{Groups: []*policy.Group{{Name: "g0"}, {Name: "g1"}}}
	for _, r := range rules {
		p.Groups[r.group].Rules = append(p.Groups[r.group].Rules, r.Rule)
	}
	for n, name := range []string{"a", "b", "c"} {
		i := &policy.Instance{Name: name, Host: []string{"h", "h", "x"}[n],
			Ports: []policy.Port{{Name: name, MAC: smallMAC(n + 1),
				Addresses: []netip.Prefix{netip.PrefixFrom(u.addresses[n+1], u.addresses[0].BitLen())}}}}
		for g := range p.Groups {
			if m[n]>>g&1 == 1 {
				i.Groups = append(i.Groups, p.Groups[g].Name)
			}
		}
		p.Instances = append(p.Instances, i)
	}
	return flowtest.Bound(p, policy.Site{Host: "h"})
}

func smallMAC(n int) policy.MAC { return policy.MAC{2, 0, 0, 0, 0, byte(n)} }

func (u *universe) compile(in flows.Input) *flows.Program {
	p, err := flows.Compile(in)
	require.NoError(u.t, err)
	return p
}

// withoutRules leaves out the rule tables.
func withoutRules(fs []openflow.Flow) []openflow.Flow {
	return slices.DeleteFunc(slices.Clone(fs),
		func(f openflow.Flow) bool { return f.Table == 32 || f.Table == 52 })
}

// pairOfSides is what the sender's zone and the receiver's know of a packet.
type pairOfSides [2]spec.Side

// The sides that zones may name; each zone has a mind of its own.
var (
	twoQuestions = sidePairs(spec.Unknown, spec.ReplySide)
	everySide    = sidePairs(spec.Unknown, spec.OriginalSide, spec.ReplySide, spec.Invalid)
)

func sidePairs(sides ...spec.Side) []pairOfSides {
	var out []pairOfSides
	for _, s := range sides {
		for _, r := range sides {
			out = append(out, pairOfSides{s, r})
		}
	}
	return out
}

// smallPacket is one packet, and the same as the fake switch takes it.
type smallPacket struct {
	spec.Packet
	seen flowtest.Packet
}

// packets lists the packets of the universe: honest ones, each to the owner of its destination, or,
// where forged ones are wanted too, from every port with every source address to every MAC.
func (u *universe) packets(sides []pairOfSides, who senders) []smallPacket {
	var out []smallPacket
	in := u.input(crossed)
	for from := range 3 { // the uplink, a, b
		for src := range u.addresses {
			for dst := range u.addresses {
				for to := range u.addresses {
					honest := to == dst && src != dst && (src == from || from == 0 && src == 3) &&
						(from != 0 || dst == 1 || dst == 2)
					if honest || who == allSenders {
						out = append(out, u.carrying(in, sides, from, src, dst, to)...)
					}
				}
			}
		}
	}
	return out
}

// senders says which packets are listed.
type senders uint8

const (
	validSenders senders = iota
	allSenders
)

// carrying lists the packets of one way with every content and everything that the zones on the way
// may know.
func (u *universe) carrying(in flows.Input, sides []pairOfSides, from, src, dst,
	to int) []smallPacket {
	var out []smallPacket
	names := []string{"", "a", "b", ""}
	for _, tuple := range u.tuples {
		for _, known := range sides {
			if from == 0 && known[0] != spec.Unknown || names[to] == "" && known[1] != spec.Unknown {
				continue // nobody's zone
			}
			for _, f := range []spec.Fragment{spec.Whole, spec.LaterFragment} {
				p := spec.Packet{From: names[from], FromUplink: from == 0, SrcMAC: smallMAC(src),
					DstMAC: smallMAC(to), EtherType: policy.EtherIPv4,
					HopLimit: 64, Fragment: f, Conntrack: map[string]spec.Connection{}}
				tuple.Src, tuple.Dst = u.addresses[src], u.addresses[dst]
				if tuple.Src.Is6() {
					p.EtherType = policy.EtherIPv6
				}
				first := tuple
				if slices.Contains(known[:], spec.ReplySide) {
					first.Src, first.Dst = tuple.Dst, tuple.Src
				}
				if p.Tuple = first; first != tuple {
					p.Tuple = policytest.Answer(first)
				}
				p.Conntrack[names[from]],
					p.Conntrack[names[to]] = spec.Connection{Side: known[0], Original: first},
					spec.Connection{Side: known[1], Original: first}
				out = append(out, smallPacket{p, flowtest.FromPolicy(p, in)})
			}
		}
	}
	return out
}

// everyPacket sends every packet, forged ones included, under the empty policy, and asks Decide
// about them under the policies of one rule: what reaches no rule is not decided by any.
func (u *universe) everyPacket() {
	in := u.input(crossed)
	sw, err := flowtest.New(u.compile(in).Flows)
	require.NoError(u.t, err)
	single := u.rules(0, 1)
	for n, p := range u.packets(everySide, allSenders) {
		want, asked := u.agree(in, sw, p)
		u.counts["packets of the empty policy"]++
		if asked {
			continue
		}
		r := single[n%len(single)]
		got := spec.Decide(spec.World{Policy: u.input(crossed, r).Policy, Site: in.Site}, p.Packet)
		require.Equal(u.t, flowtest.ReceiversOf(want), flowtest.ReceiversOf(got),
			"%+v\nreaches no rule, but %s decides it", p.Packet, r.Rule)
		u.counts["of them reach no rule"]++
	}
}

// everyMembership runs every policy of at most one rule under every membership; the rule is g0's.
func (u *universe) everyMembership() {
	packets := u.packets(twoQuestions, validSenders)
	for m := range 64 {
		for n, r := range append([]owned{{}}, u.rules(0)...) {
			members := memberships{m & 3, m >> 2 & 3, m >> 4}
			if n == 0 {
				u.world(packets, members)
			} else {
				u.world(packets, members, r)
			}
		}
	}
}

// everySingleRule runs every policy of one rule under one membership, with everything that zones
// may say.
func (u *universe) everySingleRule() {
	packets := u.packets(everySide, validSenders)
	for _, r := range u.rules(0, 1) {
		u.world(packets, crossed, r)
	}
}

// everyPair runs every policy of two rules under one membership.
func (u *universe) everyPair() {
	packets, rules := u.packets(twoQuestions, validSenders), u.rules(0, 1)
	for i, first := range rules {
		for _, second := range rules[:i] {
			u.world(packets, crossed, first, second)
		}
	}
}

// world runs one policy with all the packets, or skips it.
func (u *universe) world(packets []smallPacket, m memberships, rules ...owned) {
	u.counts["policies"]++
	if u.counts["policies"]%u.every != 0 {
		return
	}
	in := u.input(m, rules...)
	program := u.compile(in)
	u.requireSameOutside(program)
	sw, err := flowtest.New(program.Flows)
	require.NoError(u.t, err)
	for _, p := range packets {
		want, _ := u.agree(in, sw, p)
		u.counts["packets"]++
		if want.Uplink || len(want.Ports) > 0 {
			u.counts["delivered"]++
		}
	}
	u.counts["policies run"]++
}

func (u *universe) requireSameOutside(p *flows.Program) {
	got := withoutRules(p.Flows)
	if !slices.Equal(u.Outside, got) {
		require.Equal(u.t, u.Outside, got, "the policy shows outside the rule tables")
	}
}

// agree holds one packet against the specification, once with connections that are out of date and,
// where their ports admit them, again with current ones. It returns the decision and whether a rule
// table was asked.
func (u *universe) agree(in flows.Input, sw *flowtest.Switch, p smallPacket) (spec.Decision, bool) {
	want := spec.Decide(spec.World{Policy: in.Policy, Site: in.Site}, p.Packet)
	asked := u.forward(in, sw, p, p.seen, want)
	current := p.seen
	current.Known = maps.Clone(p.seen.Known)
	for _, b := range in.Bindings {
		known := current.Known[b.Zone]
		admitted := slices.Contains(want.Ports, b.Port) || b.Port == p.From && want.Egress.Admitted
		if admitted && (known.Side == spec.OriginalSide || known.Side == spec.ReplySide) {
			known.Mark = b.Epoch
			current.Known[b.Zone] = known
		}
	}
	if !maps.Equal(current.Known, p.seen.Known) {
		u.forward(in, sw, p, current, want)
		u.counts["packets of current connections"]++
	}
	return want, asked
}

func (u *universe) forward(in flows.Input, sw *flowtest.Switch, p smallPacket, seen flowtest.Packet,
	want spec.Decision) bool {
	got, err := sw.Forward(seen)
	require.NoError(u.t, err)
	if has, expect := flowtest.Receivers(in, got.Outputs), flowtest.ReceiversOf(want); has != expect ||
		len(got.Rewritten) > 0 {
		u.t.Fatalf("policy\n%s\npacket %+v\nspecification: %q, %s\nflows: %q, rewritten %v\n%s",
			policyfile.Marshal(in.Policy), p.Packet, expect, want.Reason, has,
			got.Rewritten, strings.Join(got.Trace, "\n"))
	}
	return slices.ContainsFunc(got.Trace, askedRules)
}

// askedRules says whether a line of a trace is of a rule table.
func askedRules(line string) bool {
	return strings.Contains(line, "table=32") || strings.Contains(line, "table=52")
}

func (u *universe) report() {
	u.t.Logf("%d policies, %d of them run: %v", u.counts["policies"], u.counts["policies run"],
		u.counts)
	require.Greater(u.t, u.counts["delivered"], u.counts["packets"]/20,
		"too few packets get anywhere for this test to mean much")
	require.Greater(u.t, u.counts["packets"]-u.counts["delivered"], u.counts["packets"]/20)
}
