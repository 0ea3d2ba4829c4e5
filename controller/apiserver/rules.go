package apiserver

import (
	"net/http"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Single rules of a group, for scripts: each has an ID that stays. Whoever changes many replaces
// the group as a whole.

// readRule reads a rule from a body.
func (r *request) readRule() (policy.Rule, error) {
	keys, err := oneObject(r.body)
	if err != nil {
		return policy.Rule{}, err
	}
	p, err := part("groups", slices.Concat([]byte(`{"name":"it","rules":[`), marshal(keys),
		[]byte("\n]}")))
	if err != nil {
		return policy.Rule{}, within(err, "rules[0]")
	}
	return renamed(p.Groups[0].Rules, r.project, full)[0], nil
}

func (s *Server) addRule(r *request) (*reply, error) {
	rule, err := r.readRule()
	if err != nil {
		return nil, err
	}
	name := full(r.project, r.PathValue("name"))
	out, err := s.change(r, "POST rule of group "+name,
		func(p *policy.Policy) (*policy.Policy, error) {
			old := r.group(p)
			if old == nil {
				return nil, r.noGroup()
			}
			if slices.ContainsFunc(old.Rules, func(o policy.Rule) bool { return sameRule(o, rule) }) {
				return nil, problemf(http.StatusConflict, "the group has this rule already: %s", rule)
			}
			g := *old
			g.Rules = append(slices.Clone(old.Rules), rule)
			next := *p
			next.Groups = exchanged(p.Groups, old, &g)
			return &next, nil
		})
	if err != nil {
		return nil, err
	}
	if done := out.body.(*Done); done.DryRun {
		shown := Rule{Rule: renamed([]policy.Rule{rule}, r.project, short)[0]}
		return &reply{status: http.StatusOK, body: MadeRule{Done: *done, Rule: shown}}, nil
	}
	return s.madeRule(r, out, name, rule)
}

// MadeRule is the answer to a rule that was added.
type MadeRule struct {
	Done
	Rule Rule `json:"rule"`
}

// madeRule finds the ID of a rule that was just added. It is there, as a change is seen at once by
// the server that made it, unless somebody has removed it since.
func (s *Server) madeRule(r *request, out *reply, group string, rule policy.Rule) (*reply, error) {
	v, err := s.DB.View()
	if err != nil {
		return nil, err
	}
	made := MadeRule{Done: *out.body.(*Done), Rule: Rule{Rule: rule}}
	if g := findGroup(v.Policy, group, r.project); g != nil {
		n := slices.IndexFunc(g.Rules, func(o policy.Rule) bool { return sameRule(o, rule) })
		if n >= 0 {
			made.Rule.ID = v.Rules[group][n]
		}
	}
	made.Rule.Rule = renamed([]policy.Rule{rule}, r.project, short)[0]
	out.body = made
	return out, nil
}

// sameRule says whether two rules say the same.
func sameRule(a, b policy.Rule) bool {
	return a.String() == b.String() && a.Description == b.Description
}

// deleteRule removes the rule that is meant, also where another one says the same.
func (s *Server) deleteRule(r *request) (*reply, error) {
	name, id := full(r.project, r.PathValue("name")), r.PathValue("id")
	return s.changeView(r, "DELETE rule of group "+name,
		func(v policydb.View) (*policy.Policy, []string, error) {
			old, n := r.group(v.Policy), slices.Index(v.Rules[name], id)
			if old == nil || n < 0 {
				return nil, nil, problemf(http.StatusNotFound, "there is no rule %q of a group %q here", id,
					r.PathValue("name"))
			}
			g := *old
			g.Rules = slices.Delete(slices.Clone(old.Rules), n, n+1)
			next := *v.Policy
			next.Groups = exchanged(v.Policy.Groups, old, &g)
			return &next, []string{id}, nil
		})
}
