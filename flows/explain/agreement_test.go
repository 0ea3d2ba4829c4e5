package explain_test

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// drawService draws a question for one packet.
func drawService(t *rapid.T) policy.Service {
	s := policy.Service{Protocol: rapid.SampledFrom(policytest.Protocols[1:]).Draw(t, "protocol"),
		ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	switch {
	case s.Protocol.HasPorts():
		port := rapid.SampledFrom(policytest.Ports).Draw(t, "port")
		s.Ports = policy.PortRange{First: port, Last: port}
	case s.Protocol.HasTypes():
		s.ICMPType, s.ICMPCode = int16(rapid.SampledFrom([]int{0, 3, 8, 128, 129}).Draw(t, "type")),
			int16(rapid.IntRange(0, 1).Draw(t, "code"))
	}
	return s
}

func drawEnd(t *rapid.T, w spec.World) explain.End {
	name := rapid.SampledFrom(slices.Concat(explain.Names(w), explain.Names(w),
		[]string{"10.0.0.8", "192.0.2.1", "2001:db9::1", "10.0.0.2", "2001:db8::3", "224.0.0.1",
			"255.255.255.255", "fe80::ff:fe00:1", "p0@10.0.0.9", "i1@10.0.0.1", "p1@192.0.2.1"})).Draw(t,
		"end")
	end, err := explain.FindEnd(w, name)
	var unknown *explain.ErrUnknownEnd
	if err != nil {
		require.ErrorAs(t, err, &unknown)
		end, err = explain.FindEnd(w, "198.51.100.1")
	}
	require.NoError(t, err)
	return end
}

// drawQuestion draws a question that a rule is about, or nearly, or any.
func drawQuestion(t *rapid.T, w spec.World) (from, to explain.End, s policy.Service) {
	at, r, ok := policytest.DrawTarget(t, w)
	if !ok || rapid.IntRange(0, 3).Draw(t, "aim") == 0 {
		return drawEnd(t, w), drawEnd(t, w), drawService(t)
	}
	_, address, ok := policytest.DrawPeer(t, w, rapid.SampledFrom(r.Peers).Draw(t, "rule's peer"))
	if !ok {
		return drawEnd(t, w), drawEnd(t, w), drawService(t)
	}
	var tuple spec.Tuple
	tuple.Src, tuple.Protocol = address,
		uint8(rapid.SampledFrom(policytest.Protocols[1:]).Draw(t, "protocol"))
	policytest.DrawServiceNear(t, &tuple, r)
	s = policy.Service{Protocol: policy.Protocol(tuple.Protocol), ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP}
	if s.Protocol.HasPorts() {
		s.Ports = policy.PortRange{First: max(1, tuple.DstPort), Last: max(1, tuple.DstPort)}
	}
	if s.Protocol.HasTypes() {
		s.ICMPType, s.ICMPCode = int16(tuple.ICMPType), int16(tuple.ICMPCode)
	}
	to, err := explain.FindEnd(w, at.Port)
	require.NoError(t, err)
	if from, err = explain.FindEnd(w, address.String()); r.Direction == policy.Egress {
		from, to = to, from
	}
	require.NoError(t, err)
	return from, to, s
}

// opens is the first packet of a connection between two points, made without the code under test.
func opens(w spec.World, from, to explain.Point, s policy.Service) spec.Packet {
	p := spec.Packet{From: from.Port, FromUplink: from.Instance == "", SrcMAC: macOf(w, from),
		DstMAC: macOf(w, to), EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: from.Address, Dst: to.Address, Protocol: uint8(s.Protocol)}}
	if from.Address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	if s.Protocol.HasPorts() {
		p.SrcPort, p.DstPort = 4000, s.Ports.First
	}
	if s.Protocol.HasTypes() {
		p.ICMPType, p.ICMPCode = uint8(s.ICMPType), uint8(s.ICMPCode)
	}
	return p
}

