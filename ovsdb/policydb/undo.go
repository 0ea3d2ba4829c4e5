package policydb

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// What it takes to undo a change. client.go keeps it with each change, and rolls back by it.

// undo are the objects that a change altered, as they were; nil = there was none of that name.
type undo struct {
	// Beside is the generation on trial that goes on although this change followed; 0 = none.
	// [besideWhich] counts on its being the first.
	Beside    int                         `json:"beside,omitempty"`
	Projects  map[string]*policy.Project  `json:"projects,omitempty"`
	Groups    map[string]*policy.Group    `json:"groups,omitempty"`
	Instances map[string]*policy.Instance `json:"instances,omitempty"`
}

// newUndo compares two policies, which share what is the same.
func newUndo(before, after *policy.Policy) undo {
	return undo{Projects: former(before.Projects, after.Projects, projectName),
		Groups:    former(before.Groups, after.Groups, groupName),
		Instances: former(before.Instances, after.Instances, instanceName)}
}

// isEmpty says whether there is nothing to undo.
func (u undo) isEmpty() bool { return len(u.Projects)+len(u.Groups)+len(u.Instances) == 0 }

// concerns says whether both alter some object.
func (u undo) concerns(other undo) bool {
	return haveCommon(u.Projects, other.Projects) || haveCommon(u.Groups, other.Groups) ||
		haveCommon(u.Instances, other.Instances)
}

func haveCommon[T any](a, b map[string]T) bool {
	for name := range a {
		if _, ok := b[name]; ok {
			return true
		}
	}
	return false
}

// within says whose objects beside those of a project are changed; nil if there are none.
func (u undo) within(project string) error {
	if project == "" {
		return nil
	}
	for name := range u.Projects {
		return fmt.Errorf("project %q: only an operator makes, changes and removes projects", name)
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(u.Groups)),
		slices.Sorted(maps.Keys(u.Instances))) {
		if !strings.HasPrefix(name, project+"/") {
			return fmt.Errorf("%q is not of the project %q: its groups and instances are called %s",
				name, project, project+"/NAME")
		}
	}
	return nil
}

// former are the objects that differ, as they were.
func former[T any](before, after []*T, name func(*T) string) map[string]*T {
	gone, come := policy.Unshared(before, after)
	out := byName(gone, name)
	for _, v := range come {
		if out[name(v)] == nil {
			out[name(v)] = nil
		}
	}
	return out
}

// apply returns the policy as it was before the change.
func (u undo) apply(p *policy.Policy) *policy.Policy {
	return &policy.Policy{Projects: replaced(p.Projects, u.Projects, projectName),
		Groups:    replaced(p.Groups, u.Groups, groupName),
		Instances: replaced(p.Instances, u.Instances, instanceName)}
}

// replaced puts objects in the place of those of their names, in the order of names; nil takes one
// away.
func replaced[T any](list []*T, by map[string]*T, name func(*T) string) []*T {
	all := byName(list, name)
	for key, v := range by {
		if v == nil {
			delete(all, key)
		} else {
			all[key] = v
		}
	}
	out := make([]*T, 0, len(all))
	for _, v := range all {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *T) int { return strings.Compare(name(a), name(b)) })
	return out
}

// text writes it for the column Change.undo.
func (u undo) text() (string, error) {
	text, err := json.Marshal(u)
	if err != nil {
		return "", fmt.Errorf("what it takes to undo the change: %w", err)
	}
	return string(text), nil
}

// readUndo reads the column Change.undo.
func readUndo(text string) (undo, error) {
	var u undo
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		return u, fmt.Errorf("what it takes to undo the change: %w", err)
	}
	return u, nil
}

// besideWhich reads no more of the column Change.undo than which trial its change is beside; 0 =
// none.
func besideWhich(text string) int {
	in := json.NewDecoder(strings.NewReader(text))
	generation := 0
	if _, err := in.Token(); err != nil {
		return 0
	}
	if key, err := in.Token(); err != nil || key != "beside" || in.Decode(&generation) != nil {
		return 0
	}
	return generation
}
