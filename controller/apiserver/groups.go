package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Groups and their rules. Bodies have the keys of policy files, and mistakes in them are told in
// the words of `portcullis check`.

// Group is a group as it is answered.
type Group struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	Description     string `json:"description,omitempty"`
	ExternalSources any    `json:"external_sources,omitempty"`
	Rules           []Rule `json:"rules"`
	Members         int    `json:"members"` // instances
	// Shared = rules of other projects may name it, too.
	Shared bool `json:"shared,omitempty"`
}

// Rule is a rule as it is answered: its ID, and the keys of a policy file.
type Rule struct {
	ID string
	policy.Rule
}

// MarshalJSON puts the ID before the keys of the rule.
func (r Rule) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(r.Rule)
	if err != nil {
		return nil, err
	}
	id, err := json.Marshal(r.ID)
	return slices.Concat([]byte(`{"id":`), id, []byte(","), text[1:]), err
}

// groupOf is a group as a project is answered; members are those of every group.
func groupOf(v *policydb.View, project string, g *policy.Group, members map[string]int) Group {
	own := shortGroup(project, g)
	out := Group{ID: v.Groups[g.Name], Name: own.Name, Description: g.Description,
		Rules: make([]Rule, len(own.Rules)), Members: members[g.Name], Shared: g.Shared}
	if len(g.ExternalSources) > 0 {
		out.ExternalSources = g.ExternalSources
	}
	for n, rule := range own.Rules {
		out.Rules[n].Rule = rule
		if ids := v.Rules[g.Name]; n < len(ids) {
			out.Rules[n].ID = ids[n]
		}
	}
	return out
}

// listed is a page of a list.
type listed[T any] struct {
	Items      []T    `json:"items"`
	Generation int    `json:"generation"`
	Next       string `json:"next,omitempty"` // the name to go on after; "" = that was all
}

const (
	// pageSize is how many objects an answer has, if nobody says how many.
	pageSize = 100
	maxPage  = 1000
)

// page is the part of a list that is asked for; names are in order.
func page[T any](r *request, all []T, name func(T) string) (part []T, next string, err error) {
	most := pageSize
	if text := r.query.Get("limit"); text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 1 || most > maxPage {
			return nil, "", problemf(http.StatusBadRequest, "?limit=%s: must be 1 to %d", text, maxPage)
		}
	}
	from, _ := slices.BinarySearchFunc(all, r.query.Get("after"), func(one T, after string) int {
		if name(one) <= after && after != "" {
			return -1
		}
		return 1
	})
	part = all[from:]
	if len(part) > most {
		part = part[:most]
		next = name(part[most-1])
	}
	return part, next, nil
}

func (s *Server) listGroups(r *request) (*reply, error) {
	v, err := s.DB.View()
	if err != nil {
		return nil, err
	}
	var all []*policy.Group
	for _, g := range v.Policy.Groups {
		name := short(r.project, g.Name)
		if isOwn(r.project, g.Name) && !g.IsNetwork && strings.Contains(name, r.query.Get("q")) {
			all = append(all, g)
		}
	}
	part, next, err := page(r, all, func(g *policy.Group) string { return short(r.project, g.Name) })
	if err != nil {
		return nil, err
	}
	out := listed[Group]{Items: make([]Group, len(part)), Generation: v.Generation, Next: next}
	counted := v.Policy.MemberCounts()
	for n, g := range part {
		out.Items[n] = groupOf(&v, r.project, g, counted)
	}
	return &reply{body: out}, nil
}

// group finds the group that a request names; nil = there is none.
func (r *request) group(p *policy.Policy) *policy.Group {
	return findGroup(p, full(r.project, r.PathValue("name")), r.project)
}

// findGroup finds a group that a project may name as its own; nil = there is none.
func findGroup(p *policy.Policy, name, project string) *policy.Group {
	n := slices.IndexFunc(p.Groups, func(g *policy.Group) bool {
		return g.Name == name && !g.IsNetwork && isOwn(project, name)
	})
	if n < 0 {
		return nil
	}
	return p.Groups[n]
}

func (r *request) noGroup() *Problem {
	return problemf(http.StatusNotFound, "there is no group %q here", r.PathValue("name"))
}

func (s *Server) showGroup(r *request) (*reply, error) {
	v, err := s.DB.View()
	if err != nil {
		return nil, err
	}
	g := r.group(v.Policy)
	if g == nil {
		return nil, r.noGroup()
	}
	return &reply{body: groupOf(&v, r.project, g, v.Policy.MemberCounts()), etag: tag(g)}, nil
}

// part reads a body as an entry of a list of a policy file.
func part(list string, body []byte) (*policy.Policy, error) {
	text := slices.Concat([]byte(list+": ["), body, []byte("\n]\n"))
	p, err := policyfile.ParsePart(strictyaml.File{Name: "body", Data: text})
	return p, within(err, list+"[0]")
}

// within names places from the entry on.
func within(err error, entry string) error {
	list, ok := err.(strictyaml.Errors)
	if !ok {
		return err
	}
	for n := range list {
		list[n].Field = strings.TrimPrefix(strings.TrimPrefix(list[n].Field, entry), ".")
	}
	return list
}

