package flows

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// port is a local port that is on the switch, and the unit of all flows that are about it alone.
type port struct {
	written
	Binding
	policy.Port
	memberOf []string // names of groups
	groups   []*group // the same
	uses     []policy.Use
	limits   policy.Limits
	gone     bool // it is not there any more: it has no flows

	meters    []Meter // that its flows name
	unmetered bool    // a limit of it is left out
}

// write writes the flows of the port, stage by stage.
func (p *port) write(w *writer) {
	p.meters, p.unmetered = nil, false
	if p.gone {
		return
	}
	w.classifyPort(p)
	w.sourceGuardPort(p)
	w.outsideGuardPort(p)
	w.announcedPort(p)
	w.statePort(egress, p)
	w.statePort(ingress, p)
	w.rulesPort(p)
	w.destinationGuardPort(p)
	w.output(p)
}

func (p *port) has(want func(netip.Addr) bool) bool {
	return slices.ContainsFunc(p.uses, func(u policy.Use) bool { return want(u.Prefix.Addr()) })
}

// own returns the pairs of the port's own addresses, with the link-local address that goes with them; not the allowed ones.
func (p *port) own() []policy.Use { return policy.Port{MAC: p.MAC, Addresses: p.Addresses}.Uses() }

func (p *port) has4() bool    { return p.has(netip.Addr.Is4) }
func (p *port) has6() bool    { return p.has(netip.Addr.Is6) }
func (p *port) trusted() bool { return p.Trusted }

// networks returns the distinct networks that the port may use, sorted.
func (p *port) networks() []netip.Prefix {
	out := make([]netip.Prefix, len(p.uses))
	for i, u := range p.uses {
		out[i] = u.Prefix.Masked()
	}
	slices.SortFunc(out, policy.ComparePrefix)
	return slices.Compact(out)
}

// macs returns the MACs of the port, and whether it speaks IP with them.
func (p *port) macs() map[policy.MAC]bool {
	out := map[policy.MAC]bool{p.MAC: false}
	for _, u := range p.uses {
		out[u.MAC] = true
	}
	return out
}
