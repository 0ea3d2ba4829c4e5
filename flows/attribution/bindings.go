package attribution

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Bindings finds out from the flows of a switch where the ports of this host are on it: number,
// zone and epoch from the table that every packet enters, and which port it is from the addresses
// and MACs that are delivered there. A port of the policy that the flows do not have is left out,
// and so is one whose flows say two things. The uplinks get the names in the order of their
// numbers.
func Bindings(held []openflow.Flow, p *policy.Policy, host string,
	uplinks []string) ([]flows.Binding, []flows.Uplink) {
	f := finder{tables: map[uint8]string{}, byZone: map[uint16]flows.Binding{},
		byAddress: map[netip.Prefix]uint16{}, byMAC: map[policy.MAC][]uint16{}}
	for _, t := range flows.Pipeline() {
		f.tables[uint8(t.ID)] = t.Name
	}
	for _, flow := range held {
		f.read(flow)
	}
	var bindings []flows.Binding
	taken := map[uint16]bool{}
	for _, find := range []func(policy.Port) uint16{f.zoneByAddress,
		func(p policy.Port) uint16 { return f.zoneByMAC(p, taken) }} {
		for _, i := range p.Instances {
			for _, port := range i.Ports {
				zone := find(port)
				b, known := f.byZone[zone]
				if !i.IsLocal(host) || !known || taken[zone] ||
					slices.ContainsFunc(bindings, func(o flows.Binding) bool { return o.Port == port.Name }) {
					continue
				}
				b.Port, taken[zone] = port.Name, true
				bindings = append(bindings, b)
			}
		}
	}
	slices.Sort(f.uplinks)
	var out []flows.Uplink
	for n, number := range f.uplinks {
		name := "uplink" + strconv.Itoa(n+1)
		if n < len(uplinks) {
			name = uplinks[n]
		}
		out = append(out, flows.Uplink{Name: name, OFPort: number})
	}
	return bindings, out
}

// finder is what the flows say.
type finder struct {
	tables    map[uint8]string
	byZone    map[uint16]flows.Binding
	uplinks   []uint32
	byAddress map[netip.Prefix]uint16 // zones
	byMAC     map[policy.MAC][]uint16 // zones that are offered the frames of a MAC
}

func (f *finder) read(flow openflow.Flow) {
	switch f.tables[flow.Table] {
	case "classify":
		in, byPort := flow.Match.Get(openflow.InPort)
		if !byPort {
			return
		}
		number, _ := in.Uint()
		set := registers(flow.Actions)
		if isUplink(flow.Actions) {
			f.uplinks = append(f.uplinks, uint32(number))
		} else if zone, epoch := set[flows.RegPort], set[flows.RegEpoch]; zone != 0 && epoch != 0 {
			f.byZone[uint16(zone)] = flows.Binding{OFPort: uint32(number), Zone: uint16(zone), Epoch: epoch}
		}
	case "destination_guard":
		key, byPort := flow.Match.Get(flows.RegPort)
		zone, _ := key.Uint()
		for o := range flow.Match.Fields() {
			if byPort && (o.Field == openflow.IPv4Dst || o.Field == openflow.IPv6Dst) {
				n := network(o)
				f.byAddress[n] = f.unambiguous(n, uint16(zone))
			}
		}
	case "destination":
		dst, _ := flow.Match.Get(openflow.EthDst)
		if dst.Field == 0 || dst.IsMasked() {
			return
		}
		value, _ := dst.Value()
		for a := range flow.Actions.All() {
			if s, ok := a.(openflow.SetField); ok && s.Field == flows.RegPort {
				zone, _ := s.Uint()
				f.offer(policy.MAC(value), uint16(zone))
			}
		}
	}
}

// offer notes that a zone is offered the frames of a MAC: one that moves by several flows.
func (f *finder) offer(m policy.MAC, zone uint16) {
	if !slices.Contains(f.byMAC[m], zone) {
		f.byMAC[m] = append(f.byMAC[m], zone)
	}
}

// registers returns what actions write into registers.
func registers(as openflow.Actions) map[openflow.Field]uint32 {
	out := map[openflow.Field]uint32{}
	for a := range as.All() {
		if s, ok := a.(openflow.SetField); ok {
			value, _ := s.Uint()
			out[s.Field] = uint32(value)
		}
	}
	return out
}

// isUplink says whether actions note that a packet is from an uplink.
func isUplink(as openflow.Actions) bool {
	for a := range as.All() {
		if s, ok := a.(openflow.SetField); ok && s.Field == flows.RegFlags {
			value, mask := s.Uint()
			return flows.Flags{Value: uint32(value), Mask: uint32(mask)} == flows.OriginUplink
		}
	}
	return false
}

// network returns the network that a field is matched with.
func network(o openflow.OXM) netip.Prefix {
	value, mask := o.Value()
	a, _ := netip.AddrFromSlice(value)
	ones := 0
	for _, octet := range mask {
		ones += bits.OnesCount8(octet)
	}
	return netip.PrefixFrom(a, ones)
}

// unambiguous returns the zone, or 0 if another one has the address, too.
func (f *finder) unambiguous(n netip.Prefix, zone uint16) uint16 {
	if old, twice := f.byAddress[n]; twice && old != zone {
		return 0
	}
	return zone
}

func (f *finder) zoneByAddress(p policy.Port) uint16 {
	for _, a := range p.Addresses {
		zone := f.byAddress[a.Masked()]
		if zone != 0 && slices.Contains(f.byMAC[p.MAC], zone) { // another may use the address, too
			return zone
		}
	}
	return 0
}

// zoneByMAC is for ports without filters or addresses of their own.
func (f *finder) zoneByMAC(p policy.Port, taken map[uint16]bool) uint16 {
	free := slices.DeleteFunc(slices.Clone(f.byMAC[p.MAC]), func(z uint16) bool { return taken[z] })
	if len(free) != 1 {
		return 0
	}
	return free[0]
}
