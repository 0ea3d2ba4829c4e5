// What a text that goes on in the next line is instead, most likely: a colon, a bracket or blanks
// are wrong. Called by the scanner, for what the library refuses.

package strictyaml

import (
	"bytes"
	"fmt"
)

// continued says what is wrong where the text without quotes that begins here goes on in the next
// line, though that looks like a key or an entry of a list. It returns false if it does not.
func (s *scanner) continued(begin int) bool {
	next := s.at + len(s.data[s.at:]) - len(bytes.TrimLeft(s.data[s.at:], " \t\r\n"))
	key, isKey := s.keyAt(next)
	isEntry := s.byteAt(next) == '-' && s.isEnd(next+1)
	switch {
	case !isKey && !isEntry:
		return false
	case s.inFlow():
		return s.unclosed(next, isEntry)
	case !isKey:
		return false
	}
	column := next - bytes.LastIndexAny(s.data[:next], "\r\n") - 1
	text := bytes.TrimRight(s.data[begin:s.at], " \t\r")
	switch word, value, isTwo := bytes.Cut(text, []byte(" ")); {
	case s.isValue:
		s.stop(next, fmt.Sprintf("not valid YAML: %s is indented by %d, the key before it by %d; "+
			"write keys of one mapping one below the other", key, column, s.indent))
	case isTwo && isWord(word) && column == begin-s.line:
		s.colonMissing(begin, word, value)
	default:
		return false
	}
	return true
}

// isKeyless reports a line of a key and its value without the colon between them.
func (s *scanner) isKeyless(begin int) bool {
	isAlone := !s.inFlow() && !s.isValue && s.indent < 0 && s.isEnd(s.at)
	word, value, isTwo := bytes.Cut(bytes.TrimRight(s.data[begin:s.at], " \t\r"), []byte(" "))
	if !isAlone || !isTwo || !isWord(word) || begin == 0 {
		return false
	}
	s.colonMissing(begin, word, value)
	return true
}

func (s *scanner) colonMissing(at int, key, value []byte) {
	s.stop(at, fmt.Sprintf("not valid YAML: a colon is missing; is it %s: %s?", key,
		bytes.TrimLeft(value, " ")))
}

// unclosed says whether a bracket is not closed at the end of the line, as the next line is no part
// of what it holds.
func (s *scanner) unclosed(next int, isEntry bool) bool {
	last := s.open[len(s.open)-1].at
	if bytes.ContainsAny(s.data[last:s.at], "\r\n") || !isEntry && s.data[last] == '{' &&
		next-bytes.LastIndexAny(s.data[:next], "\r\n") > last-s.line {
		return false // it may be meant to have several lines
	}
	s.stop(last, fmt.Sprintf("not valid YAML: this %c is not closed at the end of its line",
		s.data[last]))
	return true
}

// keyAt returns the key that stands at a place, a word and its colon.
func (s *scanner) keyAt(at int) (key []byte, ok bool) {
	end := at
	for isLetter(s.byteAt(end)) {
		end++
	}
	return s.data[at:end], end > at && s.byteAt(end) == ':' && s.isEnd(end+1)
}

// isWord says whether a text is one that keys are made of.
func isWord(text []byte) bool {
	for _, c := range text {
		if !isLetter(c) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
