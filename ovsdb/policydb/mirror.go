package policydb

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// A mirror is a host's copy of the rows, and the policy that they are. [Follower] fills it from a
// stream. Invariant: an update costs what it touches; what it does not touch stays the same value.

type mirror struct {
	globals  map[string]*rows.Global
	projects map[string]*rows.Project
	groups   map[string]*rows.Group
	rules    map[string]*rows.Rule
	ports    map[string]*rows.Port

	of            map[string][]*rows.Port // by instance, each list by name
	madeProjects  map[string]madeProject
	madeGroups    map[string]madeGroup    // by UUID
	madeInstances map[string]madeInstance // by name
	unreadable    map[string][]error      // by kind and name of the object
	policy        *policy.Policy          // what can be read; never altered
	// isWhole = instances are in it, too, of which nothing can be read: a writer replaces them
	isWhole bool
}

func newMirror() *mirror {
	return &mirror{of: map[string][]*rows.Port{}, madeProjects: map[string]madeProject{},
		madeGroups: map[string]madeGroup{}, madeInstances: map[string]madeInstance{},
		unreadable: map[string][]error{}, policy: &policy.Policy{}}
}

// followed are the columns that a host reads.
func followed() map[string][]string {
	return map[string][]string{rows.GlobalTable: rows.Columns[rows.Global](),
		rows.ProjectTable: rows.Columns[rows.Project](),
		rows.GroupTable:   rows.Columns[rows.Group](), rows.RuleTable: rows.Columns[rows.Rule](),
		rows.PortTable: rows.Columns[rows.Port]()}
}

// update is one update of the server that has not been taken over yet.
type update struct {
	extent   client.Extent
	globals  staged[rows.Global, *rows.Global]
	projects staged[rows.Project, *rows.Project]
	groups   staged[rows.Group, *rows.Group]
	rules    staged[rows.Rule, *rows.Rule]
	ports    staged[rows.Port, *rows.Port]
}

func (m *mirror) begin(extent client.Extent) *update {
	u := &update{extent: extent}
	u.globals.have, u.projects.have, u.groups.have = m.globals, m.projects, m.groups
	u.rules.have, u.ports.have = m.rules, m.ports
	return u
}

// isEmpty says whether it tells of no row.
func (u *update) isEmpty() bool {
	return u.extent == client.Changes && len(u.globals.next)+len(u.projects.next)+
		len(u.groups.next)+len(u.rules.next)+len(u.ports.next) == 0
}

// row takes a row in.
func (u *update) row(table, uuid string, r client.RowUpdate) error {
	switch table {
	case rows.GlobalTable:
		return u.globals.row(uuid, r)
	case rows.ProjectTable:
		return u.projects.row(uuid, r)
	case rows.GroupTable:
		return u.groups.row(uuid, r)
	case rows.RuleTable:
		return u.rules.row(uuid, r)
	case rows.PortTable:
		return u.ports.row(uuid, r)
	}
	return nil // nobody has asked for it
}

// row is what a table's row may be.
type row[T any] interface {
	*T
	Equals(*T) bool
}

// staged are the rows of a table that an update names.
type staged[T any, P row[T]] struct {
	have map[string]*T
	next map[string]*T // nil = it goes
}

func (s *staged[T, P]) row(uuid string, r client.RowUpdate) error {
	old, isStaged := s.next[uuid]
	if !isStaged {
		old = s.have[uuid]
	}
	next, err := rows.Updated(old, uuid, r)
	if err != nil {
		return err
	}
	if s.next == nil {
		s.next = map[string]*T{}
	}
	if was := s.have[uuid]; was != nil && next != nil && P(was).Equals(next) {
		next = was
	}
	s.next[uuid] = next
	return nil
}

// change is what becomes of a row; nil = there is none.
type change[T any] struct{ old, new *T }

