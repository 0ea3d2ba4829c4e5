package policyfile

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// What all readers of the parts of a policy file share. They judge the form of a value: whether it
// can be read at all, and in one way. Whether it is valid says [policy.Validate].

// reader reads a file to its fragment. With locations, it notes where every value stands that it
// could read.
type reader struct {
	fragment  *Fragment
	words     map[string]string // one copy of each name, apart from the text of the file
	locations locations
	object    valueID // what is read
	prefix    string  // of the fields of the rule or port that is read, where there are locations
}

func (r *reader) read() {
	f, ok := r.keys()
	if !ok {
		r.fragment.incomplete = true
		return
	}
	r.lists(f)
}

// keys reads what the file has at its top.
func (r *reader) keys() (strictyaml.Fields, bool) {
	out := r.fragment
	root, ok := strictyaml.Document(out.file, &out.Report)
	if ok && root.IsEmpty() {
		// Not taken for an empty policy, which would close every port: it may be a file that is
		// just being written.
		top := policy.Position{File: out.file.Name, Line: 1, Column: 1}
		out.Errorf(strictyaml.Location{Pos: top},
			"the file has no content; an empty policy is written as groups: []")
		return nil, false
	}
	if !ok {
		return nil, false
	}
	return root.HintedFields(fileHints, policyKeys...)
}

// lists reads each of the lists that the file has.
func (r *reader) lists(f strictyaml.Fields) {
	out := r.fragment
	if p, ok := f["projects"]; ok {
		r.projects(p)
	}
	if named, ok := f["networks"]; ok {
		names, values := named.Named()
		out.incomplete = !named.IsMapping()
		for n, v := range values {
			r.object = valueID{kind: policy.AGroup, index: n}
			out.policy.Groups = append(out.policy.Groups, r.namedNetwork(names[n], v))
		}
	}
	if g, ok := f["groups"]; ok {
		entries, isList := g.EntriesLike(namedEntries)
		out.incomplete = out.incomplete || !isList
		for _, e := range entries {
			r.object = valueID{kind: policy.AGroup, index: len(out.policy.Groups)}
			out.policy.Groups = append(out.policy.Groups, r.group(e))
		}
	}
	if i, ok := f["instances"]; ok {
		entries, _ := i.EntriesLike(namedEntries)
		for n, e := range entries {
			r.object = valueID{kind: policy.AnInstance, index: n}
			out.policy.Instances = append(out.policy.Instances, r.instance(e))
		}
	}
}

// namedEntries is how a list of things that have names is written.
const namedEntries = `each entry begun by "- name: …"`

// note remembers where a value stands.
func (r *reader) note(n strictyaml.Node, field string) {
	if r.locations != nil {
		at := r.object
		at.field = strings.TrimSuffix(r.prefix+field, ".")
		r.locations[at] = n.Location()
	}
}

// noteEntry is note of an entry of a list.
func (r *reader) noteEntry(n strictyaml.Node, list string, index int) {
	if r.locations != nil {
		r.note(n, fmt.Sprintf("%s[%d]", list, index))
	}
}

// within says that what is read next is an entry of a list of the object; end says that it was
// read.
func (r *reader) within(list string, index int) (end func()) {
	if r.locations != nil {
		r.prefix = fmt.Sprintf("%s[%d].", list, index)
	}
	return func() { r.prefix = "" }
}

// field reads a field that is there, and notes it if its form is right.
func (r *reader) field(f strictyaml.Fields, key string, read func(strictyaml.Node)) {
	n, ok := f[key]
	if !ok {
		return
	}
	before := n.Mistakes()
	if read(n); n.Mistakes() == before {
		r.note(n, key)
	}
}

// list reads a list whose entries are different. Entries that are of no form, or repeated, are left
// out.
func list[T comparable](r *reader, f strictyaml.Fields, key string,
	read func(strictyaml.Node) (T, bool), note func(n strictyaml.Node, list string, index int)) (
	out []T) {
	field, ok := f[key]
	if !ok {
		return nil
	}
	entries, _ := field.Entries()
	seen := once[T]{}
	for _, e := range entries {
		if v, ok := read(e); ok && seen.first(v, e) {
			note(e, key, len(out))
			out = append(out, v)
		}
	}
	return out
}

// once notices repetitions in a list.
type once[T comparable] map[T]policy.Position

// first says whether v was not seen before; a repetition is a warning, not an error, as it changes
// nothing.
func (o once[T]) first(v T, at strictyaml.Node) bool {
	if first, twice := o[v]; twice {
		at.Warnf("%v is in this list twice; the first is in line %d, column %d", v, first.Line,
			first.Column)
		return false
	}
	o[v] = at.Location().Pos
	return true
}

// text reads a text, as one copy of its own.
func (r *reader) text(n strictyaml.Node) (string, bool) {
	s, ok := n.Text()
	if !ok {
		return "", false
	}
	if known, ok := r.words[s]; ok {
		return known, true
	}
	s = strings.Clone(s)
	r.words[s] = s
	return s, true
}

// name reads a name where the empty text would mean that there is none.
func (r *reader) name(n strictyaml.Node) string {
	s, ok := r.text(n)
	if ok && s == "" {
		n.Errorf("%s", policy.BadName(s))
	}
	return s
}

// description reads one line of free text.
func description(n strictyaml.Node) string {
	s, _ := n.Text()
	return strings.Clone(strings.TrimSpace(s))
}

// networks reads a list of CIDRs.
func (r *reader) networks(f strictyaml.Fields, key string) []netip.Prefix {
	return list(r, f, key, readNetwork, r.noteEntry)
}
