package term

import (
	"fmt"
	"io"
)

// Page is text for a person, written line by line.
type Page struct {
	Paint Paint

	w   io.Writer
	err error
}

// NewPage begins a page.
func NewPage(w io.Writer) *Page { return &Page{Paint: PaintFor(w), w: w} }

// Line writes a line, unless one before it could not be written.
func (p *Page) Line(text string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, text+"\n", args...)
	}
}

// Err says why a line could not be written.
func (p *Page) Err() error { return p.err }
