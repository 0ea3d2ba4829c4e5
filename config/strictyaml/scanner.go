// Why a text is no YAML, in the words of who wrote it. Called by syntax.go for what the library
// refuses, and for nothing else.

package strictyaml

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// scanner looks through a text that the library refuses, for what people get wrong. It knows of
// YAML only what that takes. That it never sees a text which is accepted lets it be simple.
type scanner struct {
	data    []byte
	at      int
	open    []bracket
	found   []finding
	dashes  int  // - - - in a row
	line    int  // where the line begins
	indent  int  // of the key, or the dash, that the next text belongs to; -1 = none
	isValue bool // after a key and its colon
	isDone  bool // after a text or a list in a flow, which a mark must follow
	// where the last text, of a key or value, begins; -1 = there is none since the last mark
	text    int
	closed  int  // where the last text in quotes ended
	stopped bool // what follows could only be guessed
}

type bracket struct {
	at      int
	isValue bool // of what is around it
}

type finding struct {
	at   int
	what string
}

// findMistakes finds what is wrong in the order of the text.
func findMistakes(data []byte) []mistake {
	s := scanner{data: data, indent: -1, text: -1}
	for s.at < len(data) && !s.stopped && len(s.found) < mostFound {
		s.step()
	}
	if n := len(s.open); n > 0 && len(s.found) == 0 {
		s.find(s.open[n-1].at, fmt.Sprintf("not valid YAML: this %c is not closed",
			data[s.open[n-1].at]))
	}
	slices.SortStableFunc(s.found, func(a, b finding) int { return cmp.Compare(a.at, b.at) })
	out, places := make([]mistake, len(s.found)), newCursor(data)
	for i, f := range s.found {
		line, column := places.place(f.at)
		out[i] = mistake{line, column, f.what}
	}
	return out
}

func (s *scanner) find(at int, what string) { s.found = append(s.found, finding{at, what}) }

// stop is find for what makes the rest unclear.
func (s *scanner) stop(at int, what string) {
	s.find(at, what)
	s.stopped = true
}

func (s *scanner) byteAt(at int) byte { return byteAt(s.data, at) }

// isEnd says whether a mark before this place is one, and not the beginning of a text.
func (s *scanner) isEnd(at int) bool {
	b := s.byteAt(at)
	return b == 0 || isBlank(b) || isBreak(b)
}

const flowMarks = ",[]{}"

// isMark says whether a colon or question mark is a mark, and not of a text.
func (s *scanner) isMark(at int) bool {
	if s.inFlow() && at == s.closed && s.byteAt(at) == ':' {
		return true // as JSON has it
	}
	return s.isEnd(at+1) || s.inFlow() && strings.IndexByte(flowMarks, s.byteAt(at+1)) >= 0
}

func (s *scanner) inFlow() bool { return len(s.open) > 0 }

// step passes what stands here, which is not within a text.
func (s *scanner) step() {
	b := s.data[s.at]
	switch {
	case isBreak(b):
		s.at++
		s.newLine()
	case b == ' ':
		s.at++
	case b == '\t':
		s.tab()
	case b == '#':
		s.at += s.restOfLine()
	case b == '[', b == '{':
		s.openBracket()
	case (b == ']' || b == '}') && s.inFlow():
		s.closeBracket(b)
	case b == ',' && s.inFlow():
		s.comma()
	case b == '-' && s.isEnd(s.at+1):
		s.dash()
	case b == '?' && s.isMark(s.at):
		s.find(s.at, noComplexKeys)
		s.at++
	case b == ':' && s.isMark(s.at):
		s.colon()
	default:
		s.word(b)
	}
}

// word passes what begins with a mark or is a text.
func (s *scanner) word(b byte) {
	isFirst := s.at == 0 || isBreak(s.data[s.at-1])
	switch {
	case refusedMark(b) != "":
		s.find(s.at, refusedMark(b))
		for !s.isEnd(s.at) && strings.IndexByte(",]}", s.data[s.at]) < 0 {
			s.at++
		}
	case b == '"', b == '\'':
		s.quoted(b)
	case (b == '|' || b == '>') && !s.inFlow():
		s.block()
	case b == '%' && isFirst:
		s.find(s.at, noDirectives)
		s.at += s.restOfLine()
	case b == '@', b == '`', b == '%', b == ']', b == '}', b == ',', b == '|', b == '>':
		s.stop(s.at, fmt.Sprintf("not valid YAML: a text without quotes cannot begin with %c", b))
	default:
		s.plain()
	}
}

// begins is called where a text, a list or a mapping begins.
func (s *scanner) begins() {
	if s.isDone && s.inFlow() {
		s.stop(s.at, "not valid YAML: a comma, or a bracket that closes, is missing before this")
	}
	s.isDone = true
}

func (s *scanner) comma() {
	if !s.isDone && !s.isValue {
		s.stop(s.at, "not valid YAML: there is nothing before this comma")
	}
	s.mark()
	s.isValue = false
	s.at++
}

// mark forgets the text before a mark.
func (s *scanner) mark() { s.text, s.isDone = -1, false }

func (s *scanner) restOfLine() int {
	if n := bytes.IndexAny(s.data[s.at:], "\r\n"); n >= 0 {
		return n
	}
	return len(s.data) - s.at
}

func (s *scanner) newLine() {
	s.line = s.at
	s.dashes = 0
	if !s.inFlow() {
		s.indent, s.isValue = -1, false
		s.mark()
	}
}