// readGroup reads a group from a body. The name may be left out, as the path has it.
func (r *request) readGroup(body []byte) (*policy.Group, error) {
	body, err := withName(body, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	p, err := part("groups", body)
	if err != nil {
		return nil, err
	}
	g := fullGroup(r.project, p.Groups[0])
	g.At = policy.Position{}
	return g, nil
}

// oneObject reads a body that is one JSON object, so that nothing of it ends the list that it is
// put into.
func oneObject(body []byte) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, problemf(http.StatusBadRequest, "the body must be a JSON object: %v", err)
	}
	return keys, nil
}

// withName adds the name of the path to an object that has none, and takes out what only answers
// have.
func withName(body []byte, name string) ([]byte, error) {
	keys, err := oneObject(body)
	if err != nil {
		return nil, err
	}
	quoted := marshal(name)
	if own, isThere := keys["name"]; isThere && strings.TrimSpace(string(own)) !=
		strings.TrimSpace(string(quoted)) {
		return nil, problemf(http.StatusUnprocessableEntity, "name: is %s in the body and %q in the "+
			"path; an object keeps its name", own, name)
	}
	delete(keys, "name")
	delete(keys, "id")
	delete(keys, "members")
	if rules, hasRules := keys["rules"]; hasRules {
		keys["rules"] = withoutIDs(rules)
	}
	rest := marshal(keys)
	if len(keys) == 0 {
		return slices.Concat([]byte(`{"name":`), quoted, []byte("}")), nil
	}
	return slices.Concat([]byte(`{"name":`), quoted, []byte(","), rest[1:]), nil
}

// withoutIDs takes the IDs out of rules as they were answered, which the database gives; what is no
// list of rules stays as it is.
func withoutIDs(rules json.RawMessage) json.RawMessage {
	var list []map[string]json.RawMessage
	if json.Unmarshal(rules, &list) != nil || list == nil {
		return rules
	}
	hadID := false
	for _, rule := range list {
		_, hasID := rule["id"]
		hadID = hadID || hasID
		delete(rule, "id")
	}
	if !hadID {
		return rules
	}
	return marshal(list)
}

func (s *Server) putGroup(r *request) (*reply, error) {
	g, err := r.readGroup(r.body)
	if err != nil {
		return nil, err
	}
	return s.change(r, "PUT group "+g.Name, func(p *policy.Policy) (*policy.Policy, error) {
		return r.replaceGroup(p, g)
	})
}

// replaceGroup puts a group in the place of the one of its name, if that is still the one that was
// meant.
func (r *request) replaceGroup(p *policy.Policy, g *policy.Group) (*policy.Policy, error) {
	old, now := findGroup(p, g.Name, r.project), ""
	if old != nil {
		now = tag(old)
	}
	if err := r.match(now); err != nil {
		return nil, err
	}
	next := *p
	next.Groups = exchanged(p.Groups, old, g)
	return &next, nil
}

// patchGroup merges a body into a group.
func (s *Server) patchGroup(r *request) (*reply, error) {
	return s.change(r, "PATCH group "+full(r.project, r.PathValue("name")),
		func(p *policy.Policy) (*policy.Policy, error) {
			old := r.group(p)
			if old == nil {
				return nil, r.noGroup()
			}
			body, err := merged(shortGroup(r.project, old), r.body)
			if err != nil {
				return nil, err
			}
			g, err := r.readGroup(body)
			if err != nil {
				return nil, err
			}
			return r.replaceGroup(p, g)
		})
}

func (s *Server) deleteGroup(r *request) (*reply, error) {
	return s.change(r, "DELETE group "+full(r.project, r.PathValue("name")),
		func(p *policy.Policy) (*policy.Policy, error) {
			old := r.group(p)
			if old == nil {
				return nil, r.noGroup()
			}
			if err := r.match(tag(old)); err != nil {
				return nil, err
			}
			if uses := r.usesOf(p, old.Name); len(uses) > 0 {
				return nil, problemf(http.StatusConflict, "group %q is named by %s: take it out there "+
					"first", r.PathValue("name"), strings.Join(uses, ", "))
			}
			next := *p
			next.Groups = exchanged(p.Groups, old, nil)
			return &next, nil
		})
}

// mostUses is how many objects an answer names.
const mostUses = 5

// usesOf are the objects that name a group, as far as who asks may know of them.
func (r *request) usesOf(p *policy.Policy, name string) (out []string) {
	add := func(kind, owner string) {
		switch word := kind + " " + strconv.Quote(short(r.project, owner)); {
		case !isOwn(r.project, owner):
			out = append(out, "somebody else")
		case !slices.Contains(out, word):
			out = append(out, word)
		}
	}
	for _, g := range p.Groups {
		for _, rule := range g.Rules {
			if g.Name != name && rule.Names(name) {
				add("group", g.Name)
			}
		}
	}
	for _, i := range p.Instances {
		if slices.Contains(i.Groups, name) {
			add("instance", i.Name)
		}
	}
	out = slices.Compact(out)
	if more := len(out) - mostUses; more > 0 {
		out = append(out[:mostUses], strconv.Itoa(more)+" more")
	}
	return out
}
