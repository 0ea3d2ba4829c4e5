package explain

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Outcome says whether all, some or nothing of what was asked about is admitted. The zero Outcome
// denies.
type Outcome uint8

// The outcomes.
const (
	Denied Outcome = iota
	Partly
	Admitted
)

// String returns the word.
func (o Outcome) String() string { return [...]string{"denied", "partly", "admitted"}[o] }

// MarshalText returns the word.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Explanation says whether connections may be opened from one end to another, and why.
type Explanation struct {
	From    string  `json:"from"` // as asked
	To      string  `json:"to"`
	Service string  `json:"service"`
	Verdict Outcome `json:"verdict"` // admitted: by each pair of addresses
	Reason  string  `json:"reason,omitempty"`
	Routes  []Route `json:"routes"`

	Exchanges []Exchange `json:"exchanges,omitempty"` // of a [Conversation]
}

// Pair is one address at each end.
type Pair struct {
	From   Point   `json:"from"`
	To     Point   `json:"to"`
	Frames []Frame `json:"-"` // that the first packet is, by each of its ways
}

// Frame is one frame at the switch of one host, and which it is of those that are explained.
type Frame struct {
	What string
	Hop  Hop
}

// Route is what holds for some pairs of addresses alike.
type Route struct {
	Pairs    []Pair     `json:"pairs"`
	Verdict  Outcome    `json:"verdict"`
	Services Services   `json:"services"`        // what passes of the question
	Guard    string     `json:"guard,omitempty"` // why no rule is asked and nothing passes by any way
	Ways     []Way      `json:"ways,omitempty"`  // more than one where it is not known which it takes
	Egress   *Judgement `json:"egress,omitempty"`
	Ingress  *Judgement `json:"ingress,omitempty"`
	// of the question, by the ports of DHCP, where rules do not decide about that alone
	DHCP []Step `json:"dhcp,omitempty"`
}

// Explain says whether connections of a service may be opened from one end to another, both of them
// with points. It agrees with [spec.Decide] about the first packet, a whole datagram, at the
// sender's host and at the receiver's; replies and what is related pass with it. Where it may go by
// several ways, it is asked about all of them, or about those of one kind only: [WayDirect] or
// [WayRouted].
func (r Reader) Explain(from, to End, s Asked, only ...string) Explanation {
	x := r.explainer()
	x.only = only
	return x.explain(from, to, s)
}

func (x *explainer) explain(from, to End, s Asked) Explanation {
	x.routed = true
	out := Explanation{From: from.Name, To: to.Name, Service: s.String(), Routes: []Route{}}
	for _, f := range from.Points {
		for _, t := range to.Points {
			if f.Address.Is4() != t.Address.Is4() || len(s.Of(f.Address.Is6())) == 0 {
				continue
			}
			r := x.route(f, t, s)
			r.DHCP = x.dhcpBeside(r, s)
			if n := slices.IndexFunc(out.Routes, r.isLike); n >= 0 {
				out.Routes[n].Pairs = append(out.Routes[n].Pairs, r.Pairs...)
				continue
			}
			out.Routes = append(out.Routes, r)
		}
	}
	if len(out.Routes) == 0 {
		out.Reason = s.reasonOfNone(from, to)
		return out
	}
	verdicts := map[Outcome]bool{}
	for _, r := range out.Routes {
		verdicts[r.Verdict] = true
		for _, s := range r.DHCP {
			verdicts[s.Verdict] = true
		}
	}
	out.Verdict = Partly
	if len(verdicts) == 1 {
		out.Verdict = out.Routes[0].Verdict
	}
	return out
}

// isLike says whether another route is the same but for its addresses.
func (r Route) isLike(o Route) bool {
	way := func(a, b Way) bool {
		return a.Name == b.Name && a.Verdict == b.Verdict && a.Guard == b.Guard
	}
	return r.Verdict == o.Verdict && r.Guard == o.Guard && slices.Equal(r.Services, o.Services) &&
		r.Egress.isLike(o.Egress) &&
		r.Ingress.isLike(o.Ingress) && slices.EqualFunc(r.Ways, o.Ways, way) &&
		len(r.DHCP)+len(o.DHCP) == 0 &&
		r.Pairs[0].From.Port == o.Pairs[0].From.Port && r.Pairs[0].To.Port == o.Pairs[0].To.Port
}

// Reader answers questions about one world, of several goroutines at once.
type Reader struct {
	index *Index
	site  policy.Site
}

// Read looks a world up. Who asks again and again keeps what it returns.
func Read(w spec.World) Reader { return Reader{NewIndex(w.Policy), w.Site} }

