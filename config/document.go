package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// maxFileSize in bytes holds some 80,000 ports. Parsing takes about a hundred times the size of a file in memory.
	maxFileSize = 16 << 20
	// maxDepth of lists and mappings in each other. The deepest valid path has 7 of them (groups, an entry, rules, an entry …).
	maxDepth = 32
	// maxKeys of one mapping in block style. The library's time to parse one grows with the square of its keys.
	maxKeys = 1000
)

// document parses YAML to the value at its top. If that is not possible, it reports why and returns ok = false. The node of a file
// without any value, which may be a file that is just being written, is empty: see node.isEmpty.
//
// Only the part of YAML that can be read in one way is accepted: one document, no anchors, aliases, merge keys, tags, directives or
// complex keys. This also leaves no way to write a small file that is large when expanded.
func document(file File, out *report) (root node, ok bool) {
	top := spot{pos: policy.Position{File: file.Name, Line: 1, Column: 1}}
	if problem := badBytes(file.Data); problem != "" {
		out.errorf(top, "%s", problem)
		return node{}, false
	}
	tokens := lexer.Tokenize(string(file.Data))
	if !plainTokens(tokens, file.Name, out) {
		return node{}, false
	}
	tree, err := parse(tokens)
	if err != nil {
		reportSyntax(err, file.Name, out)
		return node{}, false
	}
	root = node{file: file.Name, out: out}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if root.ast != nil {
			out.errorf(spot{pos: root.position(doc.Body)}, "a second document begins here; a file is one document")
			return node{}, false
		}
		root.ast = doc.Body
	}
	return root, true
}

// badBytes says why the data cannot be text, or "".
func badBytes(data []byte) string {
	if len(data) > maxFileSize {
		return fmt.Sprintf("the file has %d bytes; at most %d (16 MiB) are read; split it and name the folder", len(data), maxFileSize)
	}
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return fmt.Sprintf("byte %d is NUL; a file must be UTF-8 text", at)
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return "the file begins with a byte order mark; save it as UTF-8 without one"
	}
	if !utf8.Valid(data) {
		return fmt.Sprintf("byte %d is not UTF-8; a file must be UTF-8 text", invalidAt(data))
	}
	return ""
}

func invalidAt(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return at
}

// parse guards against a panic of the YAML library: what a file holds must never end the daemon.
func parse(tokens token.Tokens) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is not YAML (%v)", p)
		}
	}()
	// Duplicate keys are reported by node.fields, all of them and not only the first.
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

func reportSyntax(err error, file string, out *report) {
	at, message := policy.Position{File: file, Line: 1, Column: 1}, ""
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		message = err.Error()
	} else {
		message = syntax.GetMessage() // its Error would print half of the file
		if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
			at.Line, at.Column = max(1, tk.Position.Line), max(1, tk.Position.Column)
		}
	}
	out.errorf(spot{pos: at}, "not valid YAML: %s", message)
}

// plainTokens reports every token that is outside the accepted part of YAML, and what is too deep or too wide to parse safely.
func plainTokens(tokens token.Tokens, file string, out *report) bool {
	ok, shape, inBlock := true, shape{}, false
	for _, tk := range tokens {
		at := spot{pos: policy.Position{File: file, Line: tk.Position.Line, Column: max(1, tk.Position.Column)}}
		if what, refused := refusedToken(tk.Type); refused {
			out.errorf(at, "%s; write the value itself", what)
			ok = false
		}
		if problem := badPlain(tk, shape.flow > 0); problem != "" && !inBlock {
			out.errorf(spot{pos: beginning(tk, file)}, "%s; put it in quotes if it is meant", problem)
			ok = false
		}
		inBlock = tk.Type == token.LiteralType || tk.Type == token.FoldedType
		shape.add(tk)
		if shape.depth() > maxDepth {
			out.errorf(at, "more than %d lists and mappings in each other", maxDepth)
			return false
		}
		if shape.keys() > maxKeys {
			out.errorf(at, "more than %d keys in one mapping; groups, rules, instances and ports are entries of lists", maxKeys)
			return false
		}
	}
	return ok
}

