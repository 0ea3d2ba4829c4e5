// Lines and columns of a text, and offsets. All readers of this package use it; columns are
// characters.

package strictyaml

import (
	"unicode/utf8"

	"github.com/portcullis/portcullis/flows/policy"
)

// mistake is what is wrong at one place of a text.
type mistake struct {
	line, column int
	text         string
}

func (m mistake) position(file string) policy.Position {
	return policy.Position{File: file, Line: max(1, m.line), Column: max(1, m.column)}
}

// cursor turns lines and columns of a text into offsets and back. Both are counted from 1, columns
// in characters. Looking for places in their order takes one pass through the text in all.
type cursor struct {
	data         []byte
	at           int
	line, column int
}

func newCursor(data []byte) cursor { return cursor{data: data, line: 1, column: 1} }

// offset is where a place is in the text, at most its length.
func (c *cursor) offset(line, column int) int {
	if line < c.line || line == c.line && column < c.column {
		*c = newCursor(c.data)
	}
	for c.at < len(c.data) && (c.line < line || c.line == line && c.column < column) {
		c.step()
	}
	return c.at
}

// place is the line and column of an offset.
func (c *cursor) place(at int) (line, column int) {
	if at < c.at {
		*c = newCursor(c.data)
	}
	for c.at < at && c.at < len(c.data) {
		c.step()
	}
	return c.line, c.column
}

func (c *cursor) step() {
	switch b := c.data[c.at]; {
	case b == '\n', b == '\r' && c.byteAt(c.at+1) != '\n':
		c.at, c.line, c.column = c.at+1, c.line+1, 1
	case b < utf8.RuneSelf:
		c.at, c.column = c.at+1, c.column+1
	default:
		_, size := utf8.DecodeRune(c.data[c.at:])
		c.at, c.column = c.at+size, c.column+1
	}
}

func (c *cursor) byteAt(at int) byte { return byteAt(c.data, at) }

// byteAt is 0 outside of the text, which holds no NUL.
func byteAt(data []byte, at int) byte {
	if at < 0 || at >= len(data) {
		return 0
	}
	return data[at]
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

func isBreak(b byte) bool { return b == '\n' || b == '\r' }
