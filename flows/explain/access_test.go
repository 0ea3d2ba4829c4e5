package explain_test

import (
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

// Whatever passes under one policy only is told of by a line; and each line tells of what passes
// under one policy only.
func TestAccessChangesAreTold(t *testing.T) {
	met := map[string]int{}
	one := func(t *rapid.T) {
		before := policytest.DrawWorld(t)
		after := spec.World{Policy: policytest.DrawSuccessor(t, before.Policy), Site: before.Site}
		changes := explain.CompareAccess(before.Policy, after.Policy)
		same := explain.CompareAccess(after.Policy, saidAgain(after.Policy))
		require.True(t, same.Empty(), "%+v", same)
		back := explain.CompareAccess(after.Policy, before.Policy)
		require.Equal(t, len(changes.Loses), len(back.Gains), "what is lost one way is gained the other")
		for range 12 {
			p := policytest.DrawPacket(t, before)
			p.Conntrack, p.Fragment = nil, spec.Whole // a new connection
			was, is := spec.Decide(before, p), spec.Decide(after, p)
			switch {
			case passes(was) && !passes(is):
				met["lost"]++
				require.True(t, isNamedBy(changes.Loses, before, p) || touches(changes.Ports, before, after, p),
					"%+v\nbefore %+v\nafter %+v\n%+v", p, was, is, changes)
			case !passes(was) && passes(is):
				met["gained"]++
				require.True(t, isNamedBy(changes.Gains, after, p) || touches(changes.Ports, before, after, p),
					"%+v\nbefore %+v\nafter %+v\n%+v", p, was, is, changes)
			default:
				met["same"]++
			}
		}
		for _, c := range changes.Loses {
			met["loses"]++
			met["except"] += len(c.Except)
			witnessed(t, c, before, after)
		}
		for _, c := range changes.Gains {
			met["gains"]++
			witnessed(t, c, after, before)
		}
	}
	for range 8 { // so that what is rare is met
		rapid.Check(t, one)
	}
	t.Log(met)
	for _, what := range []string{"lost", "gained", "loses", "gains", "except"} {
		require.Greater(t, met[what], 3, what)
	}
}

func passes(d spec.Decision) bool { return d.Uplink || len(d.Ports) > 0 }

// isNamedBy says whether a line is about this packet at its sender or at a receiver.
func isNamedBy(lines []explain.AccessChange, w spec.World, p spec.Packet) bool {
	for _, i := range w.Policy.Instances {
		for _, c := range lines {
			remote := p.Src
			if c.Direction == "egress" {
				remote = p.Dst
			}
			at := c.Direction == "egress" && i.Ports[0].Name == p.From || c.Direction == "ingress" &&
				i.Ports[0].Name != p.From
			in := func(n netip.Prefix) bool { return n.Contains(remote) }
			if at && slices.Contains(c.Instances, i.Name) && slices.ContainsFunc(c.Networks, in) &&
				!slices.ContainsFunc(c.Except, in) && c.Services.Contains(p.Tuple) {
				return true
			}
		}
	}
	return false
}

// touches says whether a port that is not what it was has to do with a packet: by its name, a MAC
// or an address. A port that is gone no longer keeps the uplink from its MAC, neither in the frame
// nor inside an ARP packet.
func touches(changes []explain.PortChange, before, after spec.World, p spec.Packet) bool {
	named := []policy.MAC{p.SrcMAC, p.DstMAC, p.ARP.SHA}
	for _, c := range changes {
		for _, ref := range c.Ports {
			for _, i := range slices.Concat(before.Policy.Instances, after.Policy.Instances) {
				port := i.Ports[0]
				if port.Name != ref.Port {
					continue
				}
				uses := func(u policy.Use) bool {
					has := func(a netip.Addr) bool { return a.IsValid() && u.Prefix.Contains(a) }
					return slices.Contains(named, u.MAC) || has(p.Src) || has(p.Dst) || has(p.ARP.SPA) ||
						has(p.ARP.TPA) || has(p.ND.Target)
				}
				if port.Name == p.From || slices.Contains(named, port.MAC) || p.DstMAC.IsMulticast() ||
					slices.ContainsFunc(port.Uses(), uses) {
					return true
				}
			}
		}
	}
	return false
}

// witnessed holds a line against the two policies: the first address of its first network, by a
// service of the line.
func witnessed(t *rapid.T, c explain.AccessChange, has, lacks spec.World) {
	require.NotEmpty(t, c.Instances)
	require.NotEmpty(t, c.Networks)
	for _, name := range c.Instances {
		for _, n := range c.Networks {
			s := c.Services
			if slices.ContainsFunc(c.Except, func(e netip.Prefix) bool { return e.Contains(n.Addr()) }) {
				continue
			}
			if n.Addr().Is6() {
				s = s.Intersect(explain.ServicesOf(policy.Service{Protocol: policy.AnyProtocol}, true))
			}
			require.Equal(t, s, admittedBeyond(has, name, c.Direction, n.Addr(), s), "%s %+v", name, c)
			require.Empty(t, admittedBeyond(lacks, name, c.Direction, n.Addr(), s), "%s %+v", name, c)
		}
	}
}

// admittedBeyond asks the specification rule by rule: which of some services the rules of an
// instance admit to or from an address.
func admittedBeyond(w spec.World, name, direction string, remote netip.Addr,
	s explain.Services) explain.Services {
	var out explain.Services
	members, open := w.Policy.Members(), direction == "egress"
	for _, i := range w.Policy.Instances {
		for _, g := range w.Policy.Groups {
			if i.Name != name || !slices.Contains(i.Groups, g.Name) {
				continue
			}
			for _, r := range g.Rules {
				open = open && r.Direction != policy.Egress
				in := slices.ContainsFunc(r.Peers, func(p policy.Peer) bool {
					return p.Group == "" && p.CIDR.Contains(remote) || p.Group != "" &&
						slices.ContainsFunc(members[p.Group],
							func(m netip.Prefix) bool { return m.Contains(remote) })
				})
				if r.Direction.String() != direction || !in {
					continue
				}
				ranges := r.Ports
				if !r.Protocol.HasPorts() {
					ranges = []policy.PortRange{{}}
				}
				for _, ports := range ranges {
					asked := policy.Service{Protocol: r.Protocol, Ports: ports, ICMPType: r.ICMPType,
						ICMPCode: r.ICMPCode}
					out = out.Union(explain.ServicesOf(asked, remote.Is6()))
				}
			}
		}
	}
	if open {
		return s
	}
	return out.Intersect(s)
}

// saidAgain returns a policy that says the same in another order, with every rule twice and each
// CIDR in two halves.
func saidAgain(old *policy.Policy) *policy.Policy {
	p := old.Clone()
	slices.Reverse(p.Groups)
	slices.Reverse(p.Instances)
	for _, g := range p.Groups {
		slices.Reverse(g.Rules)
		for _, r := range slices.Clone(g.Rules) {
			r.Description, r.At.Line = "again", 7
			g.Rules = append(g.Rules, r)
			halves, isCut := inHalves(r.Peers)
			if !isCut {
				continue
			}
			g.Rules = slices.DeleteFunc(g.Rules,
				func(o policy.Rule) bool { return o.String() == r.String() })
			for n := range halves { // the list, and each of its peers in a rule of its own
				r.Peers = halves
				g.Rules = append(g.Rules, r)
				r.Peers = halves[n : n+1]
				g.Rules = append(g.Rules, r)
			}
		}
	}
	return p
}

// inHalves cuts each network of a list.
func inHalves(peers []policy.Peer) (out []policy.Peer, isCut bool) {
	for _, p := range peers {
		n := p.CIDR
		if p.Group != "" || n.IsSingleIP() {
			out = append(out, p)
			continue
		}
		low := netip.PrefixFrom(n.Addr(), n.Bits()+1)
		high := low.Addr().AsSlice()
		high[n.Bits()/8] |= 0x80 >> (n.Bits() % 8)
		half, _ := netip.AddrFromSlice(high)
		out = append(out, policy.Peer{CIDR: low},
			policy.Peer{CIDR: netip.PrefixFrom(half, low.Bits())})
		isCut = true
	}
	return out, isCut
}
