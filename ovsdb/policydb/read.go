package policydb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// What rows are made of: projects, groups with their rules, and instances of ports. mirror.go calls
// this. Invariant: what is made of the same rows is the same value, so that who compares two
// policies looks at what changed only.

// madeProject is a project, and what it was made of.
type madeProject struct {
	row     *rows.Project
	project *policy.Project
}

// madeGroup is a group, and all that it was made of.
type madeGroup struct {
	row   *rows.Group
	rules []madeRule
	group *policy.Group
	ids   []string // of the group's rules, in their order; "" of one whose row is missing
}

// madeRule is a rule's row and the groups that it names.
type madeRule struct {
	row   *rows.Rule
	peers []string
}

// madeInstance is an instance, and all that it was made of.
type madeInstance struct {
	ports    []*rows.Port // by name
	groups   []string     // their names, sorted
	instance *policy.Instance
}

func newMadeRule(row *rows.Rule, names map[string]*rows.Group) madeRule {
	made := madeRule{row: row}
	if row == nil {
		return made
	}
	for _, uuid := range row.Peers {
		if group := names[uuid]; group != nil {
			made.peers = append(made.peers, fmt.Sprint(group.IsNetwork, group.Name))
		}
	}
	return made
}

func (m madeGroup) isMadeOf(n madeGroup) bool {
	return same(m.row, n.row) && slices.EqualFunc(m.rules, n.rules, func(a, b madeRule) bool {
		return same(a.row, b.row) && slices.Equal(a.peers, b.peers)
	})
}

// make reads the rows. Rules have no order of their own: they are sorted by what they say. With an
// error the group is what can be read of it: a rule that cannot be read admits nothing.
func (m *madeGroup) make(names map[string]*rows.Group) error {
	sources, errs := networks("external_sources", m.row.ExternalSources)
	m.group = &policy.Group{Name: m.row.Name, Description: m.row.Description,
		IsNetwork: m.row.IsNetwork, Shared: m.row.Shared, ExternalSources: sources}
	var list []identified
	for _, made := range m.rules {
		if made.row == nil {
			errs = errors.Join(errs, errors.New("a rule is missing"))
			list = append(list, identified{rule: closedRule()})
			continue
		}
		one, err := rule(made.row, names)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("rule %s: %w", made.row.UUID, err))
			if one.Direction == policy.Ingress {
				continue
			}
			one = closedRule()
		}
		list = append(list, identified{made.row.UUID, one})
	}
	slices.SortFunc(list, func(a, b identified) int {
		return cmp.Or(compareRules(a.rule, b.rule), strings.Compare(a.id, b.id))
	})
	for _, one := range list {
		m.group.Rules, m.ids = append(m.group.Rules, one.rule), append(m.ids, one.id)
	}
	return errs
}

// identified is a rule and the UUID of its row.
type identified struct {
	id   string
	rule policy.Rule
}

// groupNames returns the names of groups, sorted.
func groupNames(uuids []string, names map[string]*rows.Group) []string {
	var out []string
	for _, uuid := range uuids {
		if group := names[uuid]; group != nil { // the database holds no reference to nothing
			out = append(out, group.Name)
		}
	}
	slices.Sort(out)
	return out
}

func (m madeInstance) isMadeOf(n madeInstance) bool {
	return slices.EqualFunc(m.ports, n.ports, same) && slices.Equal(m.groups, n.groups)
}

// same says whether two rows are the same, or, after a new connection, hold the same.
func same[T any, P interface {
	*T
	Equals(*T) bool
}](a, b P) bool {
	return a == b || a != nil && b != nil && a.Equals(b)
}