// At returns a reader of a policy that was looked up, at a site.
func (x *Index) At(s policy.Site) Reader { return Reader{x, s} }

// explainer is a world with what is looked up again and again; each question has its own.
type explainer struct {
	spec.World
	index  *Index
	around func(Hop) spec.World // what of the world matters for a frame: nearby
	routed bool                 // ways by routers are asked about, too
	only   []string             // the ways that are asked about, if there are any of them; empty = all

	networks map[string][]networkOf // of groups, beside their members' own addresses
	named    map[*policy.Rule]Named
}

func (r Reader) explainer() *explainer {
	x := &explainer{World: spec.World{Policy: r.index.policy, Site: r.site}, index: r.index,
		networks: map[string][]networkOf{}, named: map[*policy.Rule]Named{}}
	x.around = x.nearby
	return x
}

// setOf returns the addresses of networks.
func setOf(networks ...netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, n := range networks {
		b.AddPrefix(n)
	}
	set, _ := b.IPSet() // it fails only of networks that are not valid
	return set
}

// hasPeer says whether an address belongs to one of the peers of a rule.
func (x *explainer) hasPeer(r *policy.Rule, a netip.Addr) bool {
	return slices.ContainsFunc(r.Peers, func(p policy.Peer) bool { return x.isPeer(p, a) })
}

// isPeer says whether an address belongs to a peer.
func (x *explainer) isPeer(p policy.Peer, a netip.Addr) bool {
	if p.Group == "" {
		return p.CIDR.Contains(a)
	}
	members := x.index.members(p.Group)
	return members != nil && members.Contains(a)
}

// route says what becomes of a service between two points of one family.
func (x *explainer) route(from, to Point, s Asked) Route {
	asked := s.Of(from.Address.Is6())
	r := Route{Pairs: []Pair{{From: from, To: to}}, Guard: nowhere(from, to)}
	ways := x.ways(from, to, asked)
	for _, w := range ways {
		for _, h := range w.hops {
			r.Pairs[0].Frames = append(r.Pairs[0].Frames, Frame{w.Name, h})
		}
	}
	if r.Guard != "" {
		return r
	}
	r.Ways = ways
	passing := x.guard(ways, from, to)
	if passing == 0 {
		r.Guard = ways[0].Guard
		return r
	}
	r.Services = asked
	if from.isJudged() {
		r.Egress = x.judge(policy.Egress, from, to, asked)
		r.Services = r.Services.Intersect(r.Egress.Services)
	}
	if to.isJudged() {
		r.Ingress = x.judge(policy.Ingress, to, from, asked)
		r.Services = r.Services.Intersect(r.Ingress.Services)
	}
	r.Verdict = outcome(r.Services, asked)
	for n := range r.Ways {
		if r.Ways[n].Guard == "" {
			r.Ways[n].Verdict = r.Verdict
		}
	}
	if passing < len(r.Ways) && r.Verdict == Admitted {
		r.Verdict = Partly
	}
	return r
}

// isJudged says whether the point is at a port whose rules are asked.
func (p Point) isJudged() bool { return p.Instance != "" && !p.local.Port.Trusted }

func outcome(passes, asked Services) Outcome {
	switch {
	case len(passes) == 0:
		return Denied
	case len(asked.Minus(passes)) == 0:
		return Admitted
	}
	return Partly
}

// nowhere says why there is no way at all between two points, "" if there is one.
func nowhere(from, to Point) string {
	switch {
	case from.Instance == "" && to.Instance == "":
		return "neither end is an instance of the policy"
	case from.Port == to.Port:
		return "a port sends nothing to itself by way of the switch"
	}
	return ""
}

// noMulticast is why a multicast of IP ends at the switch.
const noMulticast = "broadcast and multicast reach nobody"

// onHost returns the world as another host sees it.
func onHost(w spec.World, host string) spec.World {
	w.Site.Host = host
	return w
}

// hostBeside returns the host of a point: an instance without one is on the other's, or else on
// ours.
func (p Point) hostBeside(other Point, ours string) string {
	switch {
	case p.Host != "":
		return p.Host
	case p.Instance != "" && other.Host != "":
		return other.Host
	}
	return ours
}

// opening is the first packet of a connection, as it enters the sender's switch.
func opening(from, to Point, asked Services) spec.Packet {
	p := spec.Packet{From: from.Port, FromUplink: from.Instance == "", SrcMAC: from.mac,
		DstMAC: to.mac, EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: asked.Sample(from.Address, to.Address)}
	if from.Address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	return p
}
