package term

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Paint colours lines, after they were aligned; the zero Paint does not.
type Paint struct{ On bool }

// The colours (ECMA-48, select graphic rendition).
const (
	Red    = "\x1b[31m"
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Plain  = "\x1b[0m"
)

// Painted is where text goes that somebody else shows: whether on a terminal, is known beforehand.
type Painted struct {
	io.Writer
	Paint Paint
}

// PaintFor colours for terminals only, and nothing if the user wants none (no-color.org).
func PaintFor(w io.Writer) Paint {
	if p, is := w.(Painted); is {
		return p.Paint
	}
	return Paint{IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// IsTerminal says whether what is written is seen on a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Line colours a text; "" is no colour.
func (p Paint) Line(colour, text string) string {
	if !p.On || colour == "" {
		return text
	}
	return colour + text + Plain
}

// Each colours each line as it shall be.
func (p Paint) Each(text string, colour func(n int, line string) string) string {
	var b strings.Builder
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString(p.Line(colour(n, line), line) + "\n")
	}
	return b.String()
}
