package policydb

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// The operations that turn the rows into another policy. client.go sends them. Invariant: a row is
// written only where a column of it differs, and found by its UUID: any other condition has the
// server look at the whole table.

// writing is one transaction in the making.
type writing struct {
	client.Operations
	rows   client.Rows
	groups map[string]libovsdb.UUID // by name: of rows that are there, and of new ones
	names  map[string]*rows.Group   // by UUID, those that are there
	gone   map[string]bool          // UUIDs of rules that go before others that say the same
}

// plan adds what turns the policy of a state into another one. Objects that both share are not
// looked at.
func (w *writing) plan(s state, after *policy.Policy) {
	w.projects(s.policy.Projects, after.Projects)
	w.refer(after.Groups)
	goneGroups, groups := policy.Unshared(s.policy.Groups, after.Groups)
	for _, g := range groups {
		w.group(g)
	}
	gone, come := policy.Unshared(s.policy.Instances, after.Instances)
	for _, i := range come {
		w.instance(i, s.ports[i.Name])
	}
	stay := byName(come, instanceName)
	for _, i := range gone {
		if stay[i.Name] == nil {
			w.deletePorts(s.ports[i.Name])
		}
	}
	staying := byName(groups, groupName)
	for _, g := range goneGroups {
		if staying[g.Name] == nil {
			row := w.names[w.groups[g.Name].GoUUID]
			w.withdraw("group "+strconv.Quote(g.Name), row.Rules)
			w.Delete("group "+strconv.Quote(g.Name), rows.GroupTable, row.UUID)
		}
	}
}

// byName finds objects by their names.
func byName[T any](list []*T, name func(*T) string) map[string]*T {
	out := make(map[string]*T, len(list))
	for _, v := range list {
		out[name(v)] = v
	}
	return out
}

func projectName(p *policy.Project) string { return p.Name }

func groupName(g *policy.Group) string { return g.Name }

func instanceName(i *policy.Instance) string { return i.Name }

// projects makes the rows of projects be what is wanted.
func (w *writing) projects(before, after []*policy.Project) {
	if slices.Equal(before, after) {
		return
	}
	there := map[string]*rows.Project{}
	for _, row := range client.Table[*rows.Project](w.rows, rows.ProjectTable) {
		there[row.Name] = row
	}
	for _, p := range after {
		about, row := "project "+strconv.Quote(p.Name), there[p.Name]
		delete(there, p.Name)
		if row == nil {
			w.Insert(about, rows.ProjectTable,
				libovsdb.Row{"name": p.Name, "description": p.Description})
			continue
		}
		w.Update(about, rows.ProjectTable, row.UUID, client.Differing(
			libovsdb.Row{"description": p.Description},
			libovsdb.Row{"description": row.Description}))
	}
	for _, row := range there {
		w.Delete("project "+strconv.Quote(row.Name), rows.ProjectTable, row.UUID)
	}
}

// refer finds the rows of groups and gives references to those that are to be made.
func (w *writing) refer(after []*policy.Group) {
	w.groups, w.names = map[string]libovsdb.UUID{}, map[string]*rows.Group{}
	for uuid, row := range client.Table[*rows.Group](w.rows, rows.GroupTable) {
		w.groups[row.Name], w.names[uuid] = libovsdb.UUID{GoUUID: uuid}, row
	}
	for n, g := range after {
		if _, isThere := w.groups[g.Name]; !isThere {
			w.groups[g.Name] = libovsdb.UUID{GoUUID: "group" + strconv.Itoa(n)}
		}
	}
}

// group makes the rows of a group be what it says.
func (w *writing) group(g *policy.Group) {
	about := "group " + strconv.Quote(g.Name)
	columns := libovsdb.Row{"name": g.Name, "description": g.Description,
		"external_sources": client.Set(stringsOf(g.ExternalSources)), "is_network": g.IsNetwork,
		"shared": g.Shared}
	reference := w.groups[g.Name]
	row := w.names[reference.GoUUID]
	if row == nil {
		columns["rules"] = client.Set(w.newRules(about, g.Rules))
		w.InsertAs(reference.GoUUID, about, rows.GroupTable, columns)
		return
	}
	w.Update(about, rows.GroupTable, row.UUID, client.Differing(columns, libovsdb.Row{"name": row.Name,
		"description": row.Description, "is_network": row.IsNetwork, "shared": row.Shared,
		"external_sources": client.Set(sorted(row.ExternalSources))}))
	add, gone := w.rules(g.Rules, row.Rules)
	w.withdraw(about, gone)
	var mutations []libovsdb.Mutation
	if len(gone) > 0 {
		mutations = append(mutations, *libovsdb.NewMutation("rules",
			libovsdb.MutateOperationDelete, uuidSet(gone)))
	}
	if len(add) > 0 {
		mutations = append(mutations, *libovsdb.NewMutation("rules",
			libovsdb.MutateOperationInsert, client.Set(w.newRules(about, add))))
	}
	w.Mutate(about, rows.GroupTable, row.UUID, mutations)
}

