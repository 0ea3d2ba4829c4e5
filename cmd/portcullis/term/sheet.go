package term

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// Sheets are what status, connections and top show: facts, then tables. They fit a size, so that no
// line wraps and what matters most, which comes first, is on the screen. Print writes one, Live
// (live.go) shows one after the other.

// Line is one line and its colour.
type Line struct{ Text, Colour string }

// Fact is a labelled line, or more of them: what is longer than the width goes on below.
type Fact struct{ Label, Text, Colour string }

// Sheet is what is shown. The most important comes first in the facts and in each grid's rows.
type Sheet struct {
	Facts []Fact
	Grids []Grid
}

// Size is of a terminal, in characters; a 0 is as much as it takes.
type Size struct{ Width, Height int }

// SizeOf is the size of the terminal that is written to; the zero Size if it is none.
func SizeOf(w io.Writer) Size {
	file, ok := w.(*os.File)
	if !ok {
		return Size{}
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return Size{}
	}
	return Size{width, height}
}

// Look is how somebody wants to look at sheets.
type Look struct {
	Sort   string // the title of a column; "" = as the sheet is
	Filter string // only rows with this text
	Skip   int    // rows of each grid that are passed over
}

// Print writes a sheet once. On a terminal it fits, and leaves a line for the prompt; all shows
// every row there, too.
func (s Sheet) Print(w io.Writer, all bool) error {
	size := SizeOf(w)
	if size.Height = max(0, size.Height-1); all {
		size.Height = 0
	}
	_, err := io.WriteString(w, s.text(size, PaintFor(w)))
	return err
}

// Text is the sheet as it is on a pipe.
func (s Sheet) Text() string { return s.text(Size{}, Paint{}) }

func (s Sheet) text(size Size, paint Paint) string {
	var b strings.Builder
	for _, l := range s.Fit(size, Look{}) {
		b.WriteString(paint.Line(l.Colour, l.Text) + "\n")
	}
	return b.String()
}

// Fit returns the lines of a sheet: as many and as wide as the size has room for. What is left out
// is counted.
func (s Sheet) Fit(size Size, look Look) []Line {
	facts := s.facts(size.Width)
	room := size.Height
	if room > 0 && len(s.Grids) > 0 {
		facts = shortened(facts, max(1, room/2), 0, "lines")
		room = max(1, room-len(facts))
	} else if room > 0 {
		facts = shortened(facts, room, 0, "lines")
	}
	grids := make([]block, len(s.Grids))
	for i, g := range s.Grids {
		grids[i] = newBlock(g.cleaned().filtered(look.Filter).sorted(look.Sort), size.Width, look.Skip)
	}
	share(grids, room)
	out := facts
	for _, g := range grids {
		out = append(out, g.lines()...)
	}
	if len(facts) == 0 && len(out) > 0 {
		out = out[1:] // the line that keeps the first grid apart
	}
	if size.Height > 0 && len(out) > size.Height {
		out = out[:size.Height]
	}
	for i := range out {
		out[i].Text = cutTo(out[i].Text, size.Width)
	}
	return out
}

// facts are the labelled lines, the labels in one column.
func (s Sheet) facts(width int) (out []Line) {
	indent := 0
	for _, f := range s.Facts {
		if f.Label != "" {
			indent = max(indent, textWidth(clean(f.Label))+1+len(gap))
		}
	}
	for _, f := range s.Facts {
		label := clean(f.Label)
		if label != "" {
			label += ":"
		}
		var pieces []string
		for _, line := range strings.Split(f.Text, "\n") {
			pieces = append(pieces, wrapped(clean(line), width-indent)...)
		}
		for _, piece := range pieces {
			out = append(out, Line{pad(label, indent, false) + piece, f.Colour})
			label = ""
		}
	}
	return out
}

// wrapped breaks a text between words; a word that is longer than the width is cut.
func wrapped(text string, width int) (out []string) {
	if width <= 0 || textWidth(text) <= width {
		return []string{text}
	}
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case textWidth(line)+1+textWidth(word) <= width:
			line += " " + word
		default:
			out, line = append(out, cut(line, width)), word
		}
	}
	return append(out, cut(line, width))
}

// shortened keeps the first lines, and says how many there are beside them, of which rest were left
// out before.
func shortened(lines []Line, room, rest int, of string) []Line {
	if len(lines) <= room && rest == 0 {
		return lines
	}
	keep := min(len(lines), room-1)
	return append(slices.Clone(lines[:keep]),
		Line{Text: "and " + more(len(lines)-keep+rest, of)})
}

// more is a number of what has a plural in s, and perhaps a hint behind a colon: "1 more port".
func more(n int, of string) string {
	plural, hint, _ := strings.Cut(of, ":")
	text := Count(n, "more "+strings.TrimSuffix(plural, "s"), "more "+plural)
	if hint != "" {
		text += ":" + hint
	}
	return text
}

// block is a grid as lines, with how many of its rows there is room for.
type block struct {
	of     string
	hint   string
	titles string
	rows   []Line
	rest   int // rows that are not here
	room   int // rows, and the line that counts the others; -1 = all
}

func newBlock(g Grid, width, skip int) block {
	if len(g.Rows) == 0 {
		b := block{of: g.Of, room: -1}
		if g.Empty != "" {
			b.rows = []Line{{Text: g.Empty}}
		}
		return b
	}
	titles, rows := g.lines(width)
	skip = min(skip, len(rows)-1)
	return block{of: g.Of, hint: g.Hint, titles: titles, rows: rows[skip:], rest: g.Rest, room: -1}
}

// above is how many lines a block has above its rows: an empty one, and the titles.
func (b block) above() int {
	switch {
	case len(b.rows) == 0:
		return 0
	case b.titles == "":
		return 1
	}
	return 2
}

// needs is how many lines all of its rows take.
func (b block) needs() int { return len(b.rows) + min(1, b.rest) }

// lines are what there is room for.
func (b block) lines() (out []Line) {
	if len(b.rows) == 0 || b.room == 0 {
		return nil
	}
	out = append(out, Line{})
	if b.titles != "" {
		out = append(out, Line{Text: b.titles})
	}
	room := b.room
	if room < 0 {
		room = b.needs()
	}
	of := b.of
	if b.hint != "" {
		of += ": " + b.hint
	}
	return append(out, shortened(b.rows, room, b.rest, of)...)
}

// share divides the room for lines among blocks: each gets the same, and what one does not need the
// others have. Room 0 is as much as they take.
func share(blocks []block, room int) {
	if room <= 0 {
		return
	}
	order := make([]int, len(blocks))
	for i := range blocks {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return blocks[a].needs() - blocks[b].needs() })
	for n, i := range order {
		b := &blocks[i]
		part := room / (len(order) - n)
		b.room = max(0, min(b.needs(), part-b.above()))
		if b.room > 0 {
			room -= b.room + b.above()
		}
	}
}
