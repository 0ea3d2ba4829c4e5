// A text that is JSON to the same tree as YAML has. Called by Document before YAML is tried.

package strictyaml

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// jsonReader reads a text that is JSON (RFC 8259) to the tree that it has as YAML. JSON is nearly
// part of YAML 1.2, but programs write it with escapes that the YAML library does not know. What is
// too deep or too wide ends the reading where it is found.
type jsonReader struct {
	cursor // where the next node is
	at     int
	failed *finding // where it is no JSON, or too much
	isOver bool     // it is too much, whatever language it is
}

// readJSON returns the value of a text that is JSON, from the first character that is no blank to
// the last. If it is none, it returns where and why, or nil, if it does not begin as JSON that
// could be a policy or settings.
func readJSON(data []byte) (root *yaml.Node, r *jsonReader) {
	r = &jsonReader{cursor: newCursor(data)}
	r.blanks()
	depth := 0
	switch r.next() {
	case '{':
	case '[':
		depth = 1 // of the mapping that should be around it
	default:
		return nil, nil
	}
	root = r.value(depth)
	if r.blanks(); r.failed == nil && r.at < len(data) {
		r.fail("not valid JSON: more follows its end")
	}
	return root, r
}

func (r *jsonReader) next() byte { return r.byteAt(r.at) }

func (r *jsonReader) blanks() {
	for r.at < len(r.data) && strings.IndexByte(" \t\r\n", r.data[r.at]) >= 0 {
		r.at++
	}
}

// fail notes the first mistake; whoever called ends then.
func (r *jsonReader) fail(format string, args ...any) {
	if r.failed == nil {
		r.failed = &finding{r.at, fmt.Sprintf(format, args...)}
	}
}

// mistake returns what failed, with its place.
func (r *jsonReader) mistake() mistake {
	places := newCursor(r.data)
	line, column := places.place(r.failed.at)
	return mistake{line, column, r.failed.what}
}

// looksLikeIt says whether somebody meant JSON: it begins with a key in quotes, or with several
// brackets.
func (r *jsonReader) looksLikeIt() bool {
	start := bytes.Fields(r.data[:min(len(r.data), 1<<10)])
	head := bytes.Join(start, nil)
	return len(head) > 1 && strings.IndexByte(`"{[`, head[1]) >= 0
}

// node begins a node at the present place.
func (r *jsonReader) node(kind yaml.Kind, style yaml.Style) *yaml.Node {
	n := &yaml.Node{Kind: kind, Style: style}
	n.Line, n.Column = r.place(r.at)
	return n
}

// value reads a value that is within so many objects and arrays. What it returns is of no use after
// a failure.
func (r *jsonReader) value(depth int) *yaml.Node {
	switch b := r.next(); b {
	case '{', '[':
		if depth++; depth > MaxDepth {
			r.isOver = true
			r.fail("%s", tooDeep)
			return nil
		}
		if b == '{' {
			return r.object(depth)
		}
		return r.array(depth)
	case '"':
		return r.text()
	}
	n := r.node(yaml.ScalarNode, 0)
	n.Value = string(jsonWord.Find(r.data[r.at:]))
	if r.at += len(n.Value); n.Value == "" {
		r.fail("not valid JSON: a value is missing here")
	}
	return n
}

// jsonWord is a number or a literal name (RFC 8259, sections 3 and 6).
var jsonWord = regexp.MustCompile(
	`^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null)`)

func (r *jsonReader) object(depth int) *yaml.Node {
	n := r.node(yaml.MappingNode, yaml.FlowStyle)
	r.items('}', func(count int) {
		switch {
		case r.next() != '"':
			r.fail("not valid JSON: a key in double quotes is missing here")
		case count == MaxKeys:
			r.isOver = true
			r.fail("%s", tooWide)
		}
		if r.failed != nil {
			return
		}
		key := r.text()
		if r.blanks(); r.failed == nil && r.next() != ':' {
			r.fail("not valid JSON: a colon is missing here")
		}
		if r.failed != nil {
			return
		}
		r.at++
		r.blanks()
		n.Content = append(n.Content, key, r.value(depth))
	})
	return n
}

