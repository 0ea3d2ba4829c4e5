package config

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/flows/policy"
)

// node is a value of a YAML document that knows where it is and where mistakes in it are reported.
// Its methods read it as one kind of value; if it is another kind, they report that and return ok = false.
type node struct {
	ast  *yaml.Node
	path *path
	file string
	out  *report
	key  *yaml.Node // where a value that was left out (key: and nothing more) is reported; else nil
}

func (n node) spot() spot {
	if n.key != nil {
		return spot{n.position(n.key), n.path}
	}
	return spot{n.position(n.ast), n.path}
}

// errorf reports a mistake of this value.
func (n node) errorf(format string, args ...any) { n.out.errorf(n.spot(), format, args...) }

// warnf reports a doubt about this value.
func (n node) warnf(format string, args ...any) { n.out.warnf(n.spot(), format, args...) }

func (n node) position(at *yaml.Node) policy.Position {
	return mistake{line: at.Line, column: at.Column}.position(n.file)
}

// fields are the values of a mapping, by key.
type fields map[string]node

// fields reads a mapping. Keys that are not known or repeated are reported and left out.
func (n node) fields(known ...string) (fields, bool) {
	if !n.isMapping() {
		n.errorf("must be a mapping with the keys %s, not %s", strings.Join(known, ", "), n.kind())
		return nil, false
	}
	out := make(fields, len(n.ast.Content)/2)
	for i := 0; i+1 < len(n.ast.Content); i += 2 {
		key := n.ast.Content[i].Value
		value := node{ast: n.ast.Content[i+1], path: &path{parent: n.path, key: key}, file: n.file, out: n.out}
		if isLeftOut(value.ast) {
			value.key = n.ast.Content[i]
		}
		at := spot{n.position(n.ast.Content[i]), value.path}
		if !slices.Contains(known, key) {
			at.path = n.path
			n.out.errorf(at, "unknown key %q%s", key, keyHint(key, known))
		} else if first, twice := out[key]; twice {
			n.out.errorf(at, "the key %q is here twice; the first is in line %d", key, first.spot().pos.Line)
		} else {
			out[key] = value
		}
	}
	return out, true
}

func keyHint(key string, known []string) string {
	if word, _, ok := strings.Cut(key, ":"); ok && slices.Contains(known, word) {
		return "; write a space after the colon"
	}
	if hint := didYouMean(key, known); hint != "" {
		return hint
	}
	return "; known are " + strings.Join(known, ", ")
}

// entries reads a list.
func (n node) entries() ([]node, bool) {
	if n.ast.Kind != yaml.SequenceNode {
		n.errorf("must be a list, such as [a, b], not %s", n.kind())
		return nil, false
	}
	out := make([]node, len(n.ast.Content))
	for i, v := range n.ast.Content {
		out[i] = node{ast: v, path: &path{parent: n.path, index: i}, file: n.file, out: n.out}
	}
	return out, true
}

// isEmpty says whether there is no value at all, not even null.
func (n node) isEmpty() bool { return n.ast == nil }

// isEmptyList says whether the value is [].
func (n node) isEmptyList() bool { return n.ast.Kind == yaml.SequenceNode && len(n.ast.Content) == 0 }

// isMapping says whether the value has keys.
func (n node) isMapping() bool { return n.ast.Kind == yaml.MappingNode }

// sense says what a value is that is neither a list nor a mapping.
func (n node) sense() sense {
	switch {
	case n.ast.Kind != yaml.ScalarNode:
		return notScalar
	case !isUnquoted(n.ast):
		return isText
	}
	return senseOf(n.ast.Value)
}

// text reads a string. Numbers and the like are refused: YAML writes some of them in many ways.
func (n node) text() (string, bool) {
	switch n.sense() {
	case isText:
		return n.ast.Value, true
	case isWhole, isFraction, isTruth:
		n.errorf(`must be text, not %s; write it in quotes: "%s"`, n.kind(), n.ast.Value)
	default:
		n.errorf("must be text, not %s", n.kind())
	}
	return "", false
}

// word reads a string, or a number as it is written: for fields that people write in both ways.
func (n node) word() (string, bool) {
	if s := n.sense(); s != isWhole && s != isText || isBlock(n.ast) {
		return "", false
	}
	return n.ast.Value, true
}

// number reads a whole number between low and high, written in decimal.
func (n node) number(low, high int64) (int64, bool) {
	if n.sense() == isWhole {
		if v, ok := decimal(n.ast.Value); ok && v >= low && v <= high {
			return v, true
		}
		n.errorf("must be a decimal number from %d to %d, not %s", low, high, n.ast.Value)
		return 0, false
	}
	n.errorf("must be a number from %d to %d, not %s", low, high, n.kind())
	return 0, false
}

// hexNumber reads a whole number in decimal or, as 0x88cc, in hexadecimal. It reports nothing.
func (n node) hexNumber() (int64, bool) {
	if n.sense() != isWhole {
		return 0, false
	}
	s := n.ast.Value
	if digits, isHex := strings.CutPrefix(s, "0x"); isHex {
		v, err := strconv.ParseUint(digits, 16, 32)
		return int64(v), err == nil
	}
	return decimal(s)
}

// boolean reads true or false.
func (n node) boolean() (value, ok bool) {
	if n.sense() != isTruth {
		n.errorf("must be true or false, not %s", n.kind())
		return false, false
	}
	return n.ast.Value[0] == 't' || n.ast.Value[0] == 'T', true
}

// decimal reads a number that has only one reading: no leading zero (octal?), no plus, no underscores.
func decimal(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil && strconv.FormatInt(v, 10) == s
}

// kind says in words what the value is.
func (n node) kind() string {
	switch {
	case n.ast.Kind == yaml.SequenceNode:
		return "a list"
	case n.isMapping():
		return "a mapping"
	case isBlock(n.ast):
		return "a block of text"
	default:
		return n.sense().words(n.ast.Value)
	}
}

// mistakes is how many were reported so far, of this value and others.
func (n node) mistakes() int { return len(n.out.errors) }

// shorten keeps messages readable when the value is not.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
