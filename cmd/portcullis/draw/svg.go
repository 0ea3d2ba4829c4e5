package draw

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
)

// A picture as SVG: one file, for a page or a browser of its own, in light and dark.

//go:embed picture.css
var pictureStyle string

// SVG writes a picture. The error is an [*ErrTooMany], or of the writer.
func SVG(w io.Writer, p Picture) error {
	s, err := p.stage()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, s.layOut(topSize).svg(p.Title, still))
	return err
}

// svgWriter writes the elements of a picture.
type svgWriter struct {
	strings.Builder
	*layout
	focus string // attributes of what can be chosen, "" = nothing can
}

// role is what a picture is for, in ARIA's words: one to look at, or one with parts to choose.
type role string

const (
	still  role = "img"
	choice role = "group"
)

// leastScale is how small a page may show a picture; beyond that one moves along it.
const leastScale = 0.75

func (l *layout) svg(title string, as role) string {
	w := &svgWriter{layout: l}
	size := ""
	if as == choice {
		w.focus = ` tabindex="0" role="button"`
		size = fmt.Sprintf(` style="min-width: %.0fpx"`, l.width*leastScale)
	}
	w.print(`<svg class="portcullis" xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" `+
		`viewBox="0 0 %.0f %.0f" role="%s" aria-labelledby="picture-title picture-text"%s>`+"\n",
		l.width, l.height, l.width, l.height, as, size)
	w.print("<title id=\"picture-title\">%s</title>\n", text(title))
	w.print("<desc id=\"picture-text\">%s</desc>\n", text(l.spoken()))
	w.print("<style>\n%s</style>\n", pictureStyle)
	w.print("<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n")
	if as == still {
		w.title(title)
	}
	for n := range l.arrows {
		w.arrow(n)
	}
	for n, b := range l.boxes {
		w.box(b, l.left[n])
		if l.right[n] != l.left[n] {
			w.box(b, l.right[n])
		}
	}
	w.print("</svg>\n")
	return w.String()
}

func (w *svgWriter) title(title string) {
	w.print("<text class=\"title\" x=\"%.0f\" y=\"30\">%s</text>\n", margin,
		text(short(title, int((w.width-2*margin)/titleSize))))
}

func (w *svgWriter) print(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// text makes a text of people one of XML. Characters that XML has not are shown as unknown.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0xfffe || r == 0xffff {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	return html.EscapeString(s)
}

// spoken says the picture in words, for who does not see it.
func (l *layout) spoken() string {
	var lines []string
	for n := range l.arrows {
		lines = append(lines, l.whole(&l.arrows[n]))
	}
	return strings.Join(lines, ". ")
}

// classes are those of an arrow.
func (a *arrow) classes() string {
	switch {
	case a.state != Stays:
		return " " + string(a.state)
	case a.lacks != "":
		return " lacks"
	}
	return ""
}

// arrow draws one with its head; what is chosen by a pointer is wider than its line.
func (w *svgWriter) arrow(n int) {
	a := &w.arrows[n]
	line, head := w.line(n)
	w.print("<g class=\"arrow%s\" data-arrow=\"%d\" data-from=\"%d\" data-to=\"%d\"%s%s>", a.classes(),
		n, a.from, a.to, w.focus, w.label(w.whole(a)))
	w.print("<title>%s</title>", text(w.whole(a)))
	w.print("<path class=\"near\" d=\"%s\"/><path class=\"line\" d=\"%s\"/><path class=\"head\" "+
		"d=\"%s\"/></g>\n", line, line, head)
}

func (w *svgWriter) label(s string) string {
	if w.focus == "" {
		return ""
	}
	return ` aria-label="` + text(s) + `"`
}

// line returns the way of an arrow and its head.
func (w *svgWriter) line(n int) (line, head string) {
	a := w.arrows[n]
	if a.from == a.to {
		return w.loop(n)
	}
	path := w.paths[n]
	first := path[0]
	x := w.columns[w.at(first)] + first.box.width
	y := first.y + w.fixed(n, first.box.number)
	startX, startY := x, y
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", x, y)
	for _, next := range path[1:] {
		layer := w.at(next)
		to, into := w.columns[layer], next.y+slotSize/2
		if next.box != nil {
			into = next.y + w.fixed(n, next.box.number)
		}
		edge := w.columns[layer] - channel
		if x < edge { // the box is narrower than its layer
			fmt.Fprintf(&b, "H%.1f", edge)
			x = edge
		}
		bend := (to - x) / 2
		fmt.Fprintf(&b, "C%.1f %.1f %.1f %.1f %.1f %.1f", x+bend, y, to-bend, into, to, into)
		if x, y = to, into; next.box == nil {
			x = to + w.widths[layer]
			fmt.Fprintf(&b, "H%.1f", x)
		}
	}
	size := 8.0
	if a.state != Stays {
		size = 11
	}
	if w.backward[n] {
		return b.String(), fmt.Sprintf("M%.1f %.1fl%.1f %.1fv%.1fz", startX, startY, size, -size/2, size)
	}
	return b.String(), fmt.Sprintf("M%.1f %.1fl%.1f %.1fv%.1fz", x, y, -size, -size/2, size)
}

// at is the layer of a node.
func (l *layout) at(n *node) int {
	for layer := range l.layers {
		for _, o := range l.layers[layer] {
			if o == n {
				return layer
			}
		}
	}
	return 0
}

// loop is the arrow of a group to itself, at the side of its row.
func (w *svgWriter) loop(n int) (line, head string) {
	a := w.arrows[n]
	at := w.left[a.from]
	x, y := w.columns[w.at(at)], at.y+w.fixed(n, a.from)
	if a.direction == "egress" {
		x += at.box.width
		return fmt.Sprintf("M%.1f %.1fc22 -4 22 12 6 10", x, y-4),
			fmt.Sprintf("M%.1f %.1fl8 -4v8z", x, y+6)
	}
	return fmt.Sprintf("M%.1f %.1fc-22 -4 -22 12 -6 10", x, y-4),
		fmt.Sprintf("M%.1f %.1fl-8 -4v8z", x, y+6)
}

// box draws a box in its place.
func (w *svgWriter) box(b *box, at *node) {
	if at == nil {
		return
	}
	x := w.columns[w.at(at)]
	w.print("<g class=\"box %s\" data-box=\"%d\"%s%s>", b.kindOf(), b.number, w.focus, w.label(b.whole))
	w.print("<title>%s</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"6\"/>",
		text(b.whole), x, at.y, b.width, b.height)
	y := at.y + 20
	if b.about == "" {
		y = at.y + headSize/2 + 5
	}
	w.print("<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text>", x+padding, y, text(b.label))
	if b.about != "" {
		w.print("<text class=\"about\" x=\"%.1f\" y=\"%.1f\">%s</text>", x+padding, y+17, text(b.about))
	}
	for n, r := range b.rows {
		class := "row"
		if r.arrow >= 0 {
			class += w.arrows[r.arrow].classes()
		}
		w.print("<text class=\"%s\" data-row=\"%d\" x=\"%.1f\" y=\"%.1f\"><title>%s</title>%s</text>",
			class, r.arrow, x+padding, at.y+headSize+float64(n)*rowHeight+12, text(r.whole), text(r.text))
	}
	w.print("</g>\n")
}
