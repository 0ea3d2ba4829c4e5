package exoscale

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Security groups, their external sources and members. Invariant: what is the same already is no
// mistake: a client may repeat what it has sent.

// group is a group as it is answered.
type group struct {
	ID              string         `json:"id"`
	Name            string         `json:"name"`
	Description     string         `json:"description,omitempty"`
	ExternalSources []netip.Prefix `json:"external-sources,omitempty"`
	Rules           []ruleBody     `json:"rules"`
}

// shown is a group as a key sees it: of another project's its name alone.
func (s *seen) shown(g *policy.Group) group {
	out := group{ID: s.Groups[g.Name], Name: g.Name, Rules: []ruleBody{}}
	if s.isOwn(g) || g.IsNetwork {
		out.Description, out.ExternalSources = g.Description, g.ExternalSources
	}
	if s.isOwn(g) {
		out.Name = s.short(g.Name)
		for n, r := range g.Rules {
			out.Rules = append(out.Rules, s.parts(s.Rules[g.Name][n], r)...)
		}
	}
	return out
}

func listGroups(r *request, s *seen) (any, error) {
	is := s.isOwn
	switch visibility := r.URL.Query().Get("visibility"); visibility {
	case "", "private":
	case public:
		is = s.isPublic
	default:
		return nil, apiserver.Refusal(http.StatusBadRequest,
			"?visibility=%s: must be private or public", visibility)
	}
	list := []group{}
	for _, g := range s.Policy.Groups {
		if is(g) {
			list = append(list, s.shown(g))
		}
	}
	return map[string][]group{"security-groups": list}, nil
}

func showGroup(r *request, s *seen) (any, error) {
	g := s.byID[r.PathValue("id")]
	if g == nil {
		return nil, none("security group", r.PathValue("id"))
	}
	return s.shown(g), nil
}

// own finds the group that is to be changed.
func (s *seen) own(id string) (*policy.Group, error) {
	g := s.byID[id]
	switch {
	case g == nil:
		return nil, none("security group", id)
	case g.IsNetwork:
		return nil, apiserver.Refusal(http.StatusForbidden, "%s is a named network, which is not "+
			"changed here: see /v1, or policy files", wording.Quote(g.Name))
	case !s.isOwn(g):
		return nil, apiserver.Refusal(http.StatusForbidden,
			"the group %s is public, and another project's", wording.Quote(g.Name))
	}
	return g, nil
}

// edited makes an edit of what is there. Where it is so already, nothing is changed.
func (s *seen) edited(do edit.Edit) (policydb.Edited, error) {
	next, err := do(s.Policy)
	if refused := (*edit.Error)(nil); errors.As(err, &refused) {
		err = apiserver.Refusal(http.StatusConflict, "%s", refused.Text)
	}
	return policydb.Edited{Policy: next}, err
}

func createGroup(r *request) (change, error) {
	var body struct{ Name, Description string }
	if err := decode(r.body, &body); err != nil {
		return change{}, err
	}
	return change{made: body.Name, edit: func(s *seen) (policydb.Edited, error) {
		if s.project != "" && strings.Contains(body.Name, "/") {
			return policydb.Edited{}, apiserver.Refusal(http.StatusBadRequest,
				"name: is %s; the name of a group has no slash", wording.Quote(body.Name))
		}
		name := s.full(body.Name)
		if slices.ContainsFunc(s.Policy.Groups, func(g *policy.Group) bool { return g.Name == name }) {
			return policydb.Edited{}, apiserver.Refusal(http.StatusConflict,
				"there is a group %s already", wording.Quote(body.Name))
		}
		return s.edited(edit.AddGroup(policy.Group{Name: name, Description: body.Description}))
	}}, nil
}

func deleteGroup(r *request) (change, error) {
	id := r.PathValue("id")
	return change{group: id, edit: func(s *seen) (policydb.Edited, error) {
		g, err := s.own(id)
		if err != nil {
			return policydb.Edited{}, err
		}
		if uses := s.usesOf(g.Name); len(uses) > 0 {
			return policydb.Edited{}, apiserver.Refusal(http.StatusConflict,
				"the group %s is needed by %s; take it out there first",
				wording.Quote(s.short(g.Name)), strings.Join(uses, ", "))
		}
		return s.edited(edit.RemoveGroup(g.Name))
	}}, nil
}

// mostUses is how many objects a message names.
const mostUses = 5

// usesOf is what names a group, as far as the key may know of it.
func (s *seen) usesOf(name string) (out []string) {
	add := func(kind, owner string) {
		word := "somebody else"
		if s.isOurs(owner) {
			word = kind + " " + wording.Quote(s.short(owner))
		}
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	for _, g := range s.Policy.Groups {
		for _, r := range g.Rules {
			if g.Name != name && r.Names(name) {
				add("group", g.Name)
			}
		}
	}
	for _, i := range s.Policy.Instances {
		if slices.Contains(i.Groups, name) {
			add("instance", i.Name)
		}
	}
	if more := len(out) - mostUses; more > 0 {
		out = append(out[:mostUses], strconv.Itoa(more)+" more")
	}
	return out
}

// putGroup is each of ID:add-source, :remove-source, :attach and :detach.
func putGroup(r *request) (change, error) {
	id, what, _ := strings.Cut(r.PathValue("id"), ":")
	switch what {
	case "add-source", "remove-source":
		return putSource(r, id, what)
	case "attach", "detach":
		return putMember(r, id, what)
	}
	return change{}, apiserver.Refusal(http.StatusNotImplemented, "Portcullis does not serve %q: a "+
		"security group has :add-source, :remove-source, :attach and :detach", what)
}

func putSource(r *request, id, what string) (change, error) {
	var body struct{ CIDR string }
	if err := decode(r.body, &body); err != nil {
		return change{}, err
	}
	source, err := network("cidr", body.CIDR)
	if err != nil {
		return change{}, err
	}
	return change{group: id, edit: func(s *seen) (policydb.Edited, error) {
		g, err := s.own(id)
		if err != nil || slices.Contains(g.ExternalSources, source) == (what == "add-source") {
			return policydb.Edited{Policy: s.Policy}, err
		}
		return s.edited(edit.SetGroup(g.Name, func(g *policy.Group) {
			if what == "add-source" {
				g.ExternalSources = append(slices.Clone(g.ExternalSources), source)
				return
			}
			g.ExternalSources = slices.DeleteFunc(slices.Clone(g.ExternalSources),
				func(p netip.Prefix) bool { return p == source })
		}))
	}}, nil
}

func putMember(r *request, id, what string) (change, error) {
	instance, err := target(r.body)
	if err != nil {
		return change{}, err
	}
	return change{group: id, edit: func(s *seen) (policydb.Edited, error) {
		g, err := s.own(id)
		if err != nil {
			return policydb.Edited{}, err
		}
		i := s.instance(instance)
		switch {
		case i == nil:
			return policydb.Edited{}, none("instance", instance)
		case slices.Contains(i.Groups, g.Name) == (what == "attach"):
			return policydb.Edited{Policy: s.Policy}, nil
		case what == "attach":
			return s.edited(edit.Join(i.Name, g.Name))
		}
		return s.edited(edit.Leave(i.Name, g.Name))
	}}, nil
}
