package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// remedy is a change of the policy or of the settings, and what it says is missing now.
type remedy struct {
	words  string
	change func(w *spec.World)
}

// missing says what would let a frame get to all who must get it: the first remedy with which the
// specification says so, else the first two together, "" if none do.
func (x *explainer) missing(h Hop) string {
	here := x.around(h)
	mends := func(changes ...remedy) bool {
		w := spec.World{Policy: here.Policy.Clone(), Site: x.Site}
		for _, r := range changes {
			r.change(&w)
		}
		return h.needs.metBy(h.Decide(w))
	}
	list := x.remedies(h)
	for _, r := range list {
		if mends(r) {
			return r.words
		}
	}
	for n, r := range list {
		for _, also := range list[n+1:] {
			if mends(r, also) {
				return r.words + "; and " + also.words
			}
		}
	}
	return ""
}

// remedies returns what may be missing for a frame, the likeliest first.
func (x *explainer) remedies(h Hop) []remedy {
	var out []remedy
	if s := x.index.portNamed(h.Packet.From).Port; s != nil && !h.Packet.FromUplink {
		out = append(out, x.senderRemedies(h.Packet, s)...)
	}
	out = append(out, x.siteRemedies(h.Packet)...)
	for _, name := range h.needs.missing(x.decide(h)) {
		if r := x.index.portNamed(name).Port; r != nil {
			out = append(out, x.receiverRemedies(h.Packet, r)...)
		}
	}
	return out
}

// claimed returns the address that a frame says is its sender's.
func claimed(p spec.Packet) netip.Addr {
	switch {
	case p.EtherType == policy.EtherARP:
		return p.ARP.SPA
	case p.IsNeighborDiscovery() && p.ND.Target.IsValid() &&
		(p.ICMPType == policy.NeighborAdvertisement || p.Src == unspecified6):
		return p.ND.Target
	}
	return p.Src
}

// A filler is an address for a port that has none of its family: any will do (RFC 5737, RFC 3849).
var (
	filler4 = netip.MustParsePrefix("192.0.2.222/32")
	filler6 = netip.MustParsePrefix("2001:db8:ffff::de/128")
)

// familyRemedy gives a port an address of the frame's family, if it has none.
func familyRemedy(p spec.Packet, port *policy.Port) []remedy {
	v4 := p.EtherType == policy.EtherARP || p.EtherType == policy.EtherIPv4
	filler, name := filler6, "IPv6"
	if v4 {
		filler, name = filler4, "IPv4"
		if a := claimed(p); a.IsValid() && !a.IsUnspecified() {
			filler = netip.PrefixFrom(a, 32)
		}
	}
	if has := port.HasIPv6() && !v4 || port.HasIPv4() && v4; has || p.EtherType != policy.EtherIPv6 &&
		!v4 {
		return nil
	}
	return []remedy{{"the policy gives " + port.Name + " no " + name + " address",
		changePort(port.Name, func(p *policy.Port) {
			p.Addresses = append(p.Addresses, filler)
		})}}
}

// changePort returns a change of one port of a policy.
func changePort(name string, change func(p *policy.Port)) func(*spec.World) {
	return func(w *spec.World) {
		if p := portNamed(*w, name); p != nil {
			change(p)
		}
	}
}

func portNamed(w spec.World, name string) *policy.Port {
	for _, i := range w.Policy.Instances {
		for n := range i.Ports {
			if i.Ports[n].Name == name {
				return &i.Ports[n]
			}
		}
	}
	return nil
}

// allow gives a port an address with a MAC.
func allow(name string, a netip.Addr, m policy.MAC) func(*spec.World) {
	return changePort(name, func(p *policy.Port) {
		p.Allowed = append(p.Allowed,
			policy.AllowedAddress{Prefix: netip.PrefixFrom(a, a.BitLen()), MAC: m})
	})
}

