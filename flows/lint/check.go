package lint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// Finding is one place where a policy is hardly meant as it is.
type Finding struct {
	ID     string        // of the lint
	Object policy.Object // the group or instance
	At     policy.Position
	Field  string // within the file, such as groups[2].rules[0]; indexes count from 0
	Text   string // what is found, and a way out
}

// String returns one line: position, field, text, id.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s [%s]", f.At, f.Field, f.Text, f.ID)
}

// Check returns what is hardly meant in a valid policy, by file, line and column. What a policy
// without instances leaves open, such as who is in a group, is not found in it, nor is it in one
// without rules which networks are used. It takes time near
// to linear in the size of the policy.
func Check(p *policy.Policy) []Finding {
	c := newChecker(p)
	for g := range c.rules {
		c.world(g)
		c.covered(g)
	}
	uses := c.uses()
	if c.hasRules() {
		c.unusedNetworks(uses)
	}
	if len(p.Instances) > 0 {
		c.unused(uses)
		c.emptyPeers(uses)
		c.withoutGroup()
		c.families()
		c.withoutDNS()
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column))
	})
	return c.found
}

// hasRules says whether there is any rule, which could name a network.
func (c *checker) hasRules() bool {
	return slices.ContainsFunc(c.rules, func(rules []rule) bool { return len(rules) > 0 })
}

// checker is one call of [Check].
type checker struct {
	policy  *policy.Policy
	groups  map[string]*policy.Group
	rules   [][]rule // by index of the group
	public  [2]addresses
	classes []*class // made when they are asked for
	found   []Finding
	inFile  [2][]int // by kind and index: which of its file an object is
}

func newChecker(p *policy.Policy) *checker {
	c := &checker{policy: p, groups: make(map[string]*policy.Group, len(p.Groups)),
		rules: make([][]rule, len(p.Groups)), public: publicAddresses()}
	for _, g := range p.Groups {
		c.groups[g.Name] = g
	}
	for g := range p.Groups {
		for nth := range p.Groups[g].Rules {
			c.rules[g] = append(c.rules[g], c.rule(g, nth))
		}
	}
	c.inFile[policy.AGroup] = inFile(p.Groups, func(g *policy.Group) string {
		if g.IsNetwork {
			return "" // which has a name there, and no number
		}
		return g.At.File
	})
	c.inFile[policy.AnInstance] = inFile(p.Instances,
		func(i *policy.Instance) string { return i.At.File })
	return c
}

// inFile numbers the objects of each file.
func inFile[T any](list []T, file func(T) string) []int {
	next, out := map[string]int{}, make([]int, len(list))
	for n, v := range list {
		name := file(v)
		out[n] = next[name]
		next[name]++
	}
	return out
}

func (c *checker) atRule(r *rule, id, format string, args ...any) {
	g := c.policy.Groups[r.group]
	c.found = append(c.found, Finding{id, policy.Object{Kind: policy.AGroup, Index: r.group,
		Name: g.Name}, r.At, fmt.Sprintf("groups[%d].rules[%d]",
		c.inFile[policy.AGroup][r.group], r.nth), fmt.Sprintf(format, args...)})
}

func (c *checker) atGroup(index int, id, format string, args ...any) {
	g := c.policy.Groups[index]
	field := fmt.Sprintf("groups[%d]", c.inFile[policy.AGroup][index])
	if g.IsNetwork {
		field = "networks." + g.Name
	}
	c.found = append(c.found, Finding{id, policy.Object{Kind: policy.AGroup, Index: index,
		Name: g.Name}, g.At, field, fmt.Sprintf(format, args...)})
}

func (c *checker) atInstance(index int, id, format string, args ...any) {
	i := c.policy.Instances[index]
	c.found = append(c.found, Finding{id, policy.Object{Kind: policy.AnInstance, Index: index,
		Name: i.Name}, i.At, fmt.Sprintf("instances[%d]", c.inFile[policy.AnInstance][index]),
		fmt.Sprintf(format, args...)})
}