// withdraw deletes rows of rules. One that is no group's any more would go by itself, but only
// after the database has found that it still names a group that goes in the same transaction.
func (w *writing) withdraw(about string, rules []string) {
	for _, uuid := range rules {
		w.Delete(about+", rule "+uuid, rows.RuleTable, uuid)
	}
}

// rules returns the rules that have no row yet, and the rows that no rule has.
func (w *writing) rules(want []policy.Rule, have []string) (add []policy.Rule, gone []string) {
	there := map[string][]string{}
	for _, uuid := range w.staying(have) {
		key := "a rule that cannot be read"
		if row, ok := client.Row[*rows.Rule](w.rows, rows.RuleTable, uuid); ok {
			if r, err := rule(row, w.names); err == nil {
				key = ruleKey(r)
			}
		}
		there[key] = append(there[key], uuid)
	}
	for _, r := range want {
		key := ruleKey(r)
		if same := there[key]; len(same) > 0 {
			there[key] = same[1:]
			continue
		}
		add = append(add, r)
	}
	for _, uuid := range have { // in their order, so that the operations are the same each time
		for _, left := range there {
			if slices.Contains(left, uuid) {
				gone = append(gone, uuid)
			}
		}
	}
	return add, gone
}

// staying puts the rows of rules that are to go behind the others.
func (w *writing) staying(have []string) []string {
	var stay, last []string
	for _, uuid := range have {
		if w.gone[uuid] {
			last = append(last, uuid)
		} else {
			stay = append(stay, uuid)
		}
	}
	return append(stay, last...)
}

func ruleKey(r policy.Rule) string { return r.String() + "\n" + r.Description }

// compareRules is the order of rules, which in a set have none of their own.
func compareRules(a, b policy.Rule) int { return strings.Compare(ruleKey(a), ruleKey(b)) }

// newRules adds rows for rules and returns their references.
func (w *writing) newRules(about string, list []policy.Rule) []libovsdb.UUID {
	var out []libovsdb.UUID
	for _, r := range list {
		var cidrs, peers []string
		for _, p := range policy.UnionOfPeers(r.Peers) {
			if p.Group != "" {
				peers = append(peers, w.groups[p.Group].GoUUID)
			} else {
				cidrs = append(cidrs, p.CIDR.String())
			}
		}
		out = append(out, w.Insert(about+", rule "+strconv.Quote(r.String()), rows.RuleTable,
			libovsdb.Row{"direction": r.Direction.String(), "protocol": int(r.Protocol),
				"ports":     client.Set(stringsOf(policy.UnionOfPorts(r.Ports))),
				"icmp_type": icmpColumn(r.ICMPType), "icmp_code": icmpColumn(r.ICMPCode), "cidrs": client.Set(sorted(cidrs)),
				"peers": uuidSet(peers), "description": r.Description}))
	}
	return out
}

func icmpColumn(n int16) libovsdb.OvsSet {
	if n == policy.AnyICMP {
		return client.Set[int](nil)
	}
	return client.Set([]int{int(n)})
}

// instance makes the rows of an instance be what it says. A row is one port's by its name, or else
// by its interface.
func (w *writing) instance(i *policy.Instance, have []*rows.Port) {
	left := slices.Clone(have)
	for n := range i.Ports {
		p := &i.Ports[n]
		about := "port " + strconv.Quote(p.Name) + " of instance " + strconv.Quote(i.Name)
		columns := w.portColumns(i, p)
		at := rowOf(left, columns["name"], p.Name)
		if at < 0 {
			w.Insert(about, rows.PortTable, columns)
			continue
		}
		w.Update(about, rows.PortTable, left[at].UUID, client.Differing(columns, present(left[at])))
		left = slices.Delete(left, at, at+1)
	}
	w.deletePorts(left)
}

