package policydb

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// The policy together with the IDs of its objects. API servers call this. Invariant: an ID is the
// UUID of a row, so it stays as long as the object does, whatever else changes.

// View is one generation of the policy and the IDs of what it has.
type View struct {
	Policy     *policy.Policy
	Generation int
	Groups     map[string]string   // IDs by name
	Rules      map[string][]string // by name of the group, in the order of its rules
}

// View returns the present generation.
func (c *Client) View() (View, error) {
	var v View
	err := c.Read(func(all client.Rows) error {
		s := c.read(all)
		if len(s.errs) > 0 {
			return &InvalidError{errs: s.errs}
		}
		v = View{Policy: s.policy, Generation: s.generation, Groups: map[string]string{},
			Rules: map[string][]string{}}
		c.mu.Lock()
		defer c.mu.Unlock()
		for uuid, made := range c.reader.groups {
			v.Groups[made.group.Name] = uuid
			v.Rules[made.group.Name] = made.ruleIDs(names(all))
		}
		return nil
	})
	return v, err
}

func names(all client.Rows) map[string]*rows.Group {
	out := map[string]*rows.Group{}
	for uuid, row := range client.Table[*rows.Group](all, rows.GroupTable) {
		out[uuid] = row
	}
	return out
}

// ruleIDs are the UUIDs of a group's rules, in the order in which make puts them.
func (m *madeGroup) ruleIDs(names map[string]*rows.Group) []string {
	type named struct {
		id   string
		rule policy.Rule
	}
	var list []named
	for _, made := range m.rules {
		if one, err := rule(made.row, names); err == nil {
			list = append(list, named{made.row.UUID, one})
		}
	}
	slices.SortFunc(list, func(a, b named) int {
		return cmp.Or(compareRules(a.rule, b.rule), strings.Compare(a.id, b.id))
	})
	out := make([]string, len(list))
	for n, one := range list {
		out[n] = one.id
	}
	return out
}
