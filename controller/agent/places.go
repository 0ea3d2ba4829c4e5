package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file is which row of the bridge each local port has: by what external_ids:iface-id of an
// interface says, or else by its name. desire in sync.go calls it. Invariant: nobody claims a port:
// the policy says on which host it is, the row only which interface that is.

// placement is one state of the rows with the ports of the policy in their places.
type placement struct {
	// by the names of ports; rows that no port has keep their own name, or, where a port of that name
	// has another row, one that no port can have
	snap bridge.Snapshot
	// ports without a row that they may take, by name
	unplugged map[string]PortStatus
	// interfaces that no port here has, though they say that they are one's
	strays []PortStatus
}

// places remembers what tells a port that has just left from one that never was here.
type places struct {
	had    map[string]string // identity by row, as last placed
	policy *policy.Policy    // for which strays were looked for
	asked  map[string]bridge.Port
	found  []stray
}

// stray is a row of the bridge that is the interface of a port on other hosts.
type stray struct {
	row      string
	instance *policy.Instance
	port     *policy.Port
}

// portRows is a local port, and the rows whose iface-id is its identity.
type portRows struct {
	instance *policy.Instance
	port     *policy.Port
	rows     []bridge.Port
	reserved string // a row of its iface-id that can be no instance's; "" = none
}

// place finds the row of each local port.
func (l *places) place(p *policy.Policy, locals []*policy.Instance, opts Options,
	snap bridge.Snapshot) placement {
	reserved := map[string]bool{opts.Bridge: true}
	for _, name := range opts.Uplinks {
		reserved[name] = true
	}
	out := placement{snap: snap, unplugged: map[string]PortStatus{}}
	wanted := newPortRows(locals, snap, reserved)
	taken := map[string]*portRows{} // by row
	rows := map[string]bridge.Port{}
	for n := range wanted {
		c := &wanted[n]
		if len(c.rows) == 0 {
			continue
		}
		chosen := c.choose()
		taken[chosen.Name], rows[c.port.Name] = c, chosen
		for _, row := range c.rows {
			if row.Name != chosen.Name {
				out.strays = append(out.strays, c.status(row.Name, PortError, fmt.Sprintf(
					"its iface-id is that of the port %s, which is at %s: it passes nothing",
					c.port.Name, chosen.Name)))
				taken[row.Name] = c
			}
		}
	}
	l.byName(wanted, taken, rows, &out, opts)
	out.snap.Ports = rekeyed(snap.Ports, rows, taken)
	l.strays(p, snap, reserved, taken, &out, opts.Site.Host)
	l.remember(wanted, rows)
	return out
}

// newPortRows lists the local ports, with the rows that say to be theirs.
func newPortRows(locals []*policy.Instance, snap bridge.Snapshot,
	reserved map[string]bool) []portRows {
	byID, barred := map[string][]bridge.Port{}, map[string]string{}
	for name, row := range snap.Ports {
		switch {
		case row.IfaceID == "":
		case reserved[name]:
			barred[row.IfaceID] = name
		default:
			byID[row.IfaceID] = append(byID[row.IfaceID], row)
		}
	}
	var out []portRows
	for _, i := range locals {
		for n := range i.Ports {
			c := portRows{instance: i, port: &i.Ports[n]}
			if len(byID)+len(barred) > 0 {
				id := i.Identity(c.port)
				c.rows, c.reserved = byID[id], barred[id]
			}
			out = append(out, c)
		}
	}
	return out
}

// choose returns the row that the port has: the one that it had before, or else the first of those
// that the switch has, by name.
func (c *portRows) choose() bridge.Port {
	had := func(row bridge.Port) bool {
		return row.Zone != 0 && row.ForMAC == c.port.MAC.String() && row.ForInstance == c.instance.Name
	}
	rank := func(row bridge.Port) int {
		switch {
		case had(row) && !row.Absent:
			return 0
		case row.OFPort != 0 && !row.Absent:
			return 1
		case had(row):
			return 2
		}
		return 3
	}
	return slices.MinFunc(c.rows, func(a, b bridge.Port) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
	})
}

// status is what is told of a port that is not in the plan.
func (c *portRows) status(name string, state PortState, reason string) PortStatus {
	s := PortStatus{Name: name, Identity: c.instance.Identity(c.port), Instance: c.instance.Name,
		Addresses: addressTexts(*c.port), Groups: c.instance.Groups, State: state, Reason: reason}
	if name != c.port.Name {
		s.Identity += " at " + name // another port's row says how the port stands
	}
	return s
}

// byName gives those ports rows that no iface-id has given any: the row of the port's name, if
// nobody says that this is another port's.
func (l *places) byName(wanted []portRows, taken map[string]*portRows, rows map[string]bridge.Port,
	out *placement, opts Options) {
	for n := range wanted {
		c := &wanted[n]
		name := c.port.Name
		if _, hasRow := rows[name]; hasRow {
			continue
		}
		row, isThere := out.snap.Ports[name]
		owner := taken[name]
		switch {
		case c.reserved != "":
			out.unplugged[name] = c.status(name, PortError, fmt.Sprintf("the interface %s has its "+
				"iface-id, and is an uplink or the bridge itself: it cannot be an instance's", c.reserved))
		case isThere && owner != nil:
			out.unplugged[name] = c.status(name, PortError, fmt.Sprintf("the interface %s is that of "+
				"the port %s of %s, says its iface-id", name, owner.port.Name, owner.instance.Name))
		case c.port.IfaceID == "" && opts.isPlugged(c.port) && (!isThere || isLeft(row)):
			out.unplugged[name] = c.unmade(opts.Site.Host)
		case isThere && (c.port.IfaceID == "" || row.IfaceID == ""):
			taken[name], rows[name] = c, row
		case c.port.IfaceID == "" || !isThere && c.port.Type == policy.InternalDevice:
			// its interface may have to be made
		case isThere:
			out.unplugged[name] = c.status(name, PortError, fmt.Sprintf("the iface-id of the interface "+
				"%s is %q, not %q", name, row.IfaceID, c.port.IfaceID))
		default:
			state, reason := c.absence(opts.Site.Host, fmt.Sprintf("no interface of the bridge has the "+
				"iface-id %q", c.port.IfaceID))
			out.unplugged[name] = c.status(name, state, reason)
		}
	}
}

