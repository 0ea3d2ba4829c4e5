package provenance

import (
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Bindings finds out from the flows of a switch where the ports of this host are on it: number, zone and epoch from the table that every
// packet enters, and which port it is from the addresses and MACs that are delivered there. A port of the policy that the flows do not
// have is left out, and so is one whose flows say two things. The uplinks get the names in the order of their numbers.
func Bindings(held []openflow.Flow, p *policy.Policy, host string, uplinks []string) ([]flows.Binding, []flows.Uplink) {
	f := finder{tables: map[uint8]string{}, byZone: map[uint16]flows.Binding{}, byAddress: map[string]uint16{}, byMAC: map[string][]uint16{}}
	for _, t := range flows.Pipeline() {
		f.tables[uint8(t.ID)] = t.Name
	}
	for _, flow := range held {
		f.read(flow)
	}
	var bindings []flows.Binding
	taken := map[uint16]bool{}
	for _, find := range []func(policy.Port) uint16{f.zoneByAddress, func(p policy.Port) uint16 { return f.zoneByMAC(p, taken) }} {
		for _, i := range p.Instances {
			for _, port := range i.Ports {
				zone := find(port)
				b, known := f.byZone[zone]
				if !i.IsLocal(host) || !known || taken[zone] || slices.ContainsFunc(bindings, func(o flows.Binding) bool { return o.Port == port.Name }) {
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
	byAddress map[string]uint16   // zones by "nw_dst=…"
	byMAC     map[string][]uint16 // zones that are offered the frames of a MAC
}

func (f *finder) read(flow openflow.Flow) {
	fields := fieldsOf(flow.Match.String())
	switch f.tables[flow.Table] {
	case "classify":
		number, err := strconv.ParseUint(fields["in_port"], 10, 32)
		if err != nil || number == 0 {
			return
		}
		zone, epoch := setValue(flow.Actions.String(), "reg1"), setValue(flow.Actions.String(), "reg2")
		if strings.Contains(flow.Actions.String(), "set_field:0x20/0x30->reg0") {
			f.uplinks = append(f.uplinks, uint32(number))
		} else if zone != 0 && epoch != 0 {
			f.byZone[uint16(zone)] = flows.Binding{OFPort: uint32(number), Zone: uint16(zone), Epoch: uint32(epoch)}
		}
	case "destination_guard":
		zone, err := strconv.ParseUint(fields["reg1"], 0, 16)
		for _, name := range []string{"nw_dst", "ipv6_dst"} {
			if address, ok := fields[name]; ok && err == nil {
				f.byAddress[address] = f.unambiguous(address, uint16(zone))
			}
		}
	case "destination":
		for _, a := range openflow.Split(flow.Actions.String()) {
			if zone := setValue(a, "reg1"); zone != 0 {
				f.byMAC[fields["dl_dst"]] = append(f.byMAC[fields["dl_dst"]], uint16(zone))
			}
		}
	}
}

// unambiguous returns the zone, or 0 if another one has the address, too.
func (f *finder) unambiguous(address string, zone uint16) uint16 {
	if old, twice := f.byAddress[address]; twice && old != zone {
		return 0
	}
	return zone
}

func (f *finder) zoneByAddress(p policy.Port) uint16 {
	for _, a := range p.Addresses {
		text := a.Masked().String()
		if a.IsSingleIP() {
			text = a.Addr().String()
		}
		if zone := f.byAddress[text]; zone != 0 && slices.Contains(f.byMAC[p.MAC.String()], zone) { // another may use the address, too
			return zone
		}
	}
	return 0
}

// zoneByMAC is for ports without filters or addresses of their own.
func (f *finder) zoneByMAC(p policy.Port, taken map[uint16]bool) uint16 {
	free := slices.DeleteFunc(slices.Clone(f.byMAC[p.MAC.String()]), func(z uint16) bool { return taken[z] })
	if len(free) != 1 {
		return 0
	}
	return free[0]
}

func fieldsOf(match string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.Split(match, ",") {
		name, value, _ := strings.Cut(part, "=")
		out[name] = value
	}
	return out
}

// setValue returns what a register is set to, 0 if it is not.
func setValue(actions, register string) uint64 {
	for _, a := range openflow.Split(actions) {
		text, into, _ := strings.Cut(strings.TrimPrefix(a, "set_field:"), "->")
		if into != register {
			continue
		}
		if n, err := strconv.ParseUint(text, 0, 32); err == nil {
			return n
		}
	}
	return 0
}
