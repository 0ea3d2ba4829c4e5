package policydb

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// A sieve leaves out of a policy what is not valid: rows that somebody has written who does not ask
// [policy.Validate]. [Follower] calls it. Invariants: what it returns is valid, or admits nothing
// where it is not; what one object gets wrong holds up no other; of two that contradict each other
// the one stays that was there before. What is left of an object is what the rows say of it, never
// what they said.

type sieve struct {
	source *policy.Policy // what was sifted last
	result *policy.Policy // what came of it
	errs   []error
	fates  fates
	known  policy.Known // what is valid of the source; only where all of it is
}

// fates are what becomes of objects that are not valid, by name; a nil one is left out.
type fates struct {
	groups    map[string]*policy.Group
	instances map[string]*policy.Instance
}

// rounds bounds how often what is left is judged again.
const rounds = 16

// sift returns what is valid of a policy, and what is wrong with the rest. The policy is not
// altered; what is valid stays the same value.
func (s *sieve) sift(p *policy.Policy) (*policy.Policy, []error) {
	if s.source == p {
		return s.result, s.errs
	}
	if len(s.errs) == 0 && s.source != nil && s.known.IsValid(p) {
		s.known.Learn(p)
		s.source, s.result = p, p
		return p, nil
	}
	next := fates{map[string]*policy.Group{}, map[string]*policy.Instance{}}
	errs, isValid := s.resolve(p, next)
	next.reuse(s.fates)
	s.source, s.errs, s.fates = p, errs, next
	switch {
	case len(errs) == 0:
		s.result = p
		s.known.Learn(p)
		return s.result, nil
	case isValid:
		s.result = next.applied(p)
	case s.result == nil:
		s.result = &policy.Policy{} // else what was valid last stays
	}
	s.known = policy.Known{}
	return s.result, errs
}

// resolve finds what becomes of the objects of a policy. It says whether what is left is valid.
func (s *sieve) resolve(p *policy.Policy, next fates) (errs []error, isValid bool) {
	reported := map[string]bool{}
	v := policy.Validator{Place: func(o policy.Object, field string) string {
		return o.String() + ": " + field
	}}
	for range rounds {
		candidate := s.ordered(p, next)
		problems := judge(&v, candidate)
		isValid = true
		for _, problem := range problems {
			text := fmt.Sprintf("%s of the database: %s: %s", problem.Object, problem.Field,
				problem.Text)
			if reported[text] {
				continue // the name of a group that admits nothing
			}
			reported[text], isValid = true, false
			errs = append(errs, errors.New(text))
		}
		if isValid {
			break
		}
		next.mend(candidate, problems)
	}
	return errs, isValid
}

// judge returns the problems of a policy but those of rules that admit nothing.
func judge(v *policy.Validator, p *policy.Policy) []policy.Problem {
	return slices.DeleteFunc(v.Validate(p), func(problem policy.Problem) bool {
		list, n, _ := part(problem.Field)
		if problem.Object.Kind != policy.AGroup || list != "rules" || n < 0 {
			return false
		}
		return p.Groups[problem.Object.Index].Rules[n].IsWithheld()
	})
}

// ordered is a policy with the fates so far, and with what was there before and valid first: of two
// that contradict each other the later one is told to be wrong.
func (s *sieve) ordered(p *policy.Policy, next fates) *policy.Policy {
	out := next.applied(p)
	before := s.source
	if before == nil {
		before = p // of another run only the fates are known
	}
	was := make(map[*policy.Instance]bool, len(before.Instances))
	for _, i := range before.Instances {
		if _, isFated := s.fates.instances[i.Name]; !isFated {
			was[i] = true
		}
	}
	var first, last []*policy.Instance
	for _, i := range out.Instances {
		if was[i] {
			first = append(first, i)
		} else {
			last = append(last, i)
		}
	}
	out.Instances = append(first, last...)
	return out
}

// rejected are the instances that are not in force as their rows say, by name.
func (s *sieve) rejected() []string { return slices.Sorted(maps.Keys(s.fates.instances)) }

// setRejected notes those of another run.
func (s *sieve) setRejected(names []string) {
	s.fates.instances = map[string]*policy.Instance{}
	for _, name := range names {
		s.fates.instances[name] = nil
	}
}

