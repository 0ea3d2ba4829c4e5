package excerpt

import (
	"strconv"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The IDs of rules in a part. Two rules may have one hash, and then the ID of one follows from the
// other: a part that has only one of them gets the group of the other, too.

func decimal(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// withNeighbours returns the groups of a part of p, and those that its rules have their IDs by.
func (c *cut) withNeighbours(p, of *policy.Policy) []*policy.Group {
	owners := map[uint32]string{} // groups, by the IDs of their rules
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			if id, isKnown := c.ids[flows.RuleKey(g.Name, r)]; isKnown {
				owners[id] = g.Name
			}
		}
	}
	has := map[string]bool{}
	for _, g := range of.Groups {
		has[g.Name] = true
	}
	groups := of.Groups
	for {
		before := len(has)
		for key, id := range flows.RuleIDs(&policy.Policy{Groups: groups}) {
			if c.ids[key] != id {
				has[owners[id]] = true
			}
		}
		if len(has) == before {
			return groups
		}
		groups = chosen(p.Groups, func(g *policy.Group) bool { return has[g.Name] })
	}
}
