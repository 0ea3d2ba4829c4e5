package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is which addresses have moved to another MAC. sync announces them when the switch
// runs a program in which they have.

// moves knows at which MAC each own address of the policy was last, on whatever host, and which of
// them have moved and neighbours were not told yet.
type moves struct {
	policy      *policy.Policy // that was looked at last
	macs        map[netip.Addr]policy.MAC
	gone        int // of them, those that the policy does not have any more
	unannounced map[netip.Addr]policy.MAC
}

// maxGone bounds how many addresses are remembered that the policy does not have any more: who gets
// one of them next is told of, if it has another MAC.
const maxGone = 100_000

// note notes what a policy that is in force now changes. Its cost is that of the change.
func (m *moves) note(p *policy.Policy) {
	if m.policy == nil {
		m.policy, m.macs, m.unannounced = &policy.Policy{}, map[netip.Addr]policy.MAC{},
			map[netip.Addr]policy.MAC{}
	}
	if m.policy == p {
		return
	}
	changes := policy.Changed(m.policy, p)
	m.policy = p
	eachOwn(changes.GoneInstances, func(netip.Addr, policy.MAC) { m.gone++ })
	eachOwn(changes.NewInstances, func(a netip.Addr, now policy.MAC) {
		if before, known := m.macs[a]; known {
			m.gone--
			if before != now {
				m.unannounced[a] = now
			}
		}
		m.macs[a] = now
	})
	if m.gone > maxGone {
		m.forget()
	}
}

// forget keeps the addresses of the present policy only.
func (m *moves) forget() {
	clear(m.macs)
	m.gone = 0
	eachOwn(m.policy.Instances, func(a netip.Addr, now policy.MAC) { m.macs[a] = now })
}

// eachOwn calls do for each own address of instances. Networks are left out: they are routed, not
// asked for.
func eachOwn(instances []*policy.Instance, do func(netip.Addr, policy.MAC)) {
	for _, i := range instances {
		for _, port := range i.Ports {
			for _, n := range port.Addresses {
				if n.IsSingleIP() {
					do(n.Addr(), port.MAC)
				}
			}
		}
	}
}

// announcements returns what is to be told, in the order of the addresses.
func (m *moves) announcements(in flows.Input) []flows.Announcement {
	ports := map[policy.MAC]uint32{}
	numbers := make(map[string]uint32, len(in.Bindings))
	for _, b := range in.Bindings {
		numbers[b.Port] = b.OFPort
	}
	for _, i := range in.Policy.Instances {
		for _, p := range i.Ports {
			if number := numbers[p.Name]; number != 0 && i.IsLocal(in.Site.Host) {
				ports[p.MAC] = number
			}
		}
	}
	var out []flows.Announcement
	for _, a := range slices.SortedFunc(maps.Keys(m.unannounced), netip.Addr.Compare) {
		out = append(out, flows.Announcement{Address: a, MAC: m.unannounced[a],
			OFPort: ports[m.unannounced[a]]})
	}
	return out
}

// announce tells the local ports of own addresses that moved, now that the switch runs a program in
// which they have. What cannot be told now is told after the next turn.
func (r *reconciler) announce(ctx context.Context, in flows.Input) {
	r.moves.note(in.Policy)
	if len(r.moves.unannounced) == 0 || r.opts.Announcer == nil {
		return
	}
	list := r.moves.announcements(in)
	if err := r.opts.Announcer.Announce(ctx, list); err != nil {
		r.log.WithError(err).WithField("addresses",
			len(list)).Warn("neighbours could not be told that addresses moved")
		return
	}
	clear(r.moves.unannounced)
	r.log.WithField("addresses", len(list)).Info("neighbours told that addresses moved")
}