// tab passes tabs and blanks. A tab must not indent anything.
func (s *scanner) tab() {
	begin := s.at
	for isBlank(s.byteAt(s.at)) {
		s.at++
	}
	isIndent := len(bytes.Trim(s.data[s.line:begin], " ")) == 0
	if isIndent && !s.inFlow() && !s.isEnd(s.at) && s.data[s.at] != '#' {
		s.stop(begin, "not valid YAML: a tab cannot indent; write spaces")
	}
}

func (s *scanner) dash() {
	s.dashes++
	s.depth()
	s.indent, s.isValue = s.at-s.line, false
	s.mark()
	s.at++
}

// depth stops at the list that is within too many others and a mapping.
func (s *scanner) depth() {
	if s.dashes+len(s.open) >= MaxDepth {
		s.stop(s.at, tooDeep)
	}
}

func (s *scanner) openBracket() {
	s.begins()
	s.open = append(s.open, bracket{s.at, s.isValue})
	s.depth()
	s.mark()
	s.isValue = false
	s.at++
}

func (s *scanner) closeBracket(b byte) {
	last := s.open[len(s.open)-1]
	if b-s.data[last.at] != 2 { // the codes of [ and ], and of { and }, are two apart
		at := s.at
		if s.text >= 0 {
			at = s.text
		}
		s.stop(at, holdsClose)
		return
	}
	s.open = s.open[:len(s.open)-1]
	s.at, s.isValue, s.text, s.isDone = s.at+1, last.isValue, -1, true
}

// colon passes the colon after a key.
func (s *scanner) colon() {
	at := s.at
	if s.text >= 0 {
		at = s.text
	}
	if s.isValue {
		s.stop(at, holdsColon)
		return
	}
	if string(bytes.TrimRight(s.data[at:s.at], " \t")) == "<<" {
		s.find(at, noMergeKeys)
	}
	if !s.inFlow() {
		s.indent = at - s.line
	}
	s.mark()
	s.isValue = true
	s.at++
}

// quoted passes a text in quotes. If more text follows it at once, quotes do not come in pairs.
func (s *scanner) quoted(quote byte) {
	s.begins()
	length, isClosed := quotedLength(s.data[s.at:])
	end := s.at + length
	switch next := s.byteAt(end); {
	case !isClosed:
		s.stop(s.at,
			fmt.Sprintf("not valid YAML: the text that begins with %c here does not end with one",
				quote))
	case !s.isEnd(end) && strings.IndexByte(":,]}", next) < 0:
		s.stop(s.at,
			fmt.Sprintf(
				"not valid YAML: more follows the text in quotes that begins here; is a %c missing?",
				quote))
	}
	if quote == '"' && !s.stopped {
		s.escapes(s.at, end)
	}
	s.text, s.closed = s.at, end
	if last := bytes.LastIndexAny(s.data[s.at:end], "\r\n"); last >= 0 {
		s.line = s.at + last + 1
	}
	s.at = end
}

// escapes finds those that YAML does not have (YAML 1.2, section 5.7).
func (s *scanner) escapes(at, end int) {
	for at++; at < end; at++ {
		if s.data[at] != '\\' {
			continue
		}
		unit, ok := hexUnit(s.data, at)
		switch at++; {
		case at < end && strings.IndexByte("0abtnvfre \"/\\N_LPxuU\t\r\n", s.data[at]) < 0:
			s.find(at-1, "not valid YAML: "+unknownEscape(s.data[at-1:]))
		case ok && utf16.IsSurrogate(unit):
			s.find(at-1,
				fmt.Sprintf(
					"not valid YAML: %s is half of a character; write the character itself, as only "+
						"JSON has it in halves", s.data[at-1:at+5]))
			if other, ok := hexUnit(s.data, at+5); ok && utf16.IsSurrogate(other) {
				at += 6
			}
		}
	}
}

// block passes a text below | or >, which ends where a line is not indented.
func (s *scanner) block() {
	for s.at += s.restOfLine(); s.at < len(s.data); s.at += s.restOfLine() {
		begin := s.at + 1
		end := begin
		for s.byteAt(end) == ' ' {
			end++
		}
		if end-begin <= s.indent && !isBreak(s.byteAt(end)) {
			return
		}
		s.at = end
	}
}

// plain passes a text without quotes, up to the end of its line.
func (s *scanner) plain() {
	s.begins()
	begin := s.at
	for ; s.at < len(s.data) && !isBreak(s.data[s.at]); s.at++ {
		b := s.data[s.at]
		ends := b == '#' && isBlank(s.byteAt(s.at-1)) || b == ':' && s.isMark(s.at) ||
			s.inFlow() && strings.IndexByte(flowMarks, b) >= 0
		if ends && s.at > begin {
			break
		}
	}
	if s.text < 0 {
		s.text = begin
	}
	if s.isKeyless(begin) || s.goesOn() && s.continued(begin) {
		return
	}
	if s.goesOn() {
		s.find(begin, goesOn)
		s.text, s.isValue = begin, false
		for s.at < len(s.data) && s.goesOn() {
			s.at++
			s.at += s.restOfLine()
		}
	}
}

// goesOn says whether the next line belongs to the text that the line ends with.
func (s *scanner) goesOn() bool {
	if s.at >= len(s.data) || !isBreak(s.data[s.at]) {
		return false
	}
	rest := bytes.TrimLeft(s.data[s.at:], " \t\r\n")
	if len(rest) == 0 || rest[0] == '#' {
		return false
	}
	if s.inFlow() {
		return strings.IndexByte(flowMarks+":", rest[0]) < 0
	}
	at := len(s.data) - len(rest)
	return s.indent >= 0 && at-bytes.LastIndexAny(s.data[:at], "\r\n")-1 > s.indent
}
