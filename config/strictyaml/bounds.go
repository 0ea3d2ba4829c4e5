// The size of a text, found before a tree is made of it. Called by Document; in a text that is
// accepted it agrees with the tree.

package strictyaml

import (
	"bytes"
	"strings"
)

// bounds looks through a text that may be YAML, before a tree is made of it, for what is deeper,
// wider or longer than any policy: the tree of a text takes up to a hundred times its size, and
// seconds. It knows as much of YAML as tells where lists and mappings begin and end. In a text that
// the checker accepts it is never wrong; of another it may find something else than the library
// would.
type bounds struct {
	data  []byte
	at    int
	line  int      // where the line begins
	open  []nested // block lists and mappings, then those in brackets
	flows int      // how many of them are in brackets
	steps int      // how many marks and texts were looked at

	depth, keys, entries int // at most so many
	over                 *finding
}

// nested is a list or a mapping that is not closed yet.
type nested struct {
	column  int // of its first key or dash; 0 = it is in brackets
	kind    byte
	entries int
}

// The kinds of nested: the bracket that closes it.
const (
	aList    = ']'
	aMapping = '}'
)

// measure returns the place where a text is deeper, wider or longer than accepted, or nil.
func measure(data []byte) *mistake {
	b := newBounds(data)
	if b.scan(); b.over == nil {
		return nil
	}
	places := newCursor(data)
	line, column := places.place(b.over.at)
	return &mistake{line, column, b.over.what}
}

func newBounds(data []byte) *bounds {
	return &bounds{data: data, depth: MaxDepth, keys: MaxKeys, entries: maxEntries}
}

func (b *bounds) scan() {
	for b.at < len(b.data) && b.over == nil {
		b.steps++
		b.step()
	}
}

func (b *bounds) byteAt(at int) byte { return byteAt(b.data, at) }

func (b *bounds) inFlow() bool { return b.flows > 0 }

func (b *bounds) endsAt(at int) bool {
	next := b.byteAt(at)
	return next == 0 || isBlank(next) || isBreak(next)
}

// step passes what stands here, which is not within a text.
func (b *bounds) step() {
	switch c := b.data[b.at]; {
	case isBreak(c):
		b.at++
		b.line = b.at
	case isBlank(c), c == ',' && !b.inFlow():
		b.at++
	case c == '#':
		b.restOfLine()
	case c == '[' || c == '{':
		b.begin(nested{kind: c + 2})
		b.flows++
		b.at++
	case b.inFlow() && (c == ']' || c == '}'):
		b.close()
	case b.inFlow() && c == ',':
		b.open[len(b.open)-1].entries++
		b.at++
	case (c == '-' || c == '?') && b.endsAt(b.at+1) && !b.inFlow():
		if c == '-' {
			b.entry(aList)
		}
		b.at++
	case c == ':' && b.isColon(b.at, false): // of a key that is nothing, or no text
		if !b.inFlow() {
			b.entry(aMapping)
		}
		b.at++
	case b.isDocumentMark():
		b.open, b.flows = nil, 0
		b.at += 3
	case (c == '|' || c == '>') && !b.inFlow():
		b.block()
	default:
		b.text(c)
	}
}

func (b *bounds) isDocumentMark() bool {
	mark := b.data[b.at:min(len(b.data), b.at+3)]
	return b.at == b.line && (string(mark) == "---" || string(mark) == "...") && b.endsAt(b.at+3)
}

func (b *bounds) restOfLine() {
	if n := bytes.IndexAny(b.data[b.at:], "\r\n"); n >= 0 {
		b.at += n
	} else {
		b.at = len(b.data)
	}
}

// begin opens a list or a mapping.
func (b *bounds) begin(n nested) {
	b.value()
	b.open = append(b.open, n)
	depth := len(b.open)
	if b.open[0].kind == aList {
		depth++ // the mapping that should be around it
	}
	if depth > b.depth {
		b.over = &finding{b.at, tooDeep}
	}
}

// value notes that something stands in the innermost brackets: behind the last comma that is
// accepted, it is one too many.
func (b *bounds) value() {
	if !b.inFlow() {
		return
	}
	b.judge(&b.open[len(b.open)-1])
}

// judge looks whether one more entry is one too many. entries are those before.
func (b *bounds) judge(n *nested) {
	switch {
	case n.kind == aMapping && n.entries >= b.keys:
		b.over = &finding{b.at, tooWide}
	case n.kind == aList && n.entries >= b.entries:
		b.over = &finding{b.at, tooLong}
	}
}

func (b *bounds) close() {
	b.open = b.open[:len(b.open)-1]
	b.flows--
	b.at++
}

// entry notes a key or a dash of a block list or mapping, at the column where it stands.
func (b *bounds) entry(kind byte) {
	column := b.at - b.line + 1
	for n := len(b.open); n > 0; n = len(b.open) {
		last := &b.open[n-1]
		if last.column == column && last.kind == kind {
			b.judge(last)
			last.entries++
			return
		}
		// the list of a key may stand right below it
		if last.column < column || last.column == column && kind == aList {
			break
		}
		b.open = b.open[:n-1]
	}
	b.begin(nested{column, kind, 1})
}

// block passes a text below | or >, which ends at a line that is not indented more than what it is
// of.
func (b *bounds) block() {
	indent := 0
	if n := len(b.open); n > 0 {
		indent = b.open[n-1].column
	}
	for b.restOfLine(); b.at < len(b.data); b.restOfLine() {
		begin := b.at + 1
		if b.data[b.at] == '\r' && b.byteAt(begin) == '\n' {
			begin++
		}
		end := begin
		for b.byteAt(end) == ' ' {
			end++
		}
		if end-begin < indent && !isBreak(b.byteAt(end)) {
			return
		}
		b.at = end
	}
}

// text passes a text, an anchor, a tag or an alias, and what follows it up to its colon, if it is a
// key.
func (b *bounds) text(first byte) {
	begin := b.at
	b.value()
	switch {
	case first == '"' || first == '\'':
		length, _ := quotedLength(b.data[b.at:])
		b.at += length
	case first == '&' || first == '!':
		for !b.endsAt(b.at) {
			b.at++
		}
		return
	default:
		b.plain()
	}
	end := b.at
	for isBlank(b.byteAt(b.at)) {
		b.at++
	}
	if b.byteAt(b.at) != ':' || !b.isColon(b.at, first == '"' || first == '\'') {
		b.keepLine(begin, end)
		return
	}
	if !b.inFlow() {
		after := b.at
		b.at = begin
		b.entry(aMapping)
		b.at = after
	}
	b.at++
}

// keepLine finds the beginning of the line in which a text of several lines ends.
func (b *bounds) keepLine(begin, end int) {
	if last := bytes.LastIndexAny(b.data[begin:end], "\r\n"); last >= 0 {
		b.line = begin + last + 1
	}
}

func (b *bounds) isColon(at int, isQuoted bool) bool {
	return b.endsAt(at+1) || b.inFlow() && (isQuoted ||
		strings.IndexByte(flowMarks, b.byteAt(at+1)) >= 0)
}

// plain passes a text without quotes, up to the end of its line.
func (b *bounds) plain() {
	begin := b.at
	for ; b.at < len(b.data) && !isBreak(b.data[b.at]); b.at++ {
		c := b.data[b.at]
		ends := c == '#' && isBlank(b.byteAt(b.at-1)) || c == ':' && b.isColon(b.at, false) ||
			b.inFlow() && strings.IndexByte(flowMarks, c) >= 0
		if ends && b.at > begin {
			return
		}
	}
	if b.at == begin {
		b.at++
	}
}
