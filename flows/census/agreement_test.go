package census_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/assertion"
	"github.com/portcullis/portcullis/flows/census"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// universe has an address of each cell that the random worlds can have, and more.
func universe() []netip.Addr {
	var out []netip.Addr
	for _, s := range []string{"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
		"10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.254", "192.0.2.1", "192.0.2.77", "8.8.8.8",
		"172.16.0.1", "2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4",
		"2001:db8::5", "2001:db8::6", "2001:db8::7", "2001:db8::8", "2001:db8::77", "2001:db9::1",
		"fd00::1", "fe80::", "fe80::77", "fe80::a:b:c:d", "fe81::1"} {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// walker finds who is meant by an end, one by one.
type walker struct {
	w    spec.World
	r    explain.Reader
	held map[netip.Addr]bool // by some port alone
}

func newWalker(w spec.World) walker {
	out := walker{w, explain.Read(w), map[netip.Addr]bool{}}
	for _, i := range w.Policy.Instances {
		for _, n := range i.Ports[0].Addresses {
			if n.IsSingleIP() {
				out.held[n.Addr()] = true
			}
		}
	}
	return out
}

// ofInstance are its addresses; of its networks those that are nobody's own.
func (w walker) ofInstance(i *policy.Instance) []explain.Point {
	var out []explain.Point
	for _, a := range universe() {
		for _, n := range i.Ports[0].Networks() {
			if !n.Contains(a) || !n.IsSingleIP() && w.held[a] {
				continue
			}
			end, err := w.r.FindEnd(i.Ports[0].Name + "@" + a.String())
			if err == nil && !slices.ContainsFunc(out,
				func(p explain.Point) bool { return p.Address == a }) {
				out = append(out, end.Points...)
			}
		}
	}
	return out
}

// having is who has the addresses of a network.
func (w walker) having(n netip.Prefix) []explain.Point {
	nobody := func(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsMulticast() }
	var out []explain.Point
	for _, a := range universe() {
		if n.Contains(a) {
			for _, p := range w.r.PointsAt(a) {
				if p.Instance != "" || !nobody(a) || nobody(n.Addr()) && n.Bits() >= 10 {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func (w walker) of(e explain.End) []explain.Point {
	var out []explain.Point
	all4, all6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	outside := slices.DeleteFunc(slices.Concat(w.having(all4), w.having(all6)),
		func(p explain.Point) bool { return p.Instance != "" })
	switch {
	case e.Outside:
		return outside
	case e.Network.IsValid():
		return w.having(e.Network)
	case e.Any:
		out = outside
	case e.Points != nil:
		return e.Points
	}
	for _, g := range w.w.Policy.Groups {
		for _, n := range g.ExternalSources {
			if g.Name == e.Group {
				out = append(out, w.having(n)...)
			}
		}
	}
	for _, i := range w.w.Policy.Instances {
		if e.Any || slices.Contains(i.Groups, e.Group) || e.Host != "" && i.Host == e.Host {
			out = append(out, w.ofInstance(i)...)
		}
	}
	return out
}

// drawEnds draws a crowd, or less than one.
func drawEnd(t *rapid.T, w walker) explain.End {
	name := rapid.SampledFrom([]string{"any", "outside", "g0", "g1", "g2", "g0", "g1", "h", "x", "i0",
		"i1", "p2", "10.0.0.0/24", "10.0.0.0/29", "10.0.0.4/30", "192.0.2.0/24", "0.0.0.0/0", "::/0",
		"2001:db8::/32", "2001:db8::4/126", "10.0.0.8", "192.0.2.77", "10.0.0.7", "p0@10.0.0.9",
		"i1@10.0.0.1", "fe80::/16"}).Draw(t, "end")
	end, err := w.r.FindEnd(name)
	if err != nil {
		end, err = w.r.FindEnd("any")
	}
	require.NoError(t, err)
	return end
}

func drawAsked(t *rapid.T) explain.Asked {
	word := rapid.SampledFrom([]string{"any", "tcp", "udp", "icmp", "icmpv6", "ping", "tcp/80", "tcp/22",
		"tcp/79-81", "udp/53,tcp/80", "esp", "sctp/443", "udp/1023-1024"}).Draw(t, "service")
	asked, err := explain.ParseAsked(word)
	require.NoError(t, err)
	return asked
}

// What is said of crowds holds for each pair of their addresses: all are admitted, or none, or
// neither.
func TestCrowdsAgreeWithEachPair(t *testing.T) {
	met := map[string]int{}
	one := func(t *rapid.T) {
		w := newWalker(policytest.DrawWorld(t))
		from, to, asked := drawEnd(t, w), drawEnd(t, w), drawAsked(t)
		c := census.New(w.r, []explain.End{from, to})
		got, err := c.Ask(from, to, asked)
		require.NoError(t, err)
		for _, v6 := range []bool{false, true} {
			var want census.Counts
			for _, f := range w.of(from) {
				for _, t := range w.of(to) {
					if v, ok := w.verdict(f, t, asked, v6); ok {
						count(&want, v)
					}
				}
			}
			met[want.Verdict().String()]++
			require.Equal(t, want.All() > 0, got.Of(v6).All() > 0, "%v → %v %v %+v %+v", from, to, v6,
				want, got)
			require.Equal(t, want.Verdict(), got.Of(v6).Verdict(), "%v → %v %s IPv6 %v: %+v, not %+v", from,
				to, asked, v6, want, got)
		}
		heldByKinds(t, c, from, to, asked, got)
	}
	for range 5 {
		rapid.Check(t, one)
	}
	t.Log(met)
	for _, what := range []string{"admitted", "partly", "denied"} {
		require.Greater(t, met[what], 20, what)
	}
}

// verdict asks about one pair.
func (w walker) verdict(from, to explain.Point, s explain.Asked, v6 bool) (explain.Outcome, bool) {
	if from.Address.Is6() != v6 || to.Address.Is6() != v6 || len(s.Of(v6)) == 0 ||
		from.Instance == "" && to.Instance == "" || from.Port == to.Port {
		return 0, false
	}
	return w.r.Route(from, to, s).Verdict, true
}

func count(c *census.Counts, v explain.Outcome) {
	switch v {
	case explain.Admitted:
		c.Admitted++
	case explain.Partly:
		c.Partly++
	default:
		c.Denied++
	}
}

// heldByKinds holds the kinds of an answer against its counts, and each example against its kind.
func heldByKinds(t *rapid.T, c *census.Census, from, to explain.End, s explain.Asked,
	got *census.Answer) {
	pairs := 0
	kinds, err := c.Explain(from, to, s)
	require.NoError(t, err)
	for _, k := range kinds {
		pairs += k.Pairs
		require.Equal(t, k.Verdict, k.Example.Verdict, "%+v", k)
		require.Equal(t, k.Services.String(), k.Example.Services.String(), "%+v", k)
		require.NotZero(t, k.From.Instances+k.From.Elsewhere)
		require.NotZero(t, k.To.Instances+k.To.Elsewhere)
	}
	if len(kinds) < census.MostKinds {
		require.Equal(t, got.Pairs.All(), pairs)
	}
}

// Which packets pass directly, the specification itself says for each pair and service.
func TestCrowdsAgreeWithTheSpecification(t *testing.T) {
	met := map[explain.Outcome]int{}
	one := func(t *rapid.T) {
		w := newWalker(policytest.DrawWorld(t))
		from, to := drawEnd(t, w), drawEnd(t, w)
		p := rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP}).Draw(t, "protocol")
		port := rapid.SampledFrom([]uint16{22, 80, 81, 443, 1024}).Draw(t, "port")
		asked := explain.Ask(policy.Service{Protocol: p, Ports: policy.PortRange{First: port, Last: port},
			ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP})
		c := census.New(w.r, []explain.End{from, to}, explain.WayDirect)
		got, err := c.Ask(from, to, asked)
		require.NoError(t, err)
		var want census.Counts
		for _, f := range w.of(from) {
			for _, t := range w.of(to) {
				for _, v6 := range []bool{false, true} {
					if _, ok := w.verdict(f, t, asked, v6); !ok {
						continue
					}
					v := explain.Denied
					if decided(w.w, f, t, uint8(p), port) {
						v = explain.Admitted
					}
					count(&want, v)
				}
			}
		}
		met[want.Verdict()]++
		require.Equal(t, want.Verdict(), got.Verdict, "%v → %v %s: %+v, not %+v", from, to, asked, want,
			got)
		for _, verdict := range []explain.Outcome{explain.Admitted, explain.Denied} {
			claim, err := assertion.Parse(from.Name + " -> " + to.Name + " " + asked.String() + " " +
				verdict.String())
			require.NoError(t, err)
			results, mistakes := assertion.Run(w.r, []assertion.Test{{Claim: claim}}, explain.WayDirect)
			require.Empty(t, mistakes)
			holds := want.All() > 0 && want.Verdict() == verdict
			require.Equal(t, holds, results[0].Holds, "%+v %+v", results[0], want)
		}
	}
	for range 5 {
		rapid.Check(t, one)
	}
	t.Log(met)
	for _, v := range []explain.Outcome{explain.Admitted, explain.Partly, explain.Denied} {
		require.Greater(t, met[v], 10, v)
	}
}

// decided asks the specification about the first packet, at the sender's host and at the
// receiver's.
func decided(w spec.World, from, to explain.Point, protocol uint8, port uint16) bool {
	p := spec.Packet{From: from.Port, FromUplink: from.Instance == "", SrcMAC: from.MAC(),
		DstMAC: to.MAC(), EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: from.Address, Dst: to.Address, Protocol: protocol, SrcPort: 4000,
			DstPort: port}}
	if from.Address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	at := func(point, other explain.Point) string {
		for _, host := range []string{point.Host, other.Host} {
			if point.Instance != "" && host != "" {
				return host
			}
		}
		return w.Site.Host
	}
	here, there := at(from, to), at(to, from)
	if from.Instance != "" {
		w.Site.Host = here
		d := spec.Decide(w, p)
		if to.Instance != "" && here == there {
			return slices.Contains(d.Ports, to.Port)
		}
		if !d.Uplink || to.Instance == "" {
			return d.Uplink
		}
	}
	w.Site.Host = there
	p.From, p.FromUplink = "", true
	return slices.Contains(spec.Decide(w, p).Ports, to.Port)
}

// A list is complete if and only if nothing passes that is not in it.
func TestOthersAgreeWithEachPair(t *testing.T) {
	met := map[bool]int{}
	one := func(t *rapid.T) {
		w := newWalker(policytest.DrawWorld(t))
		at := drawEnd(t, w)
		var list []census.Entry
		ends := []explain.End{at}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			e := census.Entry{Who: drawEnd(t, w), Service: drawAsked(t)}
			list, ends = append(list, e), append(ends, e.Who)
		}
		d := rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "direction")
		got, err := census.New(w.r, ends).Others(at, d, list, [2]bool{true, true})
		require.NoError(t, err)
		want := w.others(at, d, list)
		met[want]++
		require.Equal(t, want, len(got) > 0, "%v %v %+v: %+v", at, d, list, got)
		for _, k := range got {
			require.NotEmpty(t, k.Example.Services, "%+v", k)
			require.Empty(t, k.Services.Minus(k.Example.Services))
		}
	}
	for range 5 {
		rapid.Check(t, one)
	}
	t.Log(met)
	require.Greater(t, met[false], 40)
	require.Greater(t, met[true], 40)
}

// others says whether anything passes that is not in a list.
func (w walker) others(at explain.End, d policy.Direction, list []census.Entry) bool {
	any := explain.Ask(explain.AnyService())
	var listed [][]explain.Point
	for _, e := range list {
		listed = append(listed, w.of(e.Who))
	}
	for _, far := range w.of(explain.End{Any: true}) {
		for _, near := range w.of(at) {
			from, to := far, near
			if d == policy.Egress {
				from, to = near, far
			}
			v6 := far.Address.Is6()
			if _, ok := w.verdict(from, to, any, v6); !ok {
				continue
			}
			rest := w.r.Route(from, to, any).Services
			for n := range list {
				same := func(p explain.Point) bool {
					return stands(p, far.Address) && p.Port == far.Port && p.MAC() == far.MAC()
				}
				if slices.ContainsFunc(listed[n], same) {
					rest = rest.Minus(list[n].Service.Of(v6))
				}
			}
			if len(rest) > 0 {
				return true
			}
		}
	}
	return false
}

// stands says whether a point is at an address, also as one of a network.
func stands(p explain.Point, a netip.Addr) bool {
	return p.Address == a || p.Network != "" && netip.MustParsePrefix(p.Network).Contains(a)
}

// An address that several ports may use is of each of them, also of one that has it by a network:
// here a machine without groups sends from the address of a member, which the members admit.
func TestAddressesOfANetworkThatOthersUseToo(t *testing.T) {
	machine := func(name string, last byte, own, allowed string, groups ...string) *policy.Instance {
		return &policy.Instance{Name: name, Groups: groups, Ports: []policy.Port{{Name: name,
			MAC: policytest.MAC(last), Addresses: policytest.Nets(own),
			Allowed: []policy.AllowedAddress{{Prefix: policytest.Nets(allowed)[0]}}}}}
	}
	w := spec.World{Policy: &policy.Policy{
		Groups: []*policy.Group{{Name: "g",
			Rules: []policy.Rule{policytest.Rule("ingress tcp 80", "g")}}},
		Instances: []*policy.Instance{machine("member", 1, "10.0.0.1", "10.0.0.7", "g"),
			machine("stranger", 2, "10.0.0.2", "10.0.0.4/30")}}, Site: policytest.Site}
	denied, err := assertion.Parse("0.0.0.0/0 -> 10.0.0.7 tcp/80 denied")
	require.NoError(t, err)
	results, mistakes := assertion.Run(explain.Read(w), []assertion.Test{{Claim: denied}},
		explain.WayDirect)
	require.Empty(t, mistakes)
	require.False(t, results[0].Holds, "%+v", results[0])
}
