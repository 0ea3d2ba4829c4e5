// A value of the tree, read as one kind of thing. The readers of settings and policy files call it;
// what is of another kind is reported, never converted.

package strictyaml

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Node is a value of a YAML document that knows where it is and where mistakes in it are reported.
// Its methods read it as one kind of value; if it is another kind, they report that and return ok =
// false.
type Node struct {
	ast  *yaml.Node
	path *Path
	file string
	out  *Report
	key  *yaml.Node // where a value that was left out (key: and nothing more) is reported; else nil
}

// Location is where the value stands.
func (n Node) Location() Location {
	if n.key != nil {
		return Location{n.position(n.key), n.path}
	}
	return Location{n.position(n.ast), n.path}
}

// Errorf reports a mistake of this value.
func (n Node) Errorf(format string, args ...any) { n.out.Errorf(n.Location(), format, args...) }

// Warnf reports a doubt about this value.
func (n Node) Warnf(format string, args ...any) { n.out.Warnf(n.Location(), format, args...) }

func (n Node) position(at *yaml.Node) policy.Position {
	return mistake{line: at.Line, column: at.Column}.position(n.file)
}

// Fields are the values of a mapping, by key.
type Fields map[string]Node

// Fields reads a mapping. Keys that are not known or repeated are reported and left out.
func (n Node) Fields(known ...string) (Fields, bool) { return n.HintedFields(nil, known...) }

// HintedFields is Fields with what is meant by keys that people write instead of those known.
func (n Node) HintedFields(hints map[string]string, known ...string) (Fields, bool) {
	if !n.IsMapping() {
		n.Errorf("must be a mapping with the keys %s, not %s", strings.Join(known, ", "), n.Kind())
		return nil, false
	}
	out, paths := make(Fields, len(n.ast.Content)/2), make([]Path, len(n.ast.Content)/2)
	for i := 0; i+1 < len(n.ast.Content); i += 2 {
		key := n.ast.Content[i].Value
		paths[i/2] = Path{parent: n.path, key: key}
		value := Node{ast: n.ast.Content[i+1], path: &paths[i/2], file: n.file, out: n.out}
		if isLeftOut(value.ast) {
			value.key = n.ast.Content[i]
		}
		at := Location{n.position(n.ast.Content[i]), value.path}
		if !slices.Contains(known, key) {
			at.Path = n.path
			n.out.Errorf(at, "unknown key %q%s", key, keyHint(key, hints, known))
		} else if first, twice := out[key]; twice {
			n.out.Errorf(at, "the key %q is here twice; the first is in line %d", key,
				first.Location().Pos.Line)
		} else {
			out[key] = value
		}
	}
	return out, true
}

func keyHint(key string, hints map[string]string, known []string) string {
	if word, _, ok := strings.Cut(key, ":"); ok && slices.Contains(known, word) {
		return "; write a space after the colon"
	}
	if hint := hints[strings.ToLower(key)]; hint != "" {
		return "; " + hint
	}
	if hint := wording.DidYouMean(key, known); hint != "" {
		return hint
	}
	return "; known are " + strings.Join(known, ", ")
}

// Keys returns the keys of a mapping as they are written, also those that are there twice.
func (n Node) Keys() []string {
	var out []string
	for i := 0; i+1 < len(n.ast.Content); i += 2 {
		out = append(out, n.ast.Content[i].Value)
	}
	return out
}

// Field returns the value of a key of a mapping that was read; the mapping itself if it has none.
func (n Node) Field(key string) Node {
	for i := 0; i+1 < len(n.ast.Content); i += 2 {
		if n.ast.Content[i].Value == key {
			return Node{ast: n.ast.Content[i+1], path: &Path{parent: n.path, key: key},
				file: n.file, out: n.out}
		}
	}
	return n
}

// Entries reads a list of words.
func (n Node) Entries() ([]Node, bool) { return n.EntriesLike("such as [a, b]") }

// EntriesLike reads a list; example says what it looks like.
func (n Node) EntriesLike(example string) ([]Node, bool) {
	if n.ast.Kind != yaml.SequenceNode {
		n.Errorf("must be a list, %s, not %s", example, n.Kind())
		return nil, false
	}
	out, paths := make([]Node, len(n.ast.Content)), make([]Path, len(n.ast.Content))
	for i, v := range n.ast.Content {
		paths[i] = Path{parent: n.path, index: i}
		out[i] = Node{ast: v, path: &paths[i], file: n.file, out: n.out}
	}
	return out, true
}