// applied is a policy with what became of its objects.
func (f fates) applied(p *policy.Policy) *policy.Policy {
	out := &policy.Policy{Projects: p.Projects}
	for _, g := range p.Groups {
		if fate, isFated := f.groups[g.Name]; isFated {
			g = fate
		}
		out.Groups = append(out.Groups, g)
	}
	for _, i := range p.Instances {
		if fate, isFated := f.instances[i.Name]; isFated {
			i = fate
		}
		if i != nil {
			out.Instances = append(out.Instances, i)
		}
	}
	return out
}

// reuse has what became the same again be the same value.
func (f fates) reuse(former fates) {
	for name, g := range f.groups {
		if was, ok := former.groups[name]; ok && reflect.DeepEqual(was, g) {
			f.groups[name] = was
		}
	}
	for name, i := range f.instances {
		if was, ok := former.instances[name]; ok && reflect.DeepEqual(was, i) {
			f.instances[name] = was
		}
	}
}

// mend decides what becomes of objects that have problems.
func (f fates) mend(p *policy.Policy, problems []policy.Problem) {
	bad := map[policy.Object][]string{}
	for _, problem := range problems {
		bad[problem.Object] = append(bad[problem.Object], problem.Field)
	}
	for object, fields := range bad {
		switch object.Kind {
		case policy.AGroup:
			f.groups[object.Name] = mendedGroup(p.Groups[object.Index], fields)
		case policy.AnInstance:
			f.instances[object.Name] = mendedInstance(p.Instances[object.Index], fields)
		}
	}
}

// part takes a field such as rules[3].group to its list, the number in it, and the rest; -1 = the
// field has no number.
func part(field string) (list string, n int, rest string) {
	list, rest, hasNumber := strings.Cut(field, "[")
	if !hasNumber {
		return field, -1, ""
	}
	if _, err := fmt.Sscanf(rest, "%d]", &n); err != nil {
		return field, -1, ""
	}
	_, rest, _ = strings.Cut(rest, "]")
	return list, n, strings.TrimPrefix(rest, ".")
}

// mendedGroup closes rules, and leaves out sources. A group whose name or kind is wrong admits
// nothing, but is there: without it its members' egress could be open.
func mendedGroup(g *policy.Group, fields []string) *policy.Group {
	out := *g
	sources, rules := map[int]bool{}, map[int]bool{}
	for _, field := range fields {
		switch list, n, _ := part(field); {
		case list == "rules" && n >= 0:
			rules[n] = true
		case list == "external_sources" && n >= 0:
			sources[n] = true
		case list == "description":
			out.Description = ""
		default:
			return closedGroup(g)
		}
	}
	out.ExternalSources = without(g.ExternalSources, sources)
	for n := len(g.Rules) - 1; n >= 0; n-- {
		if rules[n] {
			closeRule(&out, n)
		}
	}
	return &out
}

func closedGroup(g *policy.Group) *policy.Group {
	out := *g
	out.Rules, out.ExternalSources = nil, nil
	if !g.IsNetwork {
		closeRule(&out, -1)
	}
	return &out
}

// mendedInstance leaves out addresses, and ports with anything else that is wrong; nil = all of it.
func mendedInstance(i *policy.Instance, fields []string) *policy.Instance {
	ports := map[int]bool{}
	own, allowed := map[int]map[int]bool{}, map[int]map[int]bool{}
	for _, field := range fields {
		list, n, rest := part(field)
		if list != "ports" || n < 0 {
			return nil
		}
		switch list, entry, _ := part(rest); {
		case list == "addresses" && entry >= 0:
			note(own, n, entry)
		case list == "allowed_addresses" && entry >= 0:
			note(allowed, n, entry)
		default:
			ports[n] = true
		}
	}
	out := *i
	out.Ports = slices.Clone(i.Ports)
	for n := range out.Ports {
		out.Ports[n].Addresses = without(i.Ports[n].Addresses, own[n])
		out.Ports[n].Allowed = without(i.Ports[n].Allowed, allowed[n])
	}
	if out.Ports = without(out.Ports, ports); len(out.Ports) == 0 {
		return nil
	}
	return &out
}

func note(sets map[int]map[int]bool, n, entry int) {
	if sets[n] == nil {
		sets[n] = map[int]bool{}
	}
	sets[n][entry] = true
}

// without is a list without the elements of some numbers.
func without[T any](list []T, out map[int]bool) []T {
	if len(out) == 0 {
		return list
	}
	var left []T
	for n, v := range list {
		if !out[n] {
			left = append(left, v)
		}
	}
	return left
}
