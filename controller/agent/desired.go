package agent

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file is the plan of a turn: what the policy and the rows want of the database and the
// switch. desire in sync.go makes it. Invariant: a port whose epoch was not judged is not in the
// input.

// plannedPort is a local port of the policy and what the database knows of it.
type plannedPort struct {
	policy.Port
	of       *policy.Instance
	instance string      // its name
	groups   []string    // of the instance
	row      bridge.Port // the zero Port if there is no row yet
	zone     uint16      // the one it has, or a free one; 0 = all are taken
	isMoved  bool        // the zone is one that it did not have before
	epoch    uint32      // the one it has, or a new one: see epochs.go
	refused  string      // why the database, or the switch, could not take it
	isOthers bool        // somebody else makes the row: where there is none, none is made
	waits    string      // what it waits for before it is programmed; "" = for nothing
}

// isBound says whether the switch has given the port a number, and the device is there. One that is
// gone keeps its number for a while: what others send to it is to go where the port is now.
func (p plannedPort) isBound() bool { return p.row.OFPort != 0 && !p.row.Absent }

// device is the name of its interface.
func (p plannedPort) device() string { return cmp.Or(p.row.Name, p.Name) }

// plan is what one turn of the loop wants, of one policy and one state of the rows.
type plan struct {
	policy   *policy.Policy
	site     policy.Site
	ports    []plannedPort // by name
	barred   []PortStatus  // what becomes of the ports that must not be taken
	uplinks  []flows.Uplink
	revision uint32
	lastZone uint16   // given out, on any bridge
	released []uint16 // zones that were a port's, in order
	isNew    bool     // the database knows no revision, and perhaps once knew one

	unbelieved uint32 // the revision that the database holds, if it cannot be ours; 0 = it is
	lastMeter  uint32 // that the switch has
	innerTags  bool   // it reads VLAN headers behind the first
}

// localInstances are those of a policy that run on this host, looked up once.
type localInstances struct {
	policy *policy.Policy
	list   []*policy.Instance
}

func (l *localInstances) of(p *policy.Policy, host string) []*policy.Instance {
	if l.policy != p {
		l.policy, l.list = p, nil
		for _, i := range p.Instances {
			if i.IsLocal(host) {
				l.list = append(l.list, i)
			}
		}
	}
	return l.list
}

// newPlan joins the policy and its instances of this host with the rows. Ports keep the zone and
// the epoch that their rows hold. Those that are barred, and why, by name, are none of ours:
// neither their rows nor their devices are touched. inUse are zones beyond the rows.
func newPlan(pol *policy.Policy, locals []*policy.Instance, opts Options, at placement,
	barred map[string]string, inUse zonesInUse) *plan {
	snap := at.snap
	p := &plan{policy: pol, site: opts.Site, revision: snap.Revision, innerTags: snap.InnerTags,
		barred: slices.Clone(at.strays)}
	for _, i := range locals {
		for _, port := range i.Ports {
			row := snap.Ports[port.Name]
			if status, isUnplugged := at.unplugged[port.Name]; isUnplugged {
				p.barred = append(p.barred, status)
				continue
			}
			if reason := barred[port.Name]; reason != "" {
				p.barred = append(p.barred, PortStatus{Name: port.Name, Identity: i.Identity(&port),
					Instance:  i.Name,
					Addresses: addressTexts(port), Groups: i.Groups,
					State: PortError, Reason: reason, OFPort: row.OFPort})
				continue
			}
			p.ports = append(p.ports, plannedPort{Port: port, instance: i.Name,
				of: i, groups: i.Groups, row: row, epoch: row.Epoch, isOthers: opts.isPlugged(&port)})
			p.revision = max(p.revision, row.Epoch)
		}
	}
	slices.SortFunc(p.ports, func(a, b plannedPort) int { return cmp.Compare(a.Name, b.Name) })
	p.zones(snap, inUse)
	for _, name := range opts.Uplinks {
		if row := snap.Ports[name]; row.OFPort != 0 {
			p.uplinks = append(p.uplinks, flows.Uplink{Name: name, OFPort: row.OFPort})
		}
	}
	return p
}

