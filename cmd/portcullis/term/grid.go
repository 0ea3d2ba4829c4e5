package term

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Grids are tables that fit a width. Sheets (sheet.go) are made of them. Invariant: no line is
// wider than what it was made for, and no control character of a cell reaches the terminal.

// Column is one column of a grid.
type Column struct {
	Title string
	// Right aligns numbers; they are sorted from the largest.
	Right bool
	// Drop says when the column goes where there is no room for all: the highest first; 0 = never.
	Drop int
	// Flex is cut where there is not enough room, but not below a few characters.
	Flex bool
	// IfAny leaves the column out where no cell has a text.
	IfAny bool
}

// Row is one row of a grid.
type Row struct {
	Cells  []string
	Colour string // of the line, "" = none
}

// Grid is a table.
type Grid struct {
	Of      string // what the rows are, in the plural: "ports"
	Hint    string // how those that are left out can be seen: "--all"; "" = by scrolling
	Columns []Column
	Rows    []Row
	Rest    int    // rows beside these that were left out before
	Empty   string // is said instead of a table without rows; "" = nothing is
}

const (
	gap     = "  "
	flexMin = 12 // a column that is cut keeps this width
	cutMark = "…"
)

// lines returns the titles and the rows, none of them wider than width; 0 = as wide as they are.
func (g Grid) lines(width int) (titles string, rows []Line) {
	columns, widths := g.fit(width)
	line := func(cell func(column int) string) string {
		var b strings.Builder
		for i, c := range columns {
			if i > 0 {
				b.WriteString(gap)
			}
			b.WriteString(pad(cut(cell(c), widths[c]), widths[c], g.Columns[c].Right))
		}
		return strings.TrimRight(b.String(), " ")
	}
	titles = line(func(c int) string { return g.Columns[c].Title })
	for _, r := range g.Rows {
		rows = append(rows, Line{Text: line(func(c int) string { return r.Cells[c] }),
			Colour: r.Colour})
	}
	return titles, rows
}

// cleaned has no control characters.
func (g Grid) cleaned() Grid {
	g.Of, g.Empty = clean(g.Of), clean(g.Empty)
	g.Columns, g.Rows = slices.Clone(g.Columns), slices.Clone(g.Rows)
	for i := range g.Columns {
		g.Columns[i].Title = clean(g.Columns[i].Title)
	}
	for i, r := range g.Rows {
		g.Rows[i].Cells = make([]string, len(r.Cells))
		for c := range r.Cells {
			g.Rows[i].Cells[c] = clean(r.Cells[c])
		}
	}
	return g
}

// fit chooses the columns that there is room for, and how wide each is.
func (g Grid) fit(width int) (columns []int, widths map[int]int) {
	widths = map[int]int{}
	total := -len(gap)
	for i, c := range g.Columns {
		widest, isEmpty := textWidth(c.Title), true
		for _, r := range g.Rows {
			widest, isEmpty = max(widest, textWidth(r.Cells[i])), isEmpty && r.Cells[i] == ""
		}
		if c.IfAny && isEmpty {
			continue
		}
		columns, widths[i] = append(columns, i), widest
		total += widest + len(gap)
	}
	for width > 0 && total > width {
		if total = g.squeeze(columns, widths, total, width); total <= width {
			break
		}
		last := slices.MaxFunc(columns, func(a, b int) int {
			return cmp.Compare(g.Columns[a].Drop, g.Columns[b].Drop)
		})
		if g.Columns[last].Drop == 0 {
			g.squash(columns, widths, total-width)
			break
		}
		total -= widths[last] + len(gap)
		columns = slices.DeleteFunc(columns, func(c int) bool { return c == last })
	}
	return columns, widths
}

// squeeze makes the columns that may be cut narrower, the widest first, if that is enough.
func (g Grid) squeeze(columns []int, widths map[int]int, total, width int) int {
	room := 0
	for _, c := range columns {
		if g.Columns[c].Flex {
			room += max(0, widths[c]-flexMin)
		}
	}
	if room < total-width {
		return total
	}
	for ; total > width; total-- {
		widest := -1
		for _, c := range columns {
			if g.Columns[c].Flex && (widest < 0 || widths[c] > widths[widest]) {
				widest = c
			}
		}
		widths[widest]--
	}
	return total
}

// squash makes columns narrower that nobody wanted to be: the screen is very narrow.
func (g Grid) squash(columns []int, widths map[int]int, over int) {
	for ; over > 0; over-- {
		widest := slices.MaxFunc(columns, func(a, b int) int {
			return cmp.Compare(widths[a], widths[b])
		})
		if widths[widest] <= 1 {
			return
		}
		widths[widest]--
	}
}

// filtered keeps the rows in which a cell has the text, whatever its case.
func (g Grid) filtered(text string) Grid {
	if text == "" {
		return g
	}
	text = strings.ToLower(text)
	g.Rows = slices.DeleteFunc(slices.Clone(g.Rows), func(r Row) bool {
		return !slices.ContainsFunc(r.Cells, func(cell string) bool {
			return strings.Contains(strings.ToLower(cell), text)
		})
	})
	return g
}

// sorted orders the rows by a column, numbers from the largest, text from a; a title that is none
// of the grid's leaves them as they are.
func (g Grid) sorted(title string) Grid {
	n := slices.IndexFunc(g.Columns, func(c Column) bool { return c.Title == title })
	if title == "" || n < 0 {
		return g
	}
	g.Rows = slices.Clone(g.Rows)
	slices.SortStableFunc(g.Rows, func(a, b Row) int {
		if g.Columns[n].Right {
			return cmp.Compare(leading(b.Cells[n]), leading(a.Cells[n]))
		}
		return cmp.Compare(a.Cells[n], b.Cells[n])
	})
	return g
}

// leading is the number that a text begins with; what has none is less than all.
func leading(text string) float64 {
	word, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return -1
	}
	return n
}

// textWidth is how many columns of a terminal a text takes.
func textWidth(text string) int { return uniseg.StringWidth(text) }

// cut shortens a text to a width; what is cut ends with a mark.
func cut(text string, width int) string {
	if textWidth(text) <= width {
		return text
	}
	var b strings.Builder
	used := textWidth(cutMark)
	for g := uniseg.NewGraphemes(text); g.Next(); {
		if used += g.Width(); used > width {
			break
		}
		b.WriteString(g.Str())
	}
	return b.String() + cutMark
}

func pad(text string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-textWidth(text)))
	if right {
		return space + text
	}
	return text + space
}

// clean makes a text one line without control characters: names come from files and switches.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ';'
		case unicode.IsControl(r):
			return '?'
		}
		return r
	}, text)
}

// cutTo shortens a text to a width; 0 = it is left as it is.
func cutTo(text string, width int) string {
	if width == 0 {
		return text
	}
	return cut(text, width)
}

// Fitted is a text as one line of a terminal: without control characters, and not wider than width;
// 0 = as wide as it is.
func Fitted(text string, width int) string { return cutTo(clean(text), width) }