func macOf(w spec.World, p explain.Point) policy.MAC {
	switch {
	case p.Address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return policy.BroadcastMAC
	case p.Address.IsMulticast():
		return policy.MAC{1, 0, 0x5e, 0, 0, 1}
	}
	for _, i := range w.Policy.Instances {
		for _, port := range i.Ports {
			if port.Name != p.Port {
				continue
			}
			uses := port.Uses()
			own := func(u policy.Use) bool { return u.Prefix.Contains(p.Address) && u.MAC == port.MAC }
			any := func(u policy.Use) bool { return u.Prefix.Contains(p.Address) }
			if n := slices.IndexFunc(uses, any); n >= 0 && !slices.ContainsFunc(uses, own) {
				return uses[n].MAC
			}
			return port.MAC
		}
	}
	return policy.MAC{2, 9, 9, 9, 9, 9}
}

// decided asks the specification at the sender's host, and at the receiver's if that is another.
func decided(w spec.World, from, to explain.Point, p spec.Packet) bool {
	p.From, p.FromUplink = from.Port, from.Instance == ""
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
	if to.Instance == "" {
		return false
	}
	w.Site.Host = there
	p.From, p.FromUplink = "", true
	return slices.Contains(spec.Decide(w, p).Ports, to.Port)
}

// What is explained is what the specification decides, for each pair of addresses; and each rule
// that is named admits by itself.
func TestExplainAgreesWithTheSpecification(t *testing.T) {
	met := map[string]int{}
	one := func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		from, to, s := drawQuestion(t, w)
		got := explain.Explain(w, from, to, explain.Ask(s))
		met[got.Verdict.String()]++
		for _, r := range got.Routes {
			for _, pair := range r.Pairs {
				p := opens(w, pair.From, pair.To, s)
				met[waysAgree(t, w, r, pair, p)]++
				for _, j := range []*explain.Judgement{r.Egress, r.Ingress} {
					if j != nil {
						met[j.Direction+" "+j.Verdict.String()]++
						judgedAlone(t, w, pair, p, j)
					}
				}
			}
			if r.Guard != "" {
				met["guard"]++
				require.Nil(t, r.Egress)
			}
		}
	}
	for range 10 { // so that what is rare is met
		rapid.Check(t, one)
	}
	t.Log(met)
	for _, what := range []string{"admitted", "denied", "guard", "by each way", "by one way",
		"egress admitted", "egress denied", "ingress admitted", "ingress denied"} {
		require.Greater(t, met[what], 3, what)
	}
}

// waysAgree holds each way of a packet against the specification: directly, and by a router behind
// the uplinks, which has a MAC of its own.
func waysAgree(t *rapid.T, w spec.World, r explain.Route, pair explain.Pair, p spec.Packet) string {
	direct := decided(w, pair.From, pair.To, p)
	if len(r.Ways) == 0 {
		require.Equal(t, direct, r.Verdict == explain.Admitted, "%+v\n%+v\n%+v", pair, r, p)
		return "no way"
	}
	same := map[explain.Outcome]bool{}
	for _, way := range r.Ways {
		same[way.Verdict] = true
		want := direct
		switch way.Name {
		case explain.WayDirect:
		case explain.WayRouted:
			toRouter, fromRouter := p, p
			toRouter.DstMAC, fromRouter.SrcMAC = policy.MAC{2, 9, 9, 9, 9, 8}, policy.MAC{2, 9, 9, 9, 9, 8}
			// so that an instance of every host is where it was
			behind := explain.Point{Address: pair.To.Address, Host: pair.To.Host}
			want = decided(w, pair.From, behind, toRouter) &&
				decided(w, explain.Point{Address: pair.From.Address, Host: pair.From.Host}, pair.To, fromRouter)
		default:
			continue // by a router that is an instance
		}
		require.Equal(t, want, way.Verdict == explain.Admitted, "%s %+v\n%+v\n%+v", way.Name, pair, r, p)
		require.NotEqual(t, explain.Partly, way.Verdict, "one packet passes or does not")
	}
	require.Equal(t, len(same) > 1, r.Verdict == explain.Partly, "%+v", r)
	if len(same) > 1 {
		return "by one way"
	}
	return "by each way"
}