// desired is what the database shall hold.
func (p *plan) desired() bridge.Desired {
	d := bridge.Desired{Revision: p.revision, Unbelieved: p.unbelieved, LastZone: p.lastZone,
		Prefixes: trackedPrefixes()}
	for _, port := range p.ports {
		if port.zone == 0 {
			continue
		}
		d.Ports = append(d.Ports, bridge.DesiredPort{Name: port.device(),
			OnlyAdopt: port.isOthers, Type: string(port.Type),
			Instance: port.instance,
			MAC:      port.MAC.String(), Zone: port.zone, Epoch: port.epoch,
			Unflushed: p.unflushed(port)})
	}
	return d
}

// unflushed is what is written down of others' connections in the zone of a port. In a database
// that may have been lost it is nothing: nobody knows whose they are.
func (p *plan) unflushed(port plannedPort) uint32 {
	if p.isNew {
		return 0
	}
	return port.since()
}

// refuse notes why the database could not take a port.
func (p *plan) refuse(name, reason string) {
	if port := p.port(name); port != nil {
		port.refused = reason
	}
}

// await notes what a port waits for.
func (p *plan) await(name, what string) {
	if port := p.port(name); port != nil {
		port.waits = what
	}
}

// portAt returns the port of the plan whose interface has a name; nil = there is none.
func (p *plan) portAt(device string) *plannedPort {
	n := slices.IndexFunc(p.ports, func(port plannedPort) bool { return port.device() == device })
	if n < 0 {
		return nil
	}
	return &p.ports[n]
}

// port returns a port of the plan; nil = it has none of this name.
func (p *plan) port(name string) *plannedPort {
	n := slices.IndexFunc(p.ports, func(port plannedPort) bool { return port.Name == name })
	if n < 0 {
		return nil
	}
	return &p.ports[n]
}

// unbound is the input without the local ports.
func (p *plan) unbound() flows.Input {
	return flows.Input{Policy: p.policy, Site: p.site, Uplinks: p.uplinks, LastMeter: p.lastMeter,
		InnerTags: p.innerTags}
}

// input is what is to be compiled: of the local ports those that the switch has, as the database
// now holds them. A port that got its number only after the plan was made waits for the next turn,
// because its epoch was not judged yet.
func (p *plan) input(snap bridge.Snapshot) flows.Input {
	in := p.unbound()
	// of several ports with one number the first by name has it: the rest is not held up
	numbers := map[uint32]string{}
	for _, u := range p.uplinks {
		numbers[u.OFPort] = u.Name
	}
	for _, port := range p.ports {
		row := snap.Ports[port.Name]
		if port.refused == "" && port.waits == "" && port.isBound() && row.OFPort != 0 &&
			!row.Absent && row.Zone == port.zone && row.Epoch == port.epoch {
			if other, taken := numbers[row.OFPort]; taken {
				p.refuse(port.Name, fmt.Sprintf("Open vSwitch says that %s has its port number "+
					"%d, too", other, row.OFPort))
				continue
			}
			numbers[row.OFPort] = port.Name
			in.Bindings = append(in.Bindings, flows.Binding{Port: port.Name, OFPort: row.OFPort,
				Zone: port.zone, Epoch: port.epoch})
		}
	}
	return in
}

// expected is the input as it will be if the database takes what is desired and Open vSwitch
// changes nothing.
func (p *plan) expected() flows.Input {
	rows := make(map[string]bridge.Port, len(p.ports))
	for _, port := range p.ports {
		row := port.row
		row.Zone, row.Epoch = port.zone, port.epoch
		rows[port.Name] = row
	}
	return p.input(bridge.Snapshot{Ports: rows})
}

// asStored is the input as the rows are, before anything is changed: what an earlier run of the
// controller would have programmed.
func (p *plan) asStored() flows.Input {
	in := p.unbound()
	taken := map[uint16]bool{0: true}
	for _, port := range p.ports {
		if port.waits == "" && port.isBound() && port.row.Epoch != 0 && !taken[port.row.Zone] {
			taken[port.row.Zone] = true
			in.Bindings = append(in.Bindings, flows.Binding{Port: port.Name,
				OFPort: port.row.OFPort, Zone: port.row.Zone, Epoch: port.row.Epoch})
		}
	}
	return in
}

// maxPrefixes is how many fields of one table Open vSwitch can track by prefix (CLS_MAX_TRIES).
const maxPrefixes = 3