// rowOf finds the row of a port; -1 = there is none.
func rowOf(list []*rows.Port, name any, interfaceName string) int {
	at := slices.IndexFunc(list, func(row *rows.Port) bool { return row.Name == name })
	if at >= 0 {
		return at
	}
	return slices.IndexFunc(list, func(row *rows.Port) bool {
		return interfaceOf(row) == interfaceName
	})
}

// rowName is the name of the row of a port without an identity of its own.
func rowName(instance, interfaceName string) string { return instance + "/" + interfaceName }

// PortRow is the name of the row of an instance's port, by which hosts name it in what they say.
func PortRow(i *policy.Instance, p *policy.Port) string {
	name, _ := portNames(i, p)
	return name
}

// portNames are the columns by which a port's interface is found.
func portNames(i *policy.Instance, p *policy.Port) (name string, interfaceName []string) {
	switch p.IfaceID {
	case "":
		return rowName(i.Name, p.Name), []string{p.Name}
	case p.Name:
		return p.IfaceID, nil
	}
	return p.IfaceID, []string{p.Name}
}

// deletePorts takes rows of ports away.
func (w *writing) deletePorts(list []*rows.Port) {
	for _, row := range list {
		w.Delete("port "+strconv.Quote(row.Name), rows.PortTable, row.UUID)
	}
}

// portColumns are all columns of a port.
func (w *writing) portColumns(i *policy.Instance, p *policy.Port) libovsdb.Row {
	groups := make([]string, len(i.Groups))
	for n, name := range i.Groups {
		groups[n] = w.groups[name].GoUUID
	}
	var hosts []string
	if i.Host != "" && i.Host != policy.Nowhere {
		hosts = []string{i.Host}
	}
	allowed := make([]string, len(p.Allowed))
	for n, a := range p.Allowed {
		allowed[n] = allowedColumn(a)
	}
	var second []string
	if i.MigratingTo != "" {
		second = []string{i.MigratingTo}
	}
	name, interfaceName := portNames(i, p)
	return libovsdb.Row{"name": name, "instance": i.Name, "host": client.Set(hosts),
		"migrating_to": client.Set(second), "interface": client.Set(interfaceName),
		"groups": uuidSet(groups), "mac": p.MAC.String(),
		"addresses": client.Set(stringsOf(p.Addresses)), "allowed": client.Set(sorted(allowed)),
		"type": string(p.Type), "trusted": p.Trusted, "host_device": p.HostDevice,
		"ethertypes": client.Set(numbers(p.EtherTypes)), "limits": limitsMap(limitsColumn(p.Limits)),
		"log_denied": choiceColumn(p.LogDenied)}
}

// optional is the set that a column of at most one element is.
func optional[T any](column *T) []T {
	if column == nil {
		return nil
	}
	return []T{*column}
}

// present are the columns of a row as portColumns has them.
func present(row *rows.Port) libovsdb.Row {
	return libovsdb.Row{"name": row.Name, "instance": row.Instance,
		"host": client.Set(optional(row.Host)), "migrating_to": client.Set(optional(row.MigratingTo)),
		"interface": client.Set(optional(row.Interface)), "groups": uuidSet(row.Groups), "mac": row.MAC,
		"addresses": client.Set(sorted(row.Addresses)), "allowed": client.Set(sorted(row.Allowed)),
		"type": row.Type, "trusted": row.Trusted, "host_device": row.HostDevice,
		"ethertypes": client.Set(sorted(row.Ethertypes)), "limits": limitsMap(row.Limits),
		"log_denied": choiceColumn(choice(row.LogDenied))}
}

// sorted is a list as a set: in order, and each once.
func sorted[T cmp.Ordered](list []T) []T { return asSet(list, cmp.Compare[T]) }

// asSet is sorted, by an order of one's own; none stays none.
func asSet[T comparable](list []T, compare func(a, b T) int) []T {
	return slices.Compact(slices.SortedFunc(slices.Values(list), compare))
}

func numbers(list []uint16) []int {
	out := make([]int, len(list))
	for n, v := range list {
		out[n] = int(v)
	}
	return sorted(out)
}

// uuidSet is a set of references, in the order of their names.
func uuidSet(uuids []string) libovsdb.OvsSet {
	var list []libovsdb.UUID
	for _, uuid := range sorted(uuids) {
		list = append(list, libovsdb.UUID{GoUUID: uuid})
	}
	return client.Set(list)
}

func limitsMap(limits map[string]int) libovsdb.OvsMap {
	out := libovsdb.OvsMap{GoMap: map[any]any{}}
	for key, n := range limits {
		out.GoMap[key] = n
	}
	return out
}
