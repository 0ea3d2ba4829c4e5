package config

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// standIns are characters that stand for the colons and question marks of texts without quotes, as in {cidr: ::/0, description: why?},
// while a file is parsed. Since version 1.2, YAML takes them for text there; the library takes them, in a flow, for marks of keys.
// The zero standIns stand for nothing.
type standIns struct{ colon, question rune }

// withStandIns returns the data with a character that is not in it in the place of each such colon and question mark. Lines and columns
// stay as they are.
func withStandIns(data []byte) ([]byte, standIns) {
	var in standIns
	var out []byte
	copied := 0
	for at := 0; ; at++ {
		next := bytes.IndexAny(data[at:], ":?")
		if next < 0 {
			break
		}
		at += next
		if !isTextMark(data, at) {
			continue
		}
		if in == (standIns{}) {
			if in = unused(data); in == (standIns{}) {
				return data, in // the library refuses the text, or reads it as YAML 1.1
			}
		}
		stand := in.colon
		if data[at] == '?' {
			stand = in.question
		}
		out = utf8.AppendRune(append(out, data[copied:at]...), stand)
		copied = at + 1
	}
	if copied == 0 {
		return data, in
	}
	return append(out, data[copied:]...), in
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
	return len(line) > 0 && strings.IndexByte("\r\n,[{:-?", line[len(line)-1]) < 0 // the text goes on
}

// unused returns two characters for private use that are not in the data; none if fewer than two are left.
func unused(data []byte) standIns {
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
		if len(free) == 2 {
			return standIns{free[0], free[1]}
		}
	}
	return standIns{}
}

// restore puts back what was stood for.
func (in standIns) restore(s string) string {
	if in == (standIns{}) {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, string(in.colon), ":"), string(in.question), "?")
}
