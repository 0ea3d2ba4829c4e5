package policyfile

import (
	"reflect"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// One file: read to a part of a policy, whose values are found again in the file when something is
// wrong with them. Called for each file that changed; join.go makes one policy of the parts.

// Fragment is what one policy file says, as far as it can be read. It does not change once made.
type Fragment struct {
	strictyaml.Report
	file   strictyaml.File
	policy policy.Policy
	// incomplete = groups may be missing because the file could not be read to its end.
	incomplete bool
	locations  locations // nil = nobody has asked yet
}

// locations are where the values of a fragment stand. There are several for each line of the file,
// so they are made only when a message needs one, by reading the file again.
type locations map[valueID]strictyaml.Location

// valueID is a value as [policy.Problem] names it. The index is that within the fragment.
type valueID struct {
	kind  policy.Kind
	index int
	field string
}

// ParseFragment reads one policy file. What is wrong with it is kept in the fragment and returned
// by [Join], together with what is wrong with the others.
func ParseFragment(file strictyaml.File) *Fragment {
	out := &Fragment{file: file}
	(&reader{fragment: out, words: make(map[string]string)}).read()
	return out
}

// location returns where a value stands in the file; false if it could not be read.
func (f *Fragment) location(at valueID) (strictyaml.Location, bool) {
	if f.locations == nil {
		f.locations = locations{}
		again := &Fragment{file: f.file}
		(&reader{fragment: again, words: make(map[string]string), locations: f.locations}).read()
	}
	s, ok := f.locations[at]
	return s, ok
}

// Keep takes groups and instances from an older fragment of the same file where they are equal,
// positions included, so that who knew them finds them unchanged without looking at them.
func (f *Fragment) Keep(old *Fragment) {
	keep(f.policy.Groups, old.policy.Groups, func(g *policy.Group) policy.Position { return g.At })
	keep(f.policy.Instances, old.policy.Instances,
		func(i *policy.Instance) policy.Position { return i.At })
}

func keep[T any](list, old []*T, at func(*T) policy.Position) {
	before := make(map[policy.Position]*T, len(old))
	for _, v := range old {
		before[at(v)] = v
	}
	for n, v := range list {
		if was := before[at(v)]; was != nil && reflect.DeepEqual(v, was) {
			list[n] = was
		}
	}
}
