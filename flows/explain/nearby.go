package explain

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// The part of a world that the specification looks at when it decides about one frame. [spec.Decide]
// is plain and walks over all there is; what is here makes it small. Invariant: the decision about
// the frame is the same in the part and in the whole.

// decide asks the specification about a frame at its host.
func (x *explainer) decide(h Hop) spec.Decision { return h.Decide(x.around(h)) }

// nearby returns the part of the world that matters for a frame: the instances that have to do with
// its port, its MACs and its addresses, their groups and the groups that these name. What is not a
// unicast of IP may be for every port of the host, so that all of its instances are in it.
func (x *explainer) nearby(h Hop) spec.World {
	chosen := x.partners(h)
	p := &policy.Policy{Groups: x.groupsOf(chosen)}
	if isForMany(h.Packet) {
		chosen = append(chosen, x.index.local(h.Host)...)
	}
	slices.Sort(chosen)
	for _, n := range slices.Compact(chosen) {
		p.Instances = append(p.Instances, x.Policy.Instances[n])
	}
	return spec.World{Policy: p, Site: x.Site}
}

// isForMany says whether a frame may be for ports that it does not name.
func isForMany(p spec.Packet) bool {
	return !p.IsIP() || p.DstMAC.IsMulticast() || p.IsNeighborDiscovery()
}

// partners returns the instances that a frame names by a port, a MAC or an address.
func (x *explainer) partners(h Hop) []int32 {
	var out []int32
	add := func(list []portAt) {
		for _, at := range list {
			out = append(out, at.instance)
		}
	}
	for _, name := range append([]string{h.Packet.From}, h.needs.ports...) {
		if at, known := x.index.places().ports[name]; known {
			out = append(out, at.instance)
		}
	}
	p := h.Packet
	for _, m := range []policy.MAC{p.SrcMAC, p.DstMAC, p.ARP.SHA, p.ARP.THA, p.ND.SLL, p.ND.TLL} {
		if !m.IsZero() {
			add(x.index.having(m))
		}
	}
	for _, a := range []netip.Addr{p.Src, p.Dst, p.ARP.SPA, p.ARP.TPA, p.ND.Target} {
		add(x.index.using(a))
	}
	return out
}

// groupsOf returns the groups of some instances, and those that their rules name as peers.
func (x *explainer) groupsOf(instances []int32) []*policy.Group {
	var out []*policy.Group
	taken := map[string]bool{}
	take := func(name string) []*policy.Group {
		if taken[name] {
			return nil
		}
		taken[name] = true
		out = append(out, x.index.groups[name]...)
		return x.index.groups[name]
	}
	var own []*policy.Group
	for _, n := range instances {
		for _, name := range x.Policy.Instances[n].Groups {
			own = append(own, take(name)...)
		}
	}
	for _, g := range own {
		for n := range g.Rules {
			for _, p := range g.Rules[n].Peers {
				take(p.Group)
			}
		}
	}
	return out
}
