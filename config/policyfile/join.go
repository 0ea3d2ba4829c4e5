package policyfile

import (
	"slices"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// All fragments to one policy. What is wrong with it says package policy; here each problem gets
// the file, line and field of the value that it is about.

// Parse reads one policy from the files. It does no I/O. The error, if any, is of type
// [strictyaml.Errors] and holds every mistake of every file; there is no policy then. The warnings
// are returned in either case.
func Parse(files []strictyaml.File) (*policy.Policy, strictyaml.Warnings, error) {
	fragments := make([]*Fragment, len(files))
	for i, f := range files {
		fragments[i] = ParseFragment(f)
	}
	return Join(fragments)
}

// ParsePart reads a file that is a part of a policy: it may name groups that are elsewhere. What it
// says is in the form that a policy has, but whether it is valid says [policy.Validate] of the
// whole.
func ParsePart(file strictyaml.File) (*policy.Policy, error) {
	f := ParseFragment(file)
	if problems, _ := f.Sorted(); len(problems) > 0 {
		return nil, problems
	}
	return &f.policy, nil
}

// Join makes one policy of fragments and checks it. The error, if any, is of type
// [strictyaml.Errors] and holds the mistakes of the fragments too. The policy shares memory with
// the fragments: neither may be changed.
func Join(fragments []*Fragment) (*policy.Policy, strictyaml.Warnings, error) {
	return new(Joiner).Join(fragments)
}

// Joiner is [Join] for who joins often: see [policy.Validator]. Not for two goroutines at once.
type Joiner struct {
	// NamesOthers = rules may name groups of projects that the policy does not declare, as those
	// share them: whether they do, says who knows the whole.
	NamesOthers bool

	validator policy.Validator
}

// Join is the function [Join].
func (j *Joiner) Join(fragments []*Fragment) (*policy.Policy, strictyaml.Warnings, error) {
	t := table{fragments: fragments}
	judged := t.merged()
	own := len(judged.Groups)
	if j.NamesOthers {
		judged.Groups = append(judged.Groups, others(judged)...)
	}
	j.validator.Place = t.words
	var out strictyaml.Report
	for _, p := range j.validator.Validate(judged) {
		if at, ok := t.location(p.Object, p.Field); ok {
			out.Errorf(at, "%s", p.Text)
		}
	}
	for _, p := range j.validator.Doubts(judged) {
		if at, ok := t.location(p.Object, p.Field); ok {
			out.Warnf(at, "%s", p.Text)
		}
	}
	for _, f := range fragments {
		out.Errors = append(out.Errors, f.Errors...)
		out.Warnings = append(out.Warnings, f.Warnings...)
	}
	problems, warnings := out.Sorted()
	if len(problems) > 0 {
		return nil, warnings, problems
	}
	judged.Groups = judged.Groups[:own]
	return judged, warnings, nil
}

// others returns the groups of projects that a policy names and does not declare.
func others(p *policy.Policy) []*policy.Group {
	return slices.DeleteFunc(missing(p), func(g *policy.Group) bool {
		project, rest := policy.SplitName(g.Name)
		return g.IsNetwork || project == "" || rest == "" || p.ProjectOf(g.Name) != ""
	})
}

// table finds the values of a policy in the fragments that it was made of.
type table struct {
	fragments []*Fragment
}

// merged returns the policy of the fragments. Where a part of one could not be read, which may be
// where a group is defined, the groups that are missing are added: nobody has to be told of them.
func (t table) merged() *policy.Policy {
	p := &policy.Policy{}
	incomplete := false
	for _, f := range t.fragments {
		p.Projects = append(p.Projects, f.policy.Projects...)
		p.Groups = append(p.Groups, f.policy.Groups...)
		p.Instances = append(p.Instances, f.policy.Instances...)
		incomplete = incomplete || f.incomplete
	}
	if incomplete {
		p.Groups = append(p.Groups, missing(p)...)
	}
	return p
}

// missing returns the groups that a policy names and does not have.
func missing(p *policy.Policy) (out []*policy.Group) {
	known := make(map[string]bool, len(p.Groups))
	for _, g := range p.Groups {
		known[g.Name] = true
	}
	use := func(p policy.Peer) {
		if name := p.Group; !known[name] && policy.BadName(name) == "" {
			known[name] = true
			out = append(out, &policy.Group{Name: name, IsNetwork: p.IsNetwork})
		}
	}
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			for _, p := range r.Peers {
				use(p)
			}
		}
	}
	for _, i := range p.Instances {
		for _, name := range i.Groups {
			use(policy.Peer{Group: name})
		}
	}
	return out
}

// location returns where a value stands. There is none of a value that could not be read, which was
// reported, or that is missing for that reason. Nothing that is wrong is passed over in files that
// could be read.
func (t table) location(o policy.Object, field string) (strictyaml.Location, bool) {
	f, index := t.find(o)
	if f == nil {
		return strictyaml.Location{}, false
	}
	if at, ok := f.location(valueID{o.Kind, index, field}); ok || len(f.Errors) > 0 {
		return at, ok
	}
	return strictyaml.Location{Pos: policy.Position{File: f.file.Name, Line: 1, Column: 1}}, true
}

// find returns the fragment that an object is of, and its index there.
func (t table) find(o policy.Object) (*Fragment, int) {
	index := o.Index
	for _, f := range t.fragments {
		length := len(f.policy.Instances)
		switch o.Kind {
		case policy.AGroup:
			length = len(f.policy.Groups)
		case policy.AProject:
			length = len(f.policy.Projects)
		}
		if index < length {
			return f, index
		}
		index -= length
	}
	return nil, 0
}

// words says where a value is that another contradicts.
func (t table) words(o policy.Object, field string) string {
	at, _ := t.location(o, field)
	return at.Pos.String()
}
