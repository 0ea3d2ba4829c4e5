// Colons and marks that YAML 1.2 takes for text and the library does not. Document puts characters
// in their place before parsing; plain.go puts them back.

package strictyaml

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// placeholders are characters that stand for the colons and question marks of texts without quotes,
// as in {cidr: ::/0, description: why?}, while a file is parsed. Since version 1.2, YAML takes them
// for text there; the library takes them, in a flow, for marks of keys. Another stands for the
// backslash of \/, which 1.2 has in double quotes and the library does not know. The zero
// placeholders stand for nothing.
type placeholders struct{ colon, question, backslash rune }

// withPlaceholders returns the data with a character that is not in it in the place of each such
// mark. Lines and columns stay as they are.
func withPlaceholders(data []byte) ([]byte, placeholders) {
	var in placeholders
	var out []byte
	copied := 0
	for at := 0; ; at++ {
		next := bytes.IndexAny(data[at:], `:?\`)
		if next < 0 {
			break
		}
		at += next
		if data[at] == '\\' {
			if next := byteAt(data, at+1); next == '\\' {
				at++ // which is escaped
				continue
			} else if next != '/' {
				continue
			}
		} else if !isTextMark(data, at) {
			continue
		}
		if in == (placeholders{}) {
			if in = unused(data); in == (placeholders{}) {
				return data, in // the library refuses the text, or reads it as YAML 1.1
			}
		}
		out = utf8.AppendRune(append(out, data[copied:at]...), in.of(data[at]))
		copied = at + 1
	}
	if copied == 0 {
		return data, in
	}
	return append(out, data[copied:]...), in
}

// of returns the character that stands for a mark.
func (in placeholders) of(mark byte) rune {
	switch mark {
	case ':':
		return in.colon
	case '?':
		return in.question
	}
	return in.backslash
}

// isTextMark says whether a colon begins a text, or a question mark is anywhere in one.
func isTextMark(data []byte, at int) bool {
	const around = " \t\r\n,[{"
	begins := at == 0 || strings.IndexByte(around, data[at-1]) >= 0
	ends := at+1 == len(data) || strings.IndexByte(around+"]}", data[at+1]) >= 0
	switch {
	case data[at] == ':':
		return begins && !ends
	case !begins || !ends:
		return true
	}
	line := bytes.TrimRight(data[:at], " \t")
	// the text goes on
	return len(line) > 0 && strings.IndexByte("\r\n,[{:-?", line[len(line)-1]) < 0
}

// unused returns three characters for private use that are not in the data; none if fewer are left.
func unused(data []byte) placeholders {
	const first, last = '\ue000', '\uf8ff'
	var used [last - first + 1]bool
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if first <= r && r <= last {
			used[r-first] = true
		}
		at += size
	}
	var free []rune
	for i, isUsed := range used {
		if !isUsed {
			free = append(free, first+rune(i))
		}
		if len(free) == 3 {
			return placeholders{free[0], free[1], free[2]}
		}
	}
	return placeholders{}
}

// restore puts back what was stood for, in a text of a style.
func (in placeholders) restore(s string, style yaml.Style) string {
	if in == (placeholders{}) {
		return s
	}
	backslash := `\`
	if style&yaml.DoubleQuotedStyle != 0 {
		backslash = "" // it only said that the next character is itself
	}
	return strings.NewReplacer(string(in.colon), ":", string(in.question), "?",
		string(in.backslash), backslash).Replace(s)
}