// trackedPrefixes returns, by table, the address fields whose prefixes the switch must track, so
// that a packet is forwarded by a flow as wide as the networks in the table allow. Before 3.5 Open
// vSwitch tracks IPv4 only unless it is told.
func trackedPrefixes() map[uint8][]string {
	out := map[uint8][]string{}
	for _, t := range flows.Pipeline() {
		var fields []string
		for _, f := range []openflow.Field{openflow.IPv6Dst, openflow.IPv6Src, openflow.IPv4Dst,
			openflow.IPv4Src} {
			if slices.Contains(t.Matches, f) {
				fields = append(fields, f.String())
			}
		}
		if n := len(fields); n > 0 && n <= maxPrefixes {
			out[uint8(t.ID)] = fields
		}
	}
	return out
}

// status says what became of each port, given what is on the switch now.
func (p *plan) status(done flows.Input, failure error) ([]PortStatus, map[string]uint32) {
	bound := make(map[string]flows.Binding, len(done.Bindings))
	if done.Policy == p.policy {
		for _, b := range done.Bindings {
			bound[b.Port] = b
		}
	}
	out, since := make([]PortStatus, len(p.ports)), make(map[string]uint32, len(p.ports))
	for i, port := range p.ports {
		s := PortStatus{Name: port.Name, Identity: port.of.Identity(&port.Port),
			Instance:  port.instance,
			Addresses: addressTexts(port.Port), Groups: port.groups,
			OFPort: port.row.OFPort, Zone: port.zone, Epoch: port.epoch}
		since[port.Name] = p.unflushed(port)
		if port.device() != port.Name {
			s.Interface = port.device()
		}
		s.State, s.Reason = p.stateOf(port, bound, failure)
		out[i] = s
	}
	out = append(out, p.barred...)
	slices.SortFunc(out, func(a, b PortStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out, since
}

// stateOf says what became of a port, and why it is not applied; bound are the ports that are.
func (p *plan) stateOf(port plannedPort, bound map[string]flows.Binding,
	failure error) (PortState, string) {
	want := flows.Binding{Port: port.Name, OFPort: port.row.OFPort, Zone: port.zone,
		Epoch: port.epoch}
	switch {
	case port.refused != "":
		return PortError, port.refused
	case port.row.Absent:
		return absenceOf(port.of, p.site.Host, port.row.Error)
	case port.row.Error != "":
		return PortError, port.row.Error
	case port.waits != "":
		return PortPending, port.waits
	case !port.isBound():
		return PortPending, "Open vSwitch has not given it a port number yet"
	case bound[port.Name] == want:
		return PortApplied, downOf(port.device(), port.row)
	case failure != nil:
		return PortPending, fmt.Sprintf("not programmed: %v", failure)
	}
	return PortPending, "not programmed yet"
}

// downOf says of a device that is set down that it passes nothing, and what to do; "" = it is up.
func downOf(device string, row bridge.Port) string {
	if !row.Down {
		return ""
	}
	return fmt.Sprintf("its device is set down, nothing passes: ip link set %s up", device)
}

// addressTexts are the addresses that a port may use as its own, as policy files have them.
func addressTexts(p policy.Port) []string {
	out := make([]string, len(p.Addresses))
	for i, a := range p.Addresses {
		if out[i] = a.String(); a.IsSingleIP() {
			out[i] = a.Addr().String()
		}
	}
	return out
}

// showsDenied says whether a port of the plan shows what it denies.
func (p *plan) showsDenied() bool {
	for _, port := range p.ports {
		if flows.ShowsDenied(port.Port, p.site) {
			return true
		}
	}
	return false
}

// logsDenied are the ports of which the policy and the settings want what is denied logged.
func (p *plan) logsDenied(site policy.Site) map[string]bool {
	out := map[string]bool{}
	for _, port := range p.ports {
		if flows.ShowsDenied(port.Port, site) {
			out[port.Name] = true
		}
	}
	return out
}

// refusedRows notes in the plan which ports the database could not take, and returns the other
// errors.
func (r *reconciler) refusedRows(p *plan, err error) error {
	for _, e := range flatten(err) {
		var port *bridge.PortError
		switch {
		case errors.As(e, &port):
			if refused := p.portAt(port.Port); refused != nil {
				refused.refused = port.Reason
			}
		case errors.Is(e, bridge.ErrDatapathType):
			r.log.WithError(e).Debug("the bridge is used as it is")
		default:
			return e
		}
	}
	return nil
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // the outermost is meant
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}
