package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/portcullis/portcullis/flows/policy"
)

// node is a value of a YAML document that knows where it is and where mistakes in it are reported.
// Its methods read it as one kind of value; if it is another kind, they report that and return ok = false.
type node struct {
	ast  ast.Node
	path *path
	file string
	out  *report
	key  ast.Node // where a value that was left out (key: and nothing more) is reported; else nil
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

// position returns where a reader sees the value begin. The library's own token of a mapping is its first colon.
func (n node) position(a ast.Node) policy.Position {
	var tk *token.Token
	switch a := a.(type) {
	case *ast.MappingNode:
		tk = a.Start
		if !a.IsFlowStyle && len(a.Values) > 0 {
			tk = a.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		tk = a.Key.GetToken()
	case *ast.LiteralNode:
		tk = a.Start
	default:
		tk = a.GetToken()
	}
	at := policy.Position{File: n.file, Line: 1, Column: 1}
	if tk != nil && tk.Position != nil {
		at.Line, at.Column = max(1, tk.Position.Line), max(1, tk.Position.Column)
	}
	return at
}

// fields are the values of a mapping, by key.
type fields map[string]node

// fields reads a mapping. Keys that are not known or repeated are reported and left out.
func (n node) fields(known ...string) (fields, bool) {
	var pairs []*ast.MappingValueNode
	switch m := n.ast.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		n.errorf("must be a mapping with the keys %s, not %s", strings.Join(known, ", "), kind(n.ast))
		return nil, false
	}
	out := make(fields, len(pairs))
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		value := node{ast: pair.Value, path: &path{parent: n.path, key: key}, file: n.file, out: n.out}
		if pair.Value.GetToken().Type == token.ImplicitNullType {
			value.key = pair.Key
		}
		at := spot{n.position(pair.Key), value.path}
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
	if hint := didYouMean(key, known); hint != "" {
		return hint
	}
	return "; known are " + strings.Join(known, ", ")
}

// entries reads a list.
func (n node) entries() ([]node, bool) {
	list, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		n.errorf("must be a list, such as [a, b], not %s", kind(n.ast))
		return nil, false
	}
	out := make([]node, len(list.Values))
	for i, v := range list.Values {
		out[i] = node{ast: v, path: &path{parent: n.path, index: i}, file: n.file, out: n.out}
	}
	return out, true
}

// isEmpty says whether there is no value at all, not even null.
func (n node) isEmpty() bool { return n.ast == nil }

// isEmptyList says whether the value is [].
func (n node) isEmptyList() bool {
	list, ok := n.ast.(*ast.SequenceNode)
	return ok && len(list.Values) == 0
}

// isMapping says whether the value has keys.
func (n node) isMapping() bool {
	switch n.ast.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// text reads a string. Numbers and the like are refused: YAML writes some of them in many ways.
func (n node) text() (string, bool) {
	switch s := n.ast.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.errorf(`must be text, not %s; write it in quotes: "%s"`, kind(n.ast), n.ast.GetToken().Value)
	default:
		n.errorf("must be text, not %s", kind(n.ast))
	}
	return "", false
}

// word reads a string, or a number as it is written: for fields that people write in both ways.
func (n node) word() (string, bool) {
	if i, ok := n.ast.(*ast.IntegerNode); ok {
		return i.GetToken().Value, true
	}
	s, ok := n.ast.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// number reads a whole number between low and high, written in decimal.
func (n node) number(low, high int64) (int64, bool) {
	if i, ok := n.ast.(*ast.IntegerNode); ok {
		if v, ok := decimal(i.GetToken().Value); ok && v >= low && v <= high {
			return v, true
		}
		n.errorf("must be a decimal number from %d to %d, not %s", low, high, i.GetToken().Value)
		return 0, false
	}
	n.errorf("must be a number from %d to %d, not %s", low, high, kind(n.ast))
	return 0, false
}

// hexNumber reads a whole number in decimal or, as 0x88cc, in hexadecimal. It reports nothing.
func (n node) hexNumber() (int64, bool) {
	i, ok := n.ast.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	s := i.GetToken().Value
	if digits, isHex := strings.CutPrefix(s, "0x"); isHex {
		v, err := strconv.ParseUint(digits, 16, 32)
		return int64(v), err == nil
	}
	return decimal(s)
}

// boolean reads true or false.
func (n node) boolean() (value, ok bool) {
	b, ok := n.ast.(*ast.BoolNode)
	if !ok {
		n.errorf("must be true or false, not %s", kind(n.ast))
		return false, false
	}
	return b.Value, true
}

// decimal reads a number that has only one reading: no leading zero (octal?), no plus, no underscores.
func decimal(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil && strconv.FormatInt(v, 10) == s
}

// kind says in words what a value is.
func kind(a ast.Node) string {
	switch a := a.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", shorten(a.Value))
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.BoolNode:
		return "the truth value " + a.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + shorten(a.GetToken().Value)
	}
	return "something else"
}

// shorten keeps messages readable when the value is not.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
