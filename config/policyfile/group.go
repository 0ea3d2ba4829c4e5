// A group and its rules. Called by reader.go for each entry of groups.

package policyfile

import (
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// group reads one entry of groups.
func (r *reader) group(n strictyaml.Node) *policy.Group {
	g := &policy.Group{At: n.Location().Pos}
	f, ok := n.HintedFields(groupHints, groupKeys...)
	if !ok {
		return g
	}
	if _, ok := f["name"]; !ok {
		n.Errorf("a group needs a name")
	}
	r.field(f, "name", func(n strictyaml.Node) { g.Name, _ = r.text(n) })
	r.field(f, "description", func(n strictyaml.Node) { g.Description = description(n) })
	r.field(f, "shared", func(n strictyaml.Node) { g.Shared, _ = n.Boolean() })
	g.ExternalSources = r.networks(f, "external_sources")
	if rules, ok := f["rules"]; ok {
		g.Rules = r.rules(rules)
	}
	return g
}

// rules reads a list of rules.
func (r *reader) rules(n strictyaml.Node) []policy.Rule {
	entries, _ := n.EntriesLike(`each entry begun by "- direction: …"`)
	if len(entries) == 0 {
		return nil
	}
	out := make([]policy.Rule, 0, len(entries))
	seen := make(map[string]policy.Position, len(entries))
	for nth, e := range entries {
		before := e.Mistakes()
		rule := r.rule(e, nth)
		out = append(out, rule)
		if e.Mistakes() > before {
			continue
		}
		words := rule.String()
		if first, twice := seen[words]; twice {
			e.Warnf("the same rule is in line %d already: %s", first.Line, words)
		} else {
			seen[words] = rule.At
		}
	}
	return out
}