// apply makes the staged rows the table's, and returns what changes.
func (s *staged[T, P]) apply(table *map[string]*T, extent client.Extent) []change[T] {
	if extent == client.All {
		for uuid := range s.have {
			if _, isThere := s.next[uuid]; !isThere {
				if s.next == nil {
					s.next = map[string]*T{}
				}
				s.next[uuid] = nil
			}
		}
	}
	if *table == nil {
		*table = make(map[string]*T, len(s.next))
	}
	var out []change[T]
	for uuid, next := range s.next {
		old := (*table)[uuid]
		if next == nil {
			delete(*table, uuid)
		} else {
			(*table)[uuid] = next
		}
		if old != next {
			out = append(out, change[T]{old, next})
		}
	}
	return out
}

// touched are the objects that an update may have changed.
type touched struct {
	groups    map[string]bool // by UUID
	instances map[string]bool // by name
}

// apply makes an update the mirror's, and the policy anew as far as it is touched.
func (m *mirror) apply(u *update) {
	u.globals.apply(&m.globals, u.extent)
	projects := u.projects.apply(&m.projects, u.extent)
	groups := u.groups.apply(&m.groups, u.extent)
	rules := u.rules.apply(&m.rules, u.extent)
	ports := u.ports.apply(&m.ports, u.extent)
	if len(projects)+len(groups)+len(rules)+len(ports) == 0 {
		return // it counts, or beats
	}
	t := touched{groups: map[string]bool{}, instances: map[string]bool{}}
	m.touchPorts(ports, &t)
	m.touchGroups(groups, &t)
	m.touchRules(rules, &t)
	next := *m.policy
	if len(projects) > 0 {
		next.Projects = m.makeProjects()
	}
	if len(t.groups) > 0 {
		next.Groups = m.makeGroups(t.groups)
	}
	if len(t.instances) > 0 {
		next.Instances = m.makeInstances(t.instances)
	}
	m.policy = &next
}

// touchPorts keeps the lists of ports by instance.
func (m *mirror) touchPorts(ports []change[rows.Port], t *touched) {
	for _, c := range ports {
		if c.old != nil {
			t.instances[c.old.Instance] = true
			m.of[c.old.Instance] = slices.DeleteFunc(m.of[c.old.Instance],
				func(p *rows.Port) bool { return p == c.old })
		}
		if c.new != nil {
			t.instances[c.new.Instance] = true
			m.of[c.new.Instance] = append(m.of[c.new.Instance], c.new)
		}
	}
	for name := range t.instances {
		if len(m.of[name]) == 0 {
			delete(m.of, name)
		}
		slices.SortFunc(m.of[name],
			func(a, b *rows.Port) int { return strings.Compare(a.Name, b.Name) })
	}
}

// touchGroups finds who names a group that has another name now.
func (m *mirror) touchGroups(groups []change[rows.Group], t *touched) {
	renamed := map[string]bool{}
	for _, c := range groups {
		switch {
		case c.old == nil:
			t.groups[c.new.UUID] = true
		case c.new == nil:
			t.groups[c.old.UUID] = true
		default:
			t.groups[c.new.UUID] = true
			renamed[c.new.UUID] = c.old.Name != c.new.Name || c.old.IsNetwork != c.new.IsNetwork
		}
	}
	names := func(uuid string) bool { return renamed[uuid] }
	if !slices.Contains(slices.Collect(maps.Values(renamed)), true) {
		return
	}
	for _, p := range m.ports {
		if slices.ContainsFunc(p.Groups, names) {
			t.instances[p.Instance] = true
		}
	}
	for uuid, g := range m.groups {
		for _, id := range g.Rules {
			if rule := m.rules[id]; rule != nil && slices.ContainsFunc(rule.Peers, names) {
				t.groups[uuid] = true
			}
		}
	}
}

// touchRules finds the groups of rules that are others now. A rule that is new or gone is in a
// group's row that changes with it.
func (m *mirror) touchRules(rules []change[rows.Rule], t *touched) {
	changed := map[string]bool{}
	for _, c := range rules {
		if c.old != nil && c.new != nil {
			changed[c.new.UUID] = true
		}
	}
	if len(changed) == 0 {
		return
	}
	for uuid, g := range m.groups {
		if slices.ContainsFunc(g.Rules, func(id string) bool { return changed[id] }) {
			t.groups[uuid] = true
		}
	}
}