func (x *explainer) senderRemedies(p spec.Packet, s *policy.Port) []remedy {
	out := familyRemedy(p, s)
	if a := claimed(p); a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() {
		out = append(out, remedy{fmt.Sprintf("%s may use %s: list %s with the MAC %s, if it is its own",
			s.Name, usesText(s), a, p.SrcMAC), allow(s.Name, a, p.SrcMAC)})
	}
	if !p.IsIP() && p.EtherType != policy.EtherARP {
		out = append(out, remedy{fmt.Sprintf("0x%04x is not among the ethertypes of %s", p.EtherType,
			s.Name), listEtherType(s.Name, p.EtherType)})
	}
	rules := func(w *spec.World) { *w = opened(*w) }
	if p.IsIP() {
		words := fmt.Sprintf("rules decide, and none admits %s to %s", serviceWords(p), p.Dst)
		if p.FromDHCPClient() {
			words = fmt.Sprintf("%s is neither among dhcp_servers nor gateways of the settings, so %s",
				p.Dst, words)
		}
		out = append(out, remedy{words, rules})
	}
	if !p.FromDHCPServer() && !isAdvertised(p) {
		return out
	}
	trust := changePort(s.Name, func(p *policy.Port) { p.Trusted = true })
	return append(out, remedy{
		s.Name + " is not trusted: what servers and routers say comes from an uplink or a trusted port only", trust})
}

// isAdvertised says whether this is what routers say to hosts.
func isAdvertised(p spec.Packet) bool {
	return p.EtherType == policy.EtherIPv6 && p.Protocol == uint8(policy.ICMPv6) &&
		(p.ICMPType == policy.RouterAdvertisement || p.ICMPType == policy.ListenerQuery ||
			p.ICMPType == policy.Redirect)
}

func listEtherType(port string, t uint16) func(*spec.World) {
	return changePort(port, func(p *policy.Port) { p.EtherTypes = append(p.EtherTypes, t) })
}

func (x *explainer) receiverRemedies(p spec.Packet, r *policy.Port) []remedy {
	out := familyRemedy(p, r)
	if a := p.Dst; p.IsIP() && a.IsValid() && !a.IsMulticast() && a != policy.BroadcastAddr {
		out = append(out, remedy{fmt.Sprintf("%s is no address of %s: it has %s", a, r.Name, usesText(r)),
			allow(r.Name, a, p.DstMAC)})
		own := changePort(r.Name,
			func(p *policy.Port) { p.Addresses = append(p.Addresses, netip.PrefixFrom(a, a.BitLen())) })
		out = append(out, remedy{fmt.Sprintf("%s is no own address of %s: it has %s", a, r.Name,
			usesText(r)), own})
	}
	if !p.IsIP() && p.EtherType != policy.EtherARP {
		out = append(out, remedy{fmt.Sprintf("0x%04x is not among the ethertypes of %s", p.EtherType,
			r.Name), listEtherType(r.Name, p.EtherType)})
	}
	if a := claimed(p); a.IsValid() && p.EtherType == policy.EtherARP || p.IsNeighborDiscovery() {
		out = append(out, remedy{fmt.Sprintf("%s is no allowed address of a port with the MAC %s", a,
			p.SrcMAC), allow(r.Name, a, p.SrcMAC)})
	}
	if !p.FromDHCPClient() && !(p.IsNeighborDiscovery() && p.ICMPType == policy.RouterSolicitation) {
		return out
	}
	trust := changePort(r.Name, func(p *policy.Port) { p.Trusted = true })
	return append(out, remedy{
		r.Name + " is not trusted: servers and routers are heard behind an uplink or at a trusted port only", trust})
}

// siteRemedies is what the settings may not list.
func (x *explainer) siteRemedies(p spec.Packet) []remedy {
	var out []remedy
	list := func(a netip.Addr, key string, listed *[]netip.Addr, change func(w *spec.World)) {
		if a.IsValid() && !a.IsUnspecified() && !slices.Contains(*listed, a) {
			out = append(out, remedy{fmt.Sprintf("%s is not among the %s of the settings (%s)", a, key,
				addressesText(*listed)), change})
		}
	}
	servers := func(a netip.Addr) func(*spec.World) {
		return func(w *spec.World) { w.Site.DHCPServers = append(slices.Clone(w.Site.DHCPServers), a) }
	}
	list(p.Src, "dhcp_servers", &x.Site.DHCPServers, servers(p.Src))
	list(p.Dst, "dhcp_servers", &x.Site.DHCPServers, servers(p.Dst))
	claimed := claimed(p)
	if x.Site.UplinkSources == policy.StrictSources {
		out = append(out, remedy{"uplink_sources is strict: an address of an instance comes from an uplink with the instance's MAC only",
			func(w *spec.World) { w.Site.UplinkSources = policy.RoutedSources }})
	}
	list(claimed, "gateways", &x.Site.Gateways,
		func(w *spec.World) { w.Site.Gateways = append(slices.Clone(w.Site.Gateways), claimed) })
	return out
}

func addressesText(list []netip.Addr) string {
	if len(list) == 0 {
		return "none is listed"
	}
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