// isPlugged says whether somebody else makes the row of a port: Portcullis makes what is to be made
// by Open vSwitch, and rows of devices that nobody else adds (0047).
func (o Options) isPlugged(port *policy.Port) bool {
	return port.Type == policy.ExistingDevice &&
		(port.IfaceID != "" || o.OthersPlug != nil && o.OthersPlug(port.Name))
}

// isLeft says that Portcullis has made a row, before it was known that others do, and that there is
// no device: the row would be in their way.
func isLeft(row bridge.Port) bool { return row.Owned && row.Absent }

// NotAdded is how the reason begins of a port whose row somebody else makes.
const NotAdded = "nobody has added the device "

// unmade is what is told of a port whose row somebody else makes, and has not made yet.
func (c *portRows) unmade(host string) PortStatus {
	state, reason := c.absence(host, NotAdded+c.port.Name+" to the bridge: its machine is off, or who "+
		"makes it does not add it; see the setting plugged_by_others")
	return c.status(c.port.Name, state, reason)
}

// absence is the state of a port without an interface, which is no trouble.
func (c *portRows) absence(host, reason string) (PortState, string) {
	return absenceOf(c.instance, host, reason)
}

// absenceOf is the state of a port of an instance that has no interface at a host.
func absenceOf(i *policy.Instance, host, reason string) (PortState, string) {
	switch {
	case i.MigratingTo == "":
		return PortAbsent, reason
	case i.MigratingTo == host:
		return PortStandby, fmt.Sprintf("it is about to move here from %s: %s", i.Host, reason)
	}
	return PortElsewhere, fmt.Sprintf("it moves to %s, and has left: %s", i.MigratingTo, reason)
}

// rekeyed are the rows by the names of the ports that have them.
func rekeyed(all, rows map[string]bridge.Port, taken map[string]*portRows) map[string]bridge.Port {
	isNamed := func(name string) bool { c := taken[name]; return c == nil || c.port.Name == name }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(taken)), func(name string) bool {
		return !isNamed(name)
	}) {
		return all
	}
	out := make(map[string]bridge.Port, len(all))
	for name, row := range all {
		if taken[name] == nil {
			out[name] = row
		}
	}
	for name := range taken {
		out["/"+name] = all[name] // its zone is in use; no interface has a / in its name
	}
	for name, row := range rows {
		delete(out, "/"+row.Name)
		out[name] = row
	}
	return out
}

// strays finds interfaces of ports that the policy has on other hosts.
func (l *places) strays(p *policy.Policy, snap bridge.Snapshot, reserved map[string]bool,
	taken map[string]*portRows, out *placement, host string) {
	asked := map[string]bridge.Port{}
	for name, row := range snap.Ports {
		if taken[name] == nil && !reserved[name] && (row.IfaceID != "" || row.MAC != "") {
			asked[name] = bridge.Port{IfaceID: row.IfaceID, MAC: row.MAC}
		}
	}
	if l.policy != p || !maps.Equal(l.asked, asked) {
		l.policy, l.asked, l.found = p, asked, straysOf(p, asked, host)
	}
	for _, s := range l.found {
		c := portRows{instance: s.instance, port: s.port}
		state, where := PortError, "on "+s.instance.Host
		if l.had[s.row] == c.instance.Identity(c.port) {
			state = PortElsewhere
		}
		if s.instance.Host == policy.Nowhere {
			where = "on no host"
		}
		status := c.status(s.row, state, fmt.Sprintf("the policy places it %s, not here: its "+
			"interface %s passes nothing", where, s.row))
		status.Identity = c.instance.Identity(c.port)
		out.strays = append(out.strays, status)
	}
	slices.SortFunc(out.strays, func(a, b PortStatus) int { return cmp.Compare(a.Name, b.Name) })
}

// straysOf looks for rows among the ports of other hosts: by iface-id, or by name and MAC.
func straysOf(p *policy.Policy, asked map[string]bridge.Port, host string) (out []stray) {
	if len(asked) == 0 {
		return nil
	}
	byID := map[string]string{}
	for name, row := range asked {
		byID[row.IfaceID] = name
	}
	delete(byID, "")
	for _, i := range p.Instances {
		if i.IsLocal(host) {
			continue
		}
		for n := range i.Ports {
			port := &i.Ports[n]
			if row, ok := asked[port.Name]; ok && row.MAC == port.MAC.String() {
				out = append(out, stray{port.Name, i, port})
			} else if len(byID) > 0 {
				if name, ok := byID[i.Identity(port)]; ok {
					out = append(out, stray{name, i, port})
				}
			}
		}
	}
	return out
}

// remember notes which port each row is the interface of, as long as the row is there.
func (l *places) remember(wanted []portRows, rows map[string]bridge.Port) {
	next := map[string]string{}
	for _, s := range l.found {
		if id, known := l.had[s.row]; known {
			next[s.row] = id
		}
	}
	for n := range wanted {
		if row, ok := rows[wanted[n].port.Name]; ok {
			next[row.Name] = wanted[n].instance.Identity(wanted[n].port)
		}
	}
	l.had = next
}