func (m *mirror) makeProjects() []*policy.Project {
	var out []*policy.Project
	for uuid, row := range m.projects {
		made := m.madeProjects[uuid]
		if made.row != row {
			made = madeProject{row, &policy.Project{Name: row.Name, Description: row.Description}}
			m.madeProjects[uuid] = made
		}
		out = append(out, made.project)
	}
	for uuid := range m.madeProjects {
		if m.projects[uuid] == nil {
			delete(m.madeProjects, uuid)
		}
	}
	slices.SortFunc(out, func(a, b *policy.Project) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (m *mirror) makeGroups(touched map[string]bool) []*policy.Group {
	for uuid := range touched {
		old, isKnown := m.madeGroups[uuid]
		row := m.groups[uuid]
		delete(m.unreadable, "group "+uuid)
		if row == nil {
			delete(m.madeGroups, uuid)
			continue
		}
		made := madeGroup{row: row}
		for _, id := range row.Rules {
			made.rules = append(made.rules, newMadeRule(m.rules[id], m.groups))
		}
		err := made.make(m.groups)
		if isKnown && err == nil && old.isMadeOf(made) {
			made.group = old.group
		}
		if err != nil {
			m.unreadable["group "+uuid] = ofGroup(row, err)
		}
		m.madeGroups[uuid] = made
	}
	out := make([]*policy.Group, 0, len(m.madeGroups))
	for _, made := range m.madeGroups {
		out = append(out, made.group)
	}
	slices.SortFunc(out, func(a, b *policy.Group) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (m *mirror) makeInstances(touched map[string]bool) []*policy.Instance {
	var out []*policy.Instance
	isNew := len(touched) > fewInstances || len(m.policy.Instances) == 0
	if !isNew {
		out = slices.Clone(m.policy.Instances)
	}
	for name := range touched {
		one := m.makeInstance(name)
		if isNew {
			continue
		}
		at, isThere := slices.BinarySearchFunc(out, name,
			func(i *policy.Instance, name string) int { return strings.Compare(i.Name, name) })
		switch {
		case one == nil && isThere:
			out = slices.Delete(out, at, at+1)
		case one == nil:
		case isThere:
			out[at] = one
		default:
			out = slices.Insert(out, at, one)
		}
	}
	if !isNew {
		return out
	}
	for _, made := range m.madeInstances {
		if len(made.instance.Ports) > 0 || m.isWhole {
			out = append(out, made.instance)
		}
	}
	slices.SortFunc(out, func(a, b *policy.Instance) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// fewInstances is how many are put into the list one by one.
const fewInstances = 64

// makeInstance makes an instance anew; nil = there is none, or nothing of it can be read.
func (m *mirror) makeInstance(name string) *policy.Instance {
	delete(m.unreadable, "instance "+name)
	ports := m.of[name]
	if len(ports) == 0 {
		delete(m.madeInstances, name)
		return nil
	}
	made := madeInstance{ports: slices.Clone(ports), groups: groupNames(ports[0].Groups, m.groups)}
	old, isKnown := m.madeInstances[name]
	err := made.make(m.groups)
	if err == nil && isKnown && old.isMadeOf(made) {
		made = old
	}
	if err != nil {
		m.unreadable["instance "+name] = ofInstance(name, err)
	}
	m.madeInstances[name] = made
	if len(made.instance.Ports) == 0 && !m.isWhole {
		return nil
	}
	return made.instance
}

// mistakes are what cannot be read, in order.
func (m *mirror) mistakes() (out []error) {
	for _, key := range slices.Sorted(maps.Keys(m.unreadable)) {
		out = append(out, m.unreadable[key]...)
	}
	return out
}

// global is the row that counts generations.
func (m *mirror) global() (rows.Global, bool) {
	for _, row := range m.globals {
		return *row, true
	}
	return rows.Global{}, false
}

// isEmpty says whether nobody has written anything.
func (m *mirror) isEmpty() bool {
	global, _ := m.global()
	return global.Generation == 0 && len(m.groups)+len(m.ports) == 0
}