// make reads the rows. An instance is in its groups, and on its host, with all of its ports. With
// an error it is what can be read of it: without the ports whose MAC is none, and nothing at all if
// its ports contradict each other.
func (m *madeInstance) make(names map[string]*rows.Group) (errs error) {
	first := m.ports[0]
	m.instance = &policy.Instance{Name: first.Instance, Host: host(first),
		MigratingTo: migratingTo(first), Groups: m.groups}
	for _, row := range m.ports {
		if host(row) != m.instance.Host {
			m.instance.Ports = nil
			return fmt.Errorf("port %q is on another host than port %q", row.Name, first.Name)
		}
		if migratingTo(row) != m.instance.MigratingTo {
			m.instance.Ports = nil
			return fmt.Errorf("port %q moves to another host than port %q", row.Name, first.Name)
		}
		if !slices.Equal(groupNames(row.Groups, names), m.groups) {
			m.instance.Ports = nil
			return fmt.Errorf("port %q is in other groups than port %q", row.Name, first.Name)
		}
		one, err := port(row)
		for _, err := range each(err) {
			errs = errors.Join(errs, fmt.Errorf("port %q: %w", row.Name, err))
		}
		if !one.MAC.IsZero() {
			m.instance.Ports = append(m.instance.Ports, one)
		}
	}
	return errs
}

// host is where an instance runs. In files an instance without a host runs on every one; in the
// database it has been given none yet.
func host(row *rows.Port) string {
	if row.Host == nil {
		return policy.Nowhere
	}
	return *row.Host
}

// migratingTo is the second host of an instance that is about to move.
func migratingTo(row *rows.Port) string {
	if row.MigratingTo == nil {
		return ""
	}
	return *row.MigratingTo
}

// interfaceOf is the name of a port's interface: its own name, where the row says no other.
func interfaceOf(row *rows.Port) string {
	if row.Interface == nil {
		return row.Name
	}
	return *row.Interface
}

// identityOf is what iface-id says of a port's interface: the name of its row, unless that is the
// one that every port has to whom nobody has given another.
func identityOf(row *rows.Port) string {
	if row.Interface != nil && row.Name == rowName(row.Instance, *row.Interface) {
		return ""
	}
	return row.Name
}

// port reads a port; with an error, what can be read of it.
func port(row *rows.Port) (policy.Port, error) {
	out := policy.Port{Name: interfaceOf(row), IfaceID: identityOf(row), Type: policy.PortType(row.Type),
		HostDevice: row.HostDevice, Trusted: row.Trusted, Limits: limits(row.Limits),
		LogDenied: choice(row.LogDenied)}
	errs := out.MAC.UnmarshalText([]byte(row.MAC))
	if errs != nil {
		out.MAC = policy.MAC{}
	}
	var err error
	out.Addresses, err = networks("addresses", row.Addresses)
	errs = errors.Join(errs, err)
	out.Allowed, err = allowed(row.Allowed)
	errs = errors.Join(errs, err)
	for _, number := range sorted(row.Ethertypes) {
		out.EtherTypes = append(out.EtherTypes, uint16(number))
	}
	return out, errs
}

// closeRule makes a rule of a group one that admits nothing; -1 = one that is not there. An egress
// rule stays as one that admits nobody: without any, all egress would be open.
func closeRule(g *policy.Group, n int) {
	switch {
	case n < 0:
		g.Rules = append(g.Rules, closedRule())
	case g.Rules[n].Direction == policy.Ingress:
		g.Rules = slices.Delete(slices.Clone(g.Rules), n, n+1)
	default:
		g.Rules = slices.Clone(g.Rules)
		g.Rules[n] = closedRule()
	}
}

// closedRule is an egress rule that admits nobody.
func closedRule() policy.Rule {
	return policy.Rule{Direction: policy.Egress, Protocol: policy.AnyProtocol,
		ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP, Peers: []policy.Peer{policy.Nobody}}
}

// each are the errors that were joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, one := range joined.Unwrap() {
			out = append(out, each(one)...)
		}
		return out
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// ofGroup and ofInstance name the object that errors are of.
func ofGroup(row *rows.Group, err error) (out []error) {
	for _, one := range each(err) {
		out = append(out, fmt.Errorf("group %q of the database: %w", row.Name, one))
	}
	return out
}

func ofInstance(name string, err error) (out []error) {
	for _, one := range each(err) {
		out = append(out, fmt.Errorf("instance %q of the database: %w", name, one))
	}
	return out
}