// Value is the same value, with mistakes reported where it stands and not at its key.
func (n Node) Value() Node {
	if !isLeftOut(n.ast) {
		n.key = nil
	}
	return n
}

// Items returns the entries of a list, or the value itself if it is none: of what may be given once
// or as a list.
func (n Node) Items() []Node {
	if !n.IsList() {
		return []Node{n}
	}
	out, _ := n.Entries()
	if len(out) == 0 {
		n.Errorf("must not be an empty list")
	}
	return out
}

// Named returns the values of a mapping whose keys are names that people chose, in the order of the
// file. A name that is there twice is reported and left out.
func (n Node) Named() (names []string, values []Node) {
	if !n.IsMapping() {
		n.Errorf("must be a mapping of names, such as offices: [10.0.0.0/8], not %s", n.Kind())
		return nil, nil
	}
	seen := make(map[string]int, len(n.ast.Content)/2)
	for i := 0; i+1 < len(n.ast.Content); i += 2 {
		key := n.ast.Content[i]
		value := Node{ast: n.ast.Content[i+1], path: &Path{parent: n.path, key: key.Value},
			file: n.file, out: n.out, key: key}
		if first, twice := seen[key.Value]; twice {
			value.Errorf("the name %q is here twice; the first is in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = value.Location().Pos.Line
		names, values = append(names, strings.Clone(key.Value)), append(values, value)
	}
	return names, values
}

// IsEmpty says whether there is no value at all, not even null.
func (n Node) IsEmpty() bool { return n.ast == nil }

// IsList says whether the value is a list.
func (n Node) IsList() bool { return n.ast.Kind == yaml.SequenceNode }

// IsMapping says whether the value has keys.
func (n Node) IsMapping() bool { return n.ast.Kind == yaml.MappingNode }

// yamlType says what a value is that is neither a list nor a mapping.
func (n Node) yamlType() yamlType {
	switch {
	case n.ast.Kind != yaml.ScalarNode:
		return notScalar
	case !isUnquoted(n.ast):
		return isText
	}
	return typeOf(n.ast.Value)
}

// Text reads a string. Numbers and the like are refused: YAML writes some of them in many ways.
func (n Node) Text() (string, bool) {
	switch n.yamlType() {
	case isText:
		return n.ast.Value, true
	case isWhole, isFraction, isTruth:
		n.Errorf(`must be text, not %s; write it in quotes: "%s"`, n.Kind(), n.ast.Value)
	default:
		n.Errorf("must be text, not %s", n.Kind())
	}
	return "", false
}

// Word reads a string, or a number as it is written: for fields that people write in both ways.
func (n Node) Word() (string, bool) {
	if s := n.yamlType(); s != isWhole && s != isText || isBlock(n.ast) {
		return "", false
	}
	return n.ast.Value, true
}

// Number reads a whole number between low and high, written in decimal.
func (n Node) Number(low, high int64) (int64, bool) {
	if n.yamlType() == isWhole {
		if v, ok := Decimal(n.ast.Value); ok && v >= low && v <= high {
			return v, true
		}
		n.Errorf("must be a decimal number from %d to %d, not %s", low, high, n.ast.Value)
		return 0, false
	}
	n.Errorf("must be a number from %d to %d, not %s", low, high, n.Kind())
	return 0, false
}

// HexNumber reads a whole number in decimal or, as 0x88cc, in hexadecimal. It reports nothing.
func (n Node) HexNumber() (int64, bool) {
	if n.yamlType() != isWhole {
		return 0, false
	}
	s := n.ast.Value
	if digits, isHex := strings.CutPrefix(s, "0x"); isHex {
		v, err := strconv.ParseUint(digits, 16, 32)
		return int64(v), err == nil
	}
	return Decimal(s)
}

// Boolean reads true or false.
func (n Node) Boolean() (value, ok bool) {
	if n.yamlType() != isTruth {
		n.Errorf("must be true or false, not %s", n.Kind())
		return false, false
	}
	return n.ast.Value[0] == 't' || n.ast.Value[0] == 'T', true
}

// Decimal reads a number that has only one reading: no leading zero (octal?), no plus, no
// underscores.
func Decimal(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil && strconv.FormatInt(v, 10) == s
}

// Kind says in words what the value is.
func (n Node) Kind() string {
	switch {
	case n.ast.Kind == yaml.SequenceNode:
		return "a list"
	case n.IsMapping():
		return "a mapping"
	case isBlock(n.ast):
		return "a block of text"
	default:
		return n.yamlType().words(n.ast.Value)
	}
}

// Mistakes is how many were reported so far, of this value and others.
func (n Node) Mistakes() int { return len(n.out.Errors) }
