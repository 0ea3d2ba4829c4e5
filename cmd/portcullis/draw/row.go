package draw

import (
	"strconv"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/portcullis/portcullis/flows/matrix"
)

// The rows of boxes, and how wide texts are.

const (
	// rowLength is how many columns a row, or a name, may have; nameLength of them are for the peer.
	rowLength  = 42
	nameLength = 20
	// mostRows is how many rows a box has at most; the last says how many more there are.
	mostRows = 14
)

// fillRows gives each box its rows: of ingress, then of egress, what changes first.
func (s *scene) fillRows() {
	for _, b := range s.boxes {
		b.label = short(b.name, rowLength-8)
		b.whole = b.name
		if b.about != "" {
			b.whole += ": " + b.about
		}
	}
	for _, direction := range []string{"ingress", "egress"} {
		for _, changes := range []bool{true, false} {
			for n := range s.arrows {
				a := &s.arrows[n]
				if a.direction == direction && changes == (a.state != Stays) {
					s.addRow(n)
				}
			}
		}
	}
}

func (s *scene) addRow(n int) {
	a := &s.arrows[n]
	b := s.boxes[a.owner]
	if last := len(b.rows); last >= mostRows-1 {
		if last == mostRows-1 {
			b.rows = append(b.rows, row{arrow: -1})
		}
		rest := &b.rows[mostRows-1]
		count := 1 + strings.Count(rest.whole, "\n")
		rest.text = "and " + strconv.Itoa(count) + " more"
		rest.whole += s.whole(a) + "\n"
		a.row = mostRows - 1
		return
	}
	a.row = len(b.rows)
	b.rows = append(b.rows, row{s.text(a), s.whole(a), n})
}

// text is "from web: tcp/3306", and what becomes of it.
func (s *scene) text(a *arrow) string {
	head := ""
	if a.state != Stays {
		head = string(a.state) + " "
	}
	head += s.peer(a, nameLength) + ": "
	return head + services(a.services, rowLength-columns(head))
}

func (s *scene) peer(a *arrow, length int) string {
	switch {
	case a.from == a.to && a.direction == "egress":
		return "to itself"
	case a.from == a.to:
		return "from itself"
	case a.direction == "egress":
		return "to " + short(s.boxes[a.to].name, length)
	}
	return "from " + short(s.boxes[a.from].name, length)
}

// whole says all of an arrow in lines.
func (s *scene) whole(a *arrow) string {
	text := s.boxes[a.owner].name + ", " + a.direction + " " + s.peer(a, 255) + ": " +
		strings.Join(a.services, ", ")
	if a.state != Stays {
		text = string(a.state) + ": " + text
	}
	if a.lacks != "" {
		text += "; passes nothing: " + a.lacks
	}
	return text
}

// services lists as many words as there is room for, and at least one.
func services(words []string, room int) string {
	if len(words) == 0 {
		return "nothing"
	}
	text := short(words[0], max(room, 12))
	for n, w := range words[1:] {
		more := ", +" + strconv.Itoa(len(words)-n-2)
		if len(words)-n-2 == 0 {
			more = ""
		}
		if columns(text+", "+w+more) > room {
			return text + ", +" + strconv.Itoa(len(words)-n-1)
		}
		text += ", " + w
	}
	return text
}

// short cuts a text that is longer than some columns.
func short(text string, length int) string {
	if columns(text) <= length {
		return text
	}
	var b strings.Builder
	used := 1
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if used += g.Width(); used > length {
			break
		}
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// columns is how much room a text takes, in columns of a letter.
func columns(text string) int { return uniseg.StringWidth(text) }

// kindOf is the class of a box.
func (b *box) kindOf() string {
	if b.kind == matrix.Group {
		return "group"
	}
	return "network"
}
