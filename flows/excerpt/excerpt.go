package excerpt

import (
	"slices"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The cut. The API server answers with it, its client asks for it. Invariants: a part holds nothing
// that the policy does not hold, each of its objects is whole, and its rules have the IDs that they
// have in the policy.

// Kinds of objects, all of which can be asked for.
const (
	AllGroups    = "groups"
	AllInstances = "instances"
)

// Asked says what is asked for, by names. The zero Asked is the whole policy.
type Asked struct {
	// Kinds are those of which all objects are asked for.
	Kinds []string
	// Groups are asked for alone; of Around, also the groups whose rules name them and the instances
	// that are in them.
	Groups, Around []string
	// Projects are asked for with all that is theirs.
	Projects []string
	// Rules are IDs: they are asked for with their groups.
	Rules []string
	// Instances are asked for with their ports, and so are those that have one of Ports, or that are
	// on one of Hosts or about to be.
	Instances, Ports, Hosts []string
}

// Part is what is told.
type Part struct {
	Generation int            `json:"generation"`
	Policy     *policy.Policy `json:"policy"`
	// Members counts the instances of each group, where all groups are asked for and not all
	// instances.
	Members map[string]int `json:"members,omitempty"`
}

// HasNames says whether objects are asked for by their names, of which there may be none.
func (a Asked) HasNames() bool {
	for _, list := range a.lists() {
		if len(list) > 0 {
			return true
		}
	}
	return false
}

// IsAll says whether the whole policy is asked for.
func (a Asked) IsAll() bool { return len(a.Kinds) == 0 && !a.HasNames() }

func (a Asked) lists() [][]string {
	return [][]string{a.Groups, a.Around, a.Projects, a.Rules, a.Instances, a.Ports, a.Hosts}
}

// Of returns the part of a policy that is asked for, in the order of the policy.
func Of(p *policy.Policy, generation int, a Asked) Part {
	out := Part{Generation: generation, Policy: p}
	if a.IsAll() {
		return out
	}
	c := cut{Asked: a, ids: map[string]uint32{}}
	hasAll := slices.Contains(a.Kinds, AllGroups)
	if !hasAll && len(a.Groups)+len(a.Around)+len(a.Projects)+len(a.Rules) > 0 {
		c.ids = flows.RuleIDs(p)
	}
	out.Policy = &policy.Policy{Projects: chosen(p.Projects, c.hasProject),
		Groups: chosen(p.Groups, c.hasGroup), Instances: chosen(p.Instances, c.hasInstance)}
	if hasAll {
		out.Members = p.MemberCounts()
	} else {
		out.Policy.Groups = c.withNeighbours(p, out.Policy)
	}
	return out
}

func chosen[T any](list []*T, isChosen func(*T) bool) (out []*T) {
	for _, v := range list {
		if isChosen(v) {
			out = append(out, v)
		}
	}
	return out
}

// cut is what is asked for, with the IDs of the rules of the whole.
type cut struct {
	Asked
	ids map[string]uint32
}

func (c *cut) isOfProject(name string) bool {
	project, _ := policy.SplitName(name)
	return project != "" && slices.Contains(c.Projects, project)
}

func (c *cut) hasProject(one *policy.Project) bool { return slices.Contains(c.Projects, one.Name) }

func (c *cut) hasGroup(g *policy.Group) bool {
	if slices.Contains(c.Kinds, AllGroups) || slices.Contains(c.Groups, g.Name) ||
		slices.Contains(c.Around, g.Name) || c.isOfProject(g.Name) {
		return true
	}
	return slices.ContainsFunc(g.Rules, func(r policy.Rule) bool {
		return slices.ContainsFunc(c.Around, r.Names) ||
			len(c.Rules) > 0 && slices.Contains(c.Rules, decimal(c.ids[flows.RuleKey(g.Name, r)]))
	})
}

func (c *cut) hasInstance(i *policy.Instance) bool {
	if slices.Contains(c.Kinds, AllInstances) || slices.Contains(c.Instances, i.Name) ||
		slices.Contains(c.Hosts, i.Host) || c.isOfProject(i.Name) ||
		i.MigratingTo != "" && slices.Contains(c.Hosts, i.MigratingTo) {
		return true
	}
	return slices.ContainsFunc(i.Groups, func(name string) bool {
		return slices.Contains(c.Around, name)
	}) || slices.ContainsFunc(i.Ports, func(port policy.Port) bool {
		return slices.Contains(c.Ports, port.Name) || slices.Contains(c.Ports, i.Name+"/"+port.Name)
	})
}
