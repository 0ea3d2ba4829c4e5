package objects

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// How objects are named on the command line, and found.

// completions are the names of what is called so in a usage.
func completions(p *policy.Policy, what string) []cobra.Completion {
	var out []cobra.Completion
	add := func(name, about string) {
		out = append(out, strings.TrimSuffix(cobra.CompletionWithDesc(name, about), "\t"))
	}
	switch what {
	case "PROJECT":
		for _, one := range p.Projects {
			add(one.Name, one.Description)
		}
	case "GROUP":
		for _, g := range p.Groups {
			add(g.Name, g.Description)
		}
	case "INSTANCE":
		for _, i := range p.Instances {
			add(i.Name, strings.Join(i.Groups, " "))
		}
	case "PORT":
		for _, i := range p.Instances {
			for _, port := range i.Ports {
				add(portName(p, i, &port), i.Name)
			}
		}
	case "HOST":
		for _, host := range hostNames(p) {
			add(host, "")
		}
	case "ID":
		for _, r := range rules(p) {
			add(strconv.FormatUint(uint64(r.ID), 10), r.Group+": "+r.Words)
		}
	}
	return out
}

// hostNames are the hosts that instances are on.
func hostNames(p *policy.Policy) []string {
	names := slices.Sorted(maps.Keys(edit.Hosts(p)))
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// portName is how a port is named: by its interface, or with its instance where that is not enough.
func portName(p *policy.Policy, i *policy.Instance, port *policy.Port) string {
	if _, _, err := edit.FindPort(p, port.Name); err != nil {
		return i.Name + "/" + port.Name
	}
	return port.Name
}

func findGroup(p *policy.Policy, name string) (*policy.Group, error) {
	return find("group", name, p.Groups, func(g *policy.Group) string { return g.Name })
}

func findInstance(p *policy.Policy, name string) (*policy.Instance, error) {
	return find("instance", name, p.Instances, func(i *policy.Instance) string { return i.Name })
}

func find[T any](what, name string, list []*T, nameOf func(*T) string) (*T, error) {
	names := make([]string, len(list))
	for n, v := range list {
		if names[n] = nameOf(v); names[n] == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s %s: there is none of this name%s", what, wording.Quote(name),
		wording.DidYouMean(name, names))
}

// ruleRow is a rule with the name that explain, counters and logs have for it.
type ruleRow struct {
	ID          uint32 `json:"id"`
	Group       string `json:"group"`
	Words       string `json:"words"`
	Description string `json:"description,omitempty"`
	rule        policy.Rule
}

// rules lists all rules, in the order of groups and words.
func rules(p *policy.Policy) []ruleRow {
	ids := flows.RuleIDs(p)
	out := []ruleRow{}
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			out = append(out, ruleRow{ids[flows.RuleKey(g.Name, r)], g.Name, r.String(),
				r.Description, r})
		}
	}
	return out
}

// findRule finds a rule by its ID.
func findRule(p *policy.Policy, id string) (ruleRow, error) {
	all := rules(p)
	for _, r := range all {
		if strconv.FormatUint(uint64(r.ID), 10) == id {
			return r, nil
		}
	}
	return ruleRow{}, fmt.Errorf("rule %s: there is none of this ID; 'portcullis rule list' has them",
		wording.Quote(id))
}
