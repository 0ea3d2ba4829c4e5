package spec

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// World is all that a decision depends on beside the packet.
type World struct {
	Policy *policy.Policy
	Site   policy.Site
}

// Verdict is what the rules of one port say of one packet. The zero Verdict denies.
type Verdict struct {
	Admitted bool
	Group    string       // whose rule decided
	Rule     *policy.Rule // the rule that admits; nil where none is needed, or none does
	Reason   string
}

// Decision is what must happen to a packet. The zero Decision delivers to nobody.
type Decision struct {
	Ports  []string // the local ports that receive it, sorted
	Uplink bool     // it leaves by the uplinks
	// Egress and Ingress are the verdicts of the sender's and of the (last) receiver's rules, where
	// rules were asked.
	Egress, Ingress Verdict
	Reason          string // why nobody, or who, receives it
}

// Decide says what must happen to one packet. It is the specification: plain, slow, and the judge
// of the compiled flows.
func Decide(w World, p Packet) Decision {
	here := w.arrival(p)
	if reason := here.guard(p); reason != "" {
		return Decision{Reason: reason}
	}
	switch {
	case p.EtherType == policy.EtherARP:
		return here.deliverARP(p)
	case p.IsNeighborDiscovery():
		return here.deliverND(p)
	case here.kind == fromInstance && p.asksDHCPServers():
		return here.toServers("DHCP client")
	case p.DstMAC.IsMulticast():
		return here.deliverMulticast(p)
	}
	var egress Verdict
	if here.kind == fromInstance && p.IsIP() && !here.isRenewal(p) {
		if egress = w.judge(here.port, policy.Egress, p); !egress.Admitted {
			return Decision{Egress: egress, Reason: "egress: " + egress.Reason}
		}
	}
	d := here.deliver(p)
	d.Egress = egress
	return d
}

// judge asks the rules of one port. A connection is judged by the direction and the addresses of
// its first packet.
func (w World) judge(at *local, d policy.Direction, p Packet) Verdict {
	if d == policy.Egress && (p.FromDHCPServer() || p.IsNeighborDiscovery()) {
		return Verdict{Reason: "never from an instance"}
	}
	if p.shownProtocol() == 0 && p.Tuple.remote(d).IsUnspecified() {
		return Verdict{Reason: "nothing that could be read"}
	}
	if p.Fragment != Whole && !w.mayBelong(at, d, p) {
		return Verdict{Reason: "a fragment of nothing that a rule admits"}
	}
	c := p.Conntrack[at.Port.Name]
	switch c.Side {
	case Unknown, OriginalSide:
		return w.admits(at, d, p.Tuple, p.Fragment)
	case ReplySide:
		return w.admits(at, d.Opposite(), c.Original, p.Fragment)
	case RelatedOriginal:
		return w.admits(at, d, c.Original, Whole)
	case RelatedReply:
		return w.admits(at, d.Opposite(), c.Original, Whole)
	}
	return Verdict{Reason: "part of no connection"}
}

// admits says whether a rule of any of the port's groups admits a connection.
func (w World) admits(at *local, d policy.Direction, t Tuple, f Fragment) Verdict {
	restricted := d == policy.Ingress
	for _, name := range at.Instance.Groups {
		for _, g := range w.Policy.Groups {
			if g.Name != name {
				continue
			}
			for i := range g.Rules {
				r := &g.Rules[i]
				restricted = restricted || r.Direction == policy.Egress
				if r.Direction == d && fits(r, t, f) && w.isOneOf(r.Peers, t.remote(d)) {
					return Verdict{Admitted: true, Group: name, Rule: r, Reason: name + ": " + r.String()}
				}
			}
		}
	}
	if !restricted {
		return Verdict{Admitted: true, Reason: "egress is open: no group has an egress rule"}
	}
	return Verdict{Reason: "no rule admits " + d.String() + " " + policy.Protocol(t.Protocol).String()}
}

// remote returns the peer's address of a connection that was opened in direction d.
func (t Tuple) remote(d policy.Direction) netip.Addr {
	if d == policy.Egress {
		return t.Dst
	}
	return t.Src
}

// isOneOf says whether the address belongs to one of the peers of a rule.
func (w World) isOneOf(peers []policy.Peer, a netip.Addr) bool {
	for _, p := range peers {
		if w.isPeer(p, a) {
			return true
		}
	}
	return false
}

// isPeer says whether the address belongs to a peer.
func (w World) isPeer(p policy.Peer, a netip.Addr) bool {
	if p.Group == "" {
		return p.CIDR.Contains(a)
	}
	for _, m := range w.Policy.Members()[p.Group] {
		if m.Contains(a) {
			return true
		}
	}
	return false
}

// fits says whether a rule's service is that of the connection. Fragments behind the first show no
// ports, and those of IPv6 no protocol either: they pass with every service of the peer, and
// without their first fragment they are worth nothing.
func fits(r *policy.Rule, t Tuple, f Fragment) bool {
	if r.Protocol == policy.AnyProtocol {
		return true
	}
	if f == LaterFragment && t.Src.Is6() {
		return r.Protocol != policy.ICMP
	}
	if r.Protocol != policy.Protocol(t.Protocol) || r.Protocol == policy.ICMP && t.Src.Is6() ||
		r.Protocol == policy.ICMPv6 && t.Src.Is4() {
		return false
	}
	switch {
	case f == LaterFragment:
		return true
	case r.Protocol.HasPorts():
		for _, ports := range r.Ports {
			if ports.Contains(t.DstPort) {
				return true
			}
		}
		return false
	case r.Protocol.HasTypes():
		return (r.ICMPType == policy.AnyICMP || r.ICMPType == int16(t.ICMPType)) &&
			(r.ICMPCode == policy.AnyICMP || r.ICMPCode == int16(t.ICMPCode))
	}
	return true
}
