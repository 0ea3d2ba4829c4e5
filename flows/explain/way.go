package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Hop is one frame at the switch of one host: how it enters there, and who must get it for the
// frame to go on.
type Hop struct {
	Host   string
	Packet spec.Packet
	needs  needs
}

// needs is who must get a frame. The zero value needs nobody.
type needs struct {
	ports    []string // each of these
	uplink   bool     // and the uplinks
	somebody bool     // whoever it is
}

// metBy says whether a decision gives a frame to all who must get it.
func (n needs) metBy(d spec.Decision) bool {
	some := d.Uplink || len(d.Ports) > 0
	return (some || !n.somebody) && (d.Uplink || !n.uplink) && len(n.missing(d)) == 0
}

// missing returns the ports that must get a frame and do not.
func (n needs) missing(d spec.Decision) []string {
	return slices.DeleteFunc(slices.Clone(n.ports),
		func(port string) bool { return slices.Contains(d.Ports, port) })
}

// Decide asks the specification about the hop, at its host.
func (h Hop) Decide(w spec.World) spec.Decision { return spec.Decide(onHost(w, h.Host), h.Packet) }

// The ways that a packet may go. Between two instances it is not known which: addresses are written
// without the length of their network, and whether an instance takes another to be on its link is
// told by its own routes.
const (
	WayDirect = "directly on the link"
	WayRouted = "by a router"
)

// Way is one way of a packet from one end to the other: the frames that it is, and whether the
// guards let them pass. What the rules say is the same of all ways.
type Way struct {
	Name    string  `json:"way"`
	Verdict Outcome `json:"verdict"` // of guards and rules
	Guard   string  `json:"guard,omitempty"`

	hops []Hop // with the first service that was asked about
}

// place is where a frame comes from or goes to: a port, or somewhere behind the uplinks.
type place struct {
	host, port string
	mac        policy.MAC
}

// place returns where a point is, beside another.
func (p Point) place(other Point, ours string) place {
	if p.Instance == "" {
		return place{mac: p.mac}
	}
	return place{p.hostBeside(other, ours), p.Port, p.mac}
}

// hops returns the frames that carry a packet from one place to another: one on a host that has
// both, else one at each end that is a port.
func hops(from, to place, p spec.Packet) []Hop {
	p.SrcMAC, p.DstMAC = from.mac, to.mac
	return carried(from, to, p)
}

// carried is hops for a frame that has its MACs.
func carried(from, to place, p spec.Packet) []Hop {
	var out []Hop
	together := from.port != "" && to.port != "" && from.host == to.host
	if from.port != "" {
		p.From, p.FromUplink = from.port, false
		h := Hop{Host: from.host, Packet: p, needs: needs{uplink: !together}}
		if together {
			h.needs.ports = []string{to.port}
		}
		out = append(out, h)
	}
	if to.port != "" && !together {
		p.From, p.FromUplink = "", true
		out = append(out, Hop{Host: to.host, Packet: p, needs: needs{ports: []string{to.port}}})
	}
	return out
}

// ways returns the ways between two points: directly and, between two instances or where a gateway
// is one, by a router.
func (x *explainer) ways(from, to Point, asked Services) []Way {
	p := opening(from, to, asked)
	a, b := from.place(to, x.Site.Host), to.place(from, x.Site.Host)
	out := []Way{{Name: WayDirect, hops: hops(a, b, p)}}
	if !x.routed || nowhere(from, to) != "" || p.DstMAC.IsMulticast() ||
		to.Address.IsLinkLocalUnicast() || from.Address.IsLinkLocalUnicast() {
		return out
	}
	for _, r := range x.routers(from, to) {
		onward := p
		onward.HopLimit--
		out = append(out, Way{Name: WayRouted + r.name,
			hops: append(hops(a, r.place, p), hops(r.place, b, onward)...)})
	}
	chosen := slices.DeleteFunc(slices.Clone(out), func(w Way) bool {
		return !slices.ContainsFunc(x.only,
			func(kind string) bool { return strings.HasPrefix(w.Name, kind) })
	})
	if len(chosen) > 0 {
		return chosen
	}
	return out
}

// router is somebody who sends on what is for another network.
type router struct {
	place
	name string // " router-1" of an instance, "" behind the uplinks
}