// beginning is where a text begins or, if it is given the place of a later line, as some of several lines are, the colon before it.
func beginning(tk *token.Token, file string) policy.Position {
	at := tk.Position
	if tk.Prev != nil && tk.Prev.Type == token.MappingValueType && tk.Prev.Position.Line < at.Line {
		at = tk.Prev.Position
	}
	return policy.Position{File: file, Line: at.Line, Column: max(1, at.Column)}
}

// badPlain says why a value without quotes could be read in another way than it looks, or "". The library is more lenient than YAML
// here: it drops tabs (80 of "8<TAB>0") and takes "text: more", and in a flow also brackets, for text. It also joins lines, as YAML
// does; but then rules that are indented wrongly vanish in the description above them.
func badPlain(tk *token.Token, inFlow bool) string {
	switch tk.Type {
	case token.StringType, token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType, token.FloatType,
		token.BoolType, token.NullType, token.InfinityType, token.NanType:
	default:
		return ""
	}
	switch written := strings.Trim(tk.Origin, " \t\r\n"); {
	case strings.ContainsAny(written, "\r\n"):
		return "this text goes on in the next line"
	case written != tk.Value || strings.Contains(written, "\t"):
		return "this text holds a tab"
	case strings.Contains(written, ": "):
		return "this text holds a colon and a space, as a key does"
	case inFlow && strings.ContainsAny(written, "[]{}"):
		return "this text holds a bracket"
	}
	return ""
}

func refusedToken(t token.Type) (what string, refused bool) {
	switch t {
	case token.AnchorType:
		return "anchors (&name) are not accepted", true
	case token.AliasType:
		return "aliases (*name) are not accepted", true
	case token.MergeKeyType:
		return "merge keys (<<) are not accepted", true
	case token.TagType:
		return "tags (!name) are not accepted", true
	case token.MappingKeyType:
		return "complex keys (? key) are not accepted", true
	case token.DirectiveType:
		return "directives (%) are not accepted", true
	}
	return "", false
}

// shape is what can be told from tokens alone about the tree that they will become.
type shape struct {
	flow    int     // open [ and {
	entries int     // - - - in a row
	levels  []level // lines that the current one is indented below, and itself
	line    int
}

// level is a column at which lines begin, and how many of them in a row do so with something other than the entry of a list.
type level struct{ column, keys int }

// depth is how deep the parser would have to recurse here.
func (s *shape) depth() int { return s.flow + s.entries + len(s.levels) }

// keys is how many keys the mapping has that the current line belongs to.
func (s *shape) keys() int {
	if len(s.levels) == 0 {
		return 0
	}
	return s.levels[len(s.levels)-1].keys
}

func (s *shape) add(tk *token.Token) {
	switch tk.Type {
	case token.CommentType:
		return
	case token.SequenceStartType, token.MappingStartType:
		s.flow++
	case token.SequenceEndType, token.MappingEndType:
		s.flow--
	}
	if tk.Position.Line != s.line {
		s.line = tk.Position.Line
		s.newLine(tk)
	}
	s.entries++
	if tk.Type != token.SequenceEntryType {
		s.entries = 0
	}
}

func (s *shape) newLine(tk *token.Token) {
	column := tk.Position.Column
	for len(s.levels) > 0 && s.levels[len(s.levels)-1].column > column {
		s.levels = s.levels[:len(s.levels)-1]
	}
	if len(s.levels) == 0 || s.levels[len(s.levels)-1].column < column {
		s.levels = append(s.levels, level{column: column})
	}
	if s.flow == 0 && tk.Type != token.SequenceEntryType {
		s.levels[len(s.levels)-1].keys++
	}
}