// judgedAlone keeps of the rules that a judgement is about only one at a time.
func judgedAlone(t *rapid.T, w spec.World, pair explain.Pair, p spec.Packet, j *explain.Judgement) {
	at, d := pair.From, policy.Egress
	if j.Direction == "ingress" {
		at, d = pair.To, policy.Ingress
	}
	verdict := func(keep func(group string, r policy.Rule) bool) spec.Verdict {
		w := spec.World{Policy: w.Policy.Clone(), Site: w.Site}
		for _, g := range w.Policy.Groups {
			g.Rules = slices.DeleteFunc(g.Rules,
				func(r policy.Rule) bool { return r.Direction == d && !keep(g.Name, r) })
		}
		// Decide at the host of the port that is judged. All others are elsewhere, or, the sender beside
		// it, not filtered, so that only this port's rules are asked.
		if w.Site.Host = at.Host; at.Host == "" {
			w.Site.Host = cmp.Or(pair.From.Host, "nowhere")
		}
		if d == policy.Ingress {
			p.From, p.FromUplink = "", true
		}
		for _, i := range w.Policy.Instances {
			switch {
			case i.Name == at.Instance:
			case d == policy.Ingress && i.Name == pair.From.Instance && i.IsLocal(w.Site.Host):
				i.Ports[0].Trusted = true
				p.From, p.FromUplink = i.Ports[0].Name, false
			default:
				i.Host, i.MigratingTo = "elsewhere", ""
			}
		}
		if d == policy.Egress {
			return spec.Decide(w, p).Egress
		}
		return spec.Decide(w, p).Ingress
	}
	for _, r := range j.Rules {
		alone := verdict(func(group string, o policy.Rule) bool {
			return group == r.Group && o.String() == r.Rule
		})
		require.True(t, alone.Admitted, "%s\n%+v", r, alone)
		require.NotNil(t, alone.Rule, r.Rule)
	}
	for _, n := range j.Nearest {
		require.NotEmpty(t, n.Missing)
		require.False(t, verdict(func(group string, o policy.Rule) bool {
			return group == n.Group && o.String() == n.Rule
		}).Admitted, n.Rule)
	}
	if j.Open {
		require.Nil(t, verdict(func(string, policy.Rule) bool { return true }).Rule)
	}
}

// Who may reach an end, and whom it may reach, is what is explained of each peer.
func TestPeersAgreeWithExplain(t *testing.T) {
	met := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		from, to, s := drawQuestion(t, w)
		d := rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "asked about")
		end := map[policy.Direction]explain.End{policy.Ingress: to, policy.Egress: from}[d]
		listed := map[[2]string]bool{}
		var outsideOf []explain.Reach
		for _, r := range explain.Peers(w, end, d, explain.Ask(s)) {
			outsideOf = append(outsideOf, r)
			for _, i := range r.Instances {
				for _, p := range r.Points {
					for _, peer := range i.Peers {
						listed[[2]string{p.String() + p.Port, peer.String() + peer.Port}] = true
					}
				}
			}
		}
		for _, name := range append(explain.Names(w), "198.51.100.1", "192.0.2.1", "10.0.0.8", "10.0.0.7",
			"10.0.0.6", "2001:db9::1") {
			peer, err := explain.FindEnd(w, name)
			require.NoError(t, err)
			_, err = netip.ParseAddr(name)
			byAddress := err == nil
			from, to := peer, end
			if d == policy.Egress {
				from, to = end, peer
			}
			for _, r := range explain.Explain(w, from, to, explain.Ask(s)).Routes {
				for _, pair := range r.Pairs {
					at, other := pair.To, pair.From
					if d == policy.Egress {
						at, other = pair.From, pair.To
					}
					want := len(r.Ways) > 0 && r.Ways[0].Verdict == explain.Admitted // directly
					met[want]++
					if other.Instance != "" && byAddress {
						continue // one of a network that is listed as a whole
					}
					if other.Instance != "" {
						require.Equal(t, want, listed[[2]string{at.String() + at.Port, other.String() + other.Port}],
							"%v %+v", pair, r)
					} else if r.Guard == "" {
						require.Equal(t, want, isOutside(outsideOf, at, other), "%v %+v\n%+v", pair, r, outsideOf)
					}
				}
			}
		}
	})
	t.Log(met)
}

func isOutside(reach []explain.Reach, at, other explain.Point) bool {
	for _, r := range reach {
		if !slices.Contains(r.Points, at) {
			continue
		}
		for _, o := range r.Outside {
			if o.Network.Contains(other.Address) {
				return true
			}
		}
	}
	return false
}