// routers returns who may send packets on between two points. One behind the uplinks matters
// between two instances only: all else that leaves by the uplinks, or comes from there, looks the
// same with it and without.
func (x *explainer) routers(from, to Point) []router {
	var out []router
	behind := len(gateways(x.World, from.Address.Is6())) == 0
	for _, gateway := range gateways(x.World, from.Address.Is6()) {
		for _, p := range x.pointsAt(gateway) {
			switch {
			case p.Instance == "":
				behind = true
			case p.Port != from.Port && p.Port != to.Port:
				r := router{p.place(from, x.Site.Host), " " + p.Instance}
				if !slices.Contains(out, r) {
					out = append(out, r)
				}
			}
		}
	}
	if behind && from.Instance != "" && to.Instance != "" {
		out = append(out, router{place: place{mac: x.strangeMAC(netip.Addr{})}})
	}
	return out
}

// gateways returns those of one family that the settings list.
func gateways(w spec.World, v6 bool) []netip.Addr { return ofFamily(w.Site.Gateways, v6) }

// guard says of each way whether the guards let its frames pass, and returns how many ways they
// leave.
func (x *explainer) guard(ways []Way, from, to Point) int {
	passing := 0
	for n := range ways {
		if ways[n].Guard = x.guarded(ways[n], from, to); ways[n].Guard == "" {
			passing++
		}
	}
	return passing
}

// guarded says why a way is no way whatever the rules say, "" if the guards let its frames pass.
func (x *explainer) guarded(way Way, from, to Point) string {
	for _, h := range way.hops {
		d := h.Decide(opened(x.around(h)))
		if h.needs.metBy(d) {
			continue
		}
		return x.guardText(h, d, from, to)
	}
	return ""
}

// guardText says in words why a frame does not get on, though the rules admit everything.
func (x *explainer) guardText(h Hop, d spec.Decision, from, to Point) string {
	sender := h.Packet.From == from.Port && !h.Packet.FromUplink && from.Instance != ""
	last := to.Instance != "" && slices.Contains(h.needs.ports, to.Port)
	owner := x.userOf(h.Packet.DstMAC, h.Host)
	switch {
	case sender && !from.local.Port.Trusted && !usesPair(from.local.Port, from.mac, from.Address):
		return d.Reason + ": " + from.Port + " may use " + usesText(from.local.Port)
	case h.Packet.DstMAC.IsMulticast() && len(d.Ports) == 0 && !d.Uplink:
		return noMulticast
	case last && !to.local.Port.Trusted && !usesPair(to.local.Port, to.mac, to.Address):
		return "not an address of the receiver: " + to.Port + " has " + usesText(to.local.Port)
	case h.needs.uplink && owner != "":
		return "the MAC " + h.Packet.DstMAC.String() + " is also used by " + owner +
			" on the sender's host, so the frame does not leave it"
	}
	return d.Reason
}

// usesPair says whether a port may use an address with a MAC.
func usesPair(p *policy.Port, m policy.MAC, a netip.Addr) bool {
	return slices.ContainsFunc(p.Uses(),
		func(u policy.Use) bool { return u.MAC == m && u.Prefix.Contains(a) })
}

// userOf returns a port of a host that uses a MAC, "" if none does.
func (x *explainer) userOf(m policy.MAC, host string) string {
	for _, at := range x.index.having(m) {
		if l := x.index.placed(at); l.Instance.IsLocal(host) {
			return l.Port.Name
		}
	}
	return ""
}

// opened returns the world with rules that admit everything: what is dropped there is dropped by
// the guards.
func opened(w spec.World) spec.World {
	const name = "everything"
	everything := func(d policy.Direction, peer netip.Prefix) policy.Rule {
		return policy.Rule{Direction: d, Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
			ICMPCode: policy.AnyICMP, Peers: []policy.Peer{{CIDR: peer}}}
	}
	p := &policy.Policy{Groups: []*policy.Group{{Name: name, Rules: []policy.Rule{everything(policy.Ingress, allOf4), everything(policy.Ingress, allOf6),
		everything(policy.Egress, allOf4), everything(policy.Egress, allOf6)}}}}
	for _, i := range w.Policy.Instances {
		in := *i
		in.Groups = []string{name}
		p.Instances = append(p.Instances, &in)
	}
	return spec.World{Policy: p, Site: w.Site}
}
