// From bytes to the value at the top of a document. This is where settings and policy files enter;
// no text, whatever it holds, ends the program or costs much more than its length.

package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// maxFileSize in bytes holds some 80,000 ports. Parsing takes up to a hundred times the size of
	// a file in memory.
	MaxFileSize = 16 << 20
	// maxDepth of lists and mappings in each other. The deepest valid path has 7 of them (groups,
	// an entry, rules, an entry …).
	MaxDepth = 32
	// maxKeys of one mapping. The widest valid one has about ten.
	MaxKeys = 1000
	// maxEntries of one list. The longest valid ones have as many as fit into a file: a list of
	// networks.
	maxEntries = 2_000_000
)

// Document parses YAML, or JSON, to the value at its top. If that is not possible, it reports why
// and returns ok = false. The node of a file without any value, which may be a file that is just
// being written, is empty: see node.isEmpty.
//
// Only the part of YAML that can be read in one way is accepted: one document, no anchors, aliases,
// merge keys, tags, directives or complex keys. This also leaves no way to write a small file that
// is large when expanded. What is too deep or too wide is found before a tree is made of it.
func Document(file File, out *Report) (root Node, ok bool) {
	if at, problem := badBytes(file.Data); problem != "" {
		at.File = file.Name
		out.Errorf(Location{Pos: at}, "%s", problem)
		return Node{}, false
	}
	tree, json := readJSON(file.Data)
	if json != nil && json.failed == nil {
		return Node{ast: tree, file: file.Name, out: out}, true
	}
	data, in := withPlaceholders(file.Data)
	check := checker{cursor: newCursor(data), placeholders: in}
	if json != nil && json.isOver {
		check.found = []mistake{json.mistake()}
	} else if over := measure(data); over != nil {
		check.found = []mistake{*over}
	} else if root, err := check.parse(data); err != nil {
		check.found = whyRefused(data, json, err)
	} else {
		tree = root
	}
	for _, m := range check.found {
		out.Errorf(Location{Pos: m.position(file.Name)}, "%s", m.text)
	}
	return Node{ast: tree, file: file.Name, out: out}, len(check.found) == 0
}

// badBytes says where and why the data cannot be text, or "".
func badBytes(data []byte) (policy.Position, string) {
	top := policy.Position{Line: 1, Column: 1}
	if len(data) > MaxFileSize {
		return top,
			fmt.Sprintf(
				"the file has %d bytes; at most %d (16 MiB) are read; split it and name the folder",
				len(data), MaxFileSize)
	}
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return placeOf(data, at), fmt.Sprintf("byte %d is NUL; a file must be UTF-8 text", at)
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return top, "the file begins with a byte order mark; save it as UTF-8 without one"
	}
	if !utf8.Valid(data) {
		at := invalidAt(data)
		return placeOf(data, at), fmt.Sprintf("byte %d is not UTF-8; a file must be UTF-8 text", at)
	}
	if at := bytes.IndexFunc(data, isForbidden); at >= 0 {
		r, _ := utf8.DecodeRune(data[at:])
		return placeOf(data, at), fmt.Sprintf(
			"the character %U is not accepted, not even in a comment: it is not seen, or ends a "+
				"line for some; in quotes it is written as \\%s", r, escape(r))
	}
	return policy.Position{}, ""
}

// placeOf is the line and column of a byte.
func placeOf(data []byte, at int) policy.Position {
	cursor := newCursor(data)
	line, column := cursor.place(at)
	return policy.Position{Line: line, Column: column}
}

// isForbidden says of what YAML does not allow, and of what it allows but versions of it take for
// the end of a line or not.
func isForbidden(r rune) bool {
	switch {
	case r < ' ':
		return r != '\t' && r != '\n' && r != '\r'
	case r < 0x7f:
		return false
	}
	return r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufffe' || r == '\uffff'
}

func escape(r rune) string {
	if r < 0x100 {
		return fmt.Sprintf("x%02X", r)
	}
	return fmt.Sprintf("u%04X", r)
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

// parse returns the value of the one document that has one; nil if there is none.
func (c *checker) parse(data []byte) (root *yaml.Node, err error) {
	err = decode(bytes.NewReader(data), func(doc *yaml.Node) bool {
		c.document(doc)
		value := doc.Content[0]
		if root != nil && !isLeftOut(value) {
			c.report(value, "a second document begins here; a file is one document")
			return false
		}
		if root == nil && !isLeftOut(value) {
			root = value
		}
		return true
	})
	return root, err
}

// decode calls do with each document until it returns false.
//
// It guards against a panic of the YAML library: what a file holds must never end the daemon.
func decode(r io.Reader, do func(*yaml.Node) bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is not YAML (%v)", p)
		}
	}()
	for decoder := yaml.NewDecoder(r); ; {
		var doc yaml.Node
		switch err := decoder.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !do(&doc):
			return nil
		}
	}
}

// File is the content of one policy file. Name is used in positions only.
type File struct {
	Name string
	Data []byte
}