func (r *jsonReader) array(depth int) *yaml.Node {
	n := r.node(yaml.SequenceNode, yaml.FlowStyle)
	r.items(']', func(count int) {
		if count == maxEntries {
			r.isOver = true
			r.fail("%s", tooLong)
			return
		}
		n.Content = append(n.Content, r.value(depth))
	})
	return n
}

// items reads what stands between brackets, with commas between the items.
func (r *jsonReader) items(end byte, item func(count int)) {
	opened := r.at
	r.at++
	r.blanks()
	for count := 0; r.failed == nil && (count > 0 || r.next() != end); count++ {
		item(count)
		if r.blanks(); r.failed != nil {
			return
		}
		switch r.next() {
		case end:
			r.at++
			return
		case ',':
			r.at++
			r.blanks()
		case 0:
			r.at = opened
			r.fail("not valid JSON: this %c is not closed", r.next())
		default:
			r.fail("not valid JSON: a comma, or %c, is missing before this", end)
		}
	}
	r.at++
}

// text reads a string.
func (r *jsonReader) text() *yaml.Node {
	n := r.node(yaml.ScalarNode, yaml.DoubleQuotedStyle)
	begin := r.at
	var value []byte
	for r.at++; r.failed == nil; {
		length := bytes.IndexAny(r.data[r.at:], "\"\\\r\n\t")
		if length < 0 {
			r.at = begin
			r.fail("not valid JSON: the text that begins with \" here does not end with one")
			break
		}
		value = append(value, r.data[r.at:r.at+length]...)
		r.at += length
		switch r.next() {
		case '"':
			r.at++
			n.Value = string(value)
			return n
		case '\\':
			value = r.escape(value)
		default:
			r.fail("not valid JSON: a text in quotes ends in its line, and has a tab as \\t")
		}
	}
	return n
}

// jsonEscapes are what a character after a backslash stands for (RFC 8259, section 7).
var jsonEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n',
	'r': '\r', 't': '\t'}

// escape reads an escape and adds what it stands for.
func (r *jsonReader) escape(value []byte) []byte {
	mark := r.byteAt(r.at + 1)
	if b, ok := jsonEscapes[mark]; ok {
		r.at += 2
		return append(value, b)
	}
	first, ok := hexUnit(r.data, r.at)
	if mark != 'u' || !ok {
		r.fail("not valid JSON: %s", unknownEscape(r.data[r.at:]))
		return value
	}
	if !utf16.IsSurrogate(first) {
		r.at += 6
		return utf8.AppendRune(value, first)
	}
	second, _ := hexUnit(r.data, r.at+6)
	both := utf16.DecodeRune(first, second)
	if both == utf8.RuneError {
		r.fail("not valid JSON: %s", halfCharacter(r.data[r.at:]))
		return value
	}
	r.at += 12
	return utf8.AppendRune(value, both)
}

// hexUnit reads \u and four hexadecimal digits.
func hexUnit(data []byte, at int) (rune, bool) {
	if at+6 > len(data) || data[at] != '\\' || data[at+1] != 'u' {
		return 0, false
	}
	unit := rune(0)
	for _, b := range data[at+2 : at+6] {
		digit := strings.IndexByte("0123456789abcdef", b|0x20)
		if digit < 0 || b < '0' {
			return 0, false
		}
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}

func unknownEscape(data []byte) string {
	_, size := utf8.DecodeRune(data[min(1, len(data)):])
	return fmt.Sprintf("%s is no escape in double quotes; a backslash is written \\\\",
		data[:min(1+size, len(data))])
}

func halfCharacter(data []byte) string {
	return fmt.Sprintf("%s is half of a character, and its other half does not follow", data[:6])
}
