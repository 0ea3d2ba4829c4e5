// What is YAML and is refused all the same, because it can be read in two ways or hides what it
// says. Called for each tree that the library returns.

package strictyaml

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// What is outside the accepted part of YAML.
const (
	noAnchors     = "anchors (&name) are not accepted; write the value itself"
	noAliases     = "aliases (*name) are not accepted; write the value itself"
	noTags        = "tags (!name) are not accepted; write the value itself"
	noMergeKeys   = "merge keys (<<) are not accepted; write the value itself"
	noComplexKeys = "complex keys (? key) are not accepted; write the value itself"
	noDirectives  = "directives (%) are not accepted; write the value itself"
	tooDeep       = "more than 32 lists and mappings in each other"
	tooWide       = "more than 1000 keys in one mapping; groups, rules, instances and ports are " +
		"entries of lists"
	tooLong     = "more than 2000000 entries in one list"
	goesOn      = "this text goes on in the next line; put it in quotes if it is meant"
	holdsTab    = "this text holds a tab; put it in quotes if it is meant"
	endsInColon = "this text ends with a colon, as a key does; put it in quotes if it is meant"
	holdsColon  = "this text holds a colon and a space, as a key does; put it in quotes if it " +
		"is meant"
	holdsClose = "this text holds a bracket; put it in quotes if it is meant"
)

// mostFound bounds what is told of one file that is no YAML. It is made by a program that knows
// nothing of YAML, or to do harm.
const mostFound = 1000

// refusedMark says what begins with a mark, or "".
func refusedMark(b byte) string {
	switch b {
	case '&':
		return noAnchors
	case '*':
		return noAliases
	case '!':
		return noTags
	}
	return ""
}

// checker reports what of a tree is outside the accepted part of YAML. The tree does not tell all
// of it, so it is compared with the text that it was made of.
type checker struct {
	cursor
	placeholders
	found []mistake
}

func (c *checker) report(at *yaml.Node, text string) { c.reportAt(at.Line, at.Column, text) }

func (c *checker) reportAt(line, column int, text string) {
	m := mistake{line, column, text}
	// a mapping begins where its first key does, with the same anchor
	if n := len(c.found); n == 0 || n < mostFound && c.found[n-1] != m {
		c.found = append(c.found, m)
	}
}

func (c *checker) document(doc *yaml.Node) {
	if c.byteAt(c.offset(doc.Line, doc.Column)) == '%' {
		c.report(doc, noDirectives)
	}
	root, depth := doc.Content[0], 0
	if root.Kind == yaml.SequenceNode {
		depth = 1 // of the mapping that should be around it
	}
	c.value(root, depth, 0)
}

// value checks a value that is within so many lists and mappings, of which one may be in flow
// style. It returns false if it is no use to look further.
func (c *checker) value(n *yaml.Node, depth int, style yaml.Style) bool {
	at := c.offset(n.Line, n.Column)
	isMarked := c.properties(n, at)
	switch n.Kind {
	case yaml.ScalarNode:
		if isUnquoted(n) && !isMarked {
			c.plain(n, at, style)
		}
		n.Value = c.restore(n.Value, n.Style)
		return true
	case yaml.AliasNode:
		return true
	}
	if depth++; depth > MaxDepth {
		c.report(n, tooDeep)
		return false
	}
	style |= n.Style & yaml.FlowStyle
	for i, inner := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if i/2 == MaxKeys {
				c.report(inner, tooWide)
				return false
			}
			c.key(inner, style)
		}
		if !c.value(inner, depth, style) {
			return false
		}
	}
	return true
}

// properties reports the anchors, tags or the alias that a value begins with, and says whether
// there are any.
func (c *checker) properties(n *yaml.Node, at int) bool {
	end := at
	for refusedMark(c.byteAt(end)) != "" && len(c.found) < mostFound {
		c.reportAt(n.Line, n.Column+utf8.RuneCount(c.data[at:end]), refusedMark(c.byteAt(end)))
		for !isBlank(c.byteAt(end)) && !isBreak(c.byteAt(end)) && c.byteAt(end) != 0 {
			end++
		}
		for isBlank(c.byteAt(end)) {
			end++
		}
	}
	return end > at
}

// plain checks that a text without quotes is what it looks like. The library joins lines, as YAML
// does; but then rules that are indented wrongly vanish in the description above them.
func (c *checker) plain(n *yaml.Node, at int, style yaml.Style) {
	switch {
	case !bytes.HasPrefix(c.data[at:], []byte(n.Value)) || strings.ContainsAny(n.Value, "\r\n"):
		c.report(n, goesOn)
	case strings.Contains(n.Value, "\t"):
		c.report(n, holdsTab)
	case style&yaml.FlowStyle != 0 && strings.HasSuffix(n.Value, ":"):
		c.report(n, endsInColon) // is a key with nothing as its value since YAML 1.2
	}
}

// isUnquoted says whether a value is a text without quotes, or nothing at all.
func isUnquoted(n *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0 && !isBlock(n)
}

// isBlock says whether a value is a text below | or >.
func isBlock(n *yaml.Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// isLeftOut says whether a value is not written at all, not even as null.
func isLeftOut(n *yaml.Node) bool { return isUnquoted(n) && n.Value == "" }

// key refuses what a key must not be.
func (c *checker) key(key *yaml.Node, style yaml.Style) {
	at := c.offset(key.Line, key.Column)
	isScalar, inFlow := key.Kind == yaml.ScalarNode && !isBlock(key), style&yaml.FlowStyle != 0
	switch {
	case refusedMark(c.byteAt(at)) != "": // is reported
	case !isScalar, inFlow && c.byteAt(c.before(at)) == '?', !inFlow && !c.isBeforeColon(key, at):
		column := key.Column
		if mark := c.before(at); c.byteAt(mark) == '?' &&
			!bytes.ContainsAny(c.data[mark:at], "\r\n") {
			column -= at - mark // blanks and the mark
		}
		c.reportAt(key.Line, column, noComplexKeys)
	case isUnquoted(key) && key.Value == "<<":
		c.report(key, noMergeKeys)
	}
}

// isBeforeColon says whether a key is followed by its colon, as every key is that has no question
// mark.
func (c *checker) isBeforeColon(key *yaml.Node, at int) bool {
	if isUnquoted(key) {
		at += len(key.Value)
	} else {
		length, _ := quotedLength(c.data[at:])
		at += length
	}
	for isBlank(c.byteAt(at)) {
		at++
	}
	return c.byteAt(at) == ':'
}

// quotedLength is the length of the text in quotes that data begins with, and whether it ends.
func quotedLength(data []byte) (length int, isClosed bool) {
	for at := 1; at < len(data); at++ {
		switch {
		case data[0] == '"' && data[at] == '\\':
			at++
		case data[at] != data[0]:
		case data[0] == '\'' && at+1 < len(data) && data[at+1] == '\'':
			at++
		default:
			return at + 1, true
		}
	}
	return len(data), false
}

// before returns where the last character before a place is that is neither blank nor in a comment;
// -1 if there is none.
func (c *checker) before(at int) int {
	for at--; isBlank(c.byteAt(at)); at-- {
	}
	for at >= 0 && isBreak(c.data[at]) {
		end := at
		for at--; at >= 0 && !isBreak(c.data[at]); at-- {
		}
		line := c.data[at+1 : end]
		if mark := bytes.IndexByte(line, '#'); mark == 0 || mark > 0 && isBlank(line[mark-1]) {
			line = line[:mark]
		}
		if line = bytes.TrimRight(line, " \t"); len(line) > 0 {
			return at + len(line)
		}
	}
	return at
}
