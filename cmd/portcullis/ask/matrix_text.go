package ask

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// A matrix as text: as a table with a line and a column for each end where that fits the width,
// else as a list.

const (
	// plainWidth is the width for what is no terminal, in columns.
	plainWidth = 100
	// gap is what stands between two columns.
	gap = 2
	// cellWidth is how wide a cell may be before its words are broken to lines.
	cellWidth = 16
	// mostInPart is how many lines about some of the members one end has in a list.
	mostInPart = 8
)

// matrixText is an answer that is laid out.
type matrixText struct {
	*matrix.Answer
	cells map[[2]string]matrix.Row
	b     strings.Builder
}

// textOf lays an answer out for a terminal of some width, in columns; 0 = it is none, and no name
// is cut.
func textOf(a *matrix.Answer, width int) string {
	t := &matrixText{Answer: a, cells: map[[2]string]matrix.Row{}}
	for _, c := range a.Cells {
		t.cells[[2]string{c.From, c.To}] = c
	}
	if len(a.Cells) == 0 {
		t.b.WriteString("nobody reaches anybody\n")
	} else if grid := t.grid(); grid != nil && widest(grid) <= cmp.Or(width, plainWidth) {
		t.columns(grid)
	} else {
		t.list(width)
	}
	t.notes(width)
	return t.b.String()
}

// words are a cell's, with what is of some.
func words(c matrix.Row) []string {
	out := slices.Clone(c.Services)
	for _, s := range c.Some {
		out = append(out, s+" of some")
	}
	return out
}

// grid returns the lines of the table, each as cells of lines; nil if there are too many ends.
func (t *matrixText) grid() [][][]string {
	const most = 16
	rows, columns := t.Lines()
	if len(columns) > most || len(rows) > most*2 {
		return nil
	}
	head := [][]string{{"FROM \\ TO"}}
	for _, c := range columns {
		head = append(head, []string{c})
	}
	out := [][][]string{head}
	for _, r := range rows {
		line := [][]string{{r}}
		for _, c := range columns {
			w := words(t.cells[[2]string{r, c}])
			if len(w) == 0 {
				w = []string{"-"}
			}
			line = append(line, wrapped(w, max(cellWidth, uniseg.StringWidth(c))))
		}
		out = append(out, line)
	}
	return out
}

// wrapped joins words to lines that are no wider than width, unless a word is.
func wrapped(words []string, width int) []string {
	var out []string
	for n, w := range words {
		if n < len(words)-1 {
			w += ","
		}
		last := len(out) - 1
		if last >= 0 && uniseg.StringWidth(out[last])+1+uniseg.StringWidth(w) <= width {
			out[last] += " " + w
			continue
		}
		out = append(out, w)
	}
	return out
}

// widths returns how wide each column is.
func widths(grid [][][]string) []int {
	out := make([]int, len(grid[0]))
	for _, line := range grid {
		for n, cell := range line {
			for _, text := range cell {
				out[n] = max(out[n], uniseg.StringWidth(text))
			}
		}
	}
	return out
}

func widest(grid [][][]string) int {
	total := -gap
	for _, w := range widths(grid) {
		total += w + gap
	}
	return total
}

// columns prints a table.
func (t *matrixText) columns(grid [][][]string) {
	wide := widths(grid)
	for _, line := range grid {
		height := 1
		for _, cell := range line {
			height = max(height, len(cell))
		}
		for n := range height {
			text := ""
			for at, cell := range line {
				word := ""
				if n < len(cell) {
					word = cell[n]
				}
				text += word + strings.Repeat(" ", wide[at]-uniseg.StringWidth(word)+gap)
			}
			t.line(text)
		}
	}
}

func (t *matrixText) line(text string) { t.b.WriteString(strings.TrimRight(text, " ") + "\n") }

// list prints a line for each cell.
func (t *matrixText) list(width int) {
	grid := [][][]string{{{"FROM"}, {"TO"}, {"SERVICES"}}}
	rows, shown := t.Lines()
	for _, from := range rows {
		first, parts, left := from, 0, 0
		for _, to := range shown {
			c, is := t.cells[[2]string{from, to}]
			if !is {
				continue
			}
			if len(c.Services) == 0 {
				if parts++; parts > mostInPart {
					left++
					continue
				}
			}
			grid = append(grid, [][]string{{first}, {to}, words(c)})
			first = ""
		}
		if left > 0 {
			grid = append(grid, [][]string{{first}, {fmt.Sprintf("and %d more", left)},
				{"of some: --from, --to or -o csv"}})
		}
	}
	for n := range grid {
		for at, name := range grid[n][:2] {
			grid[n][at] = []string{shortened(name[0], width/3)}
		}
	}
	wide := widths(grid)
	for n := range grid[1:] {
		cell := &grid[n+1][2]
		*cell = wrapped(*cell, max(cellWidth, cmp.Or(width, plainWidth)-wide[0]-wide[1]-2*gap))
	}
	t.columns(grid)
}

// shortened cuts a name to a width; 0 = it is left as it is.
func shortened(name string, width int) string {
	if width == 0 || uniseg.StringWidth(name) <= width {
		return name
	}
	var b strings.Builder
	used := 1
	for g := uniseg.NewGraphemes(name); g.Next(); {
		if used += g.Width(); used > width {
			break
		}
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// notes tells of groups that the table says nothing of.
func (t *matrixText) notes(width int) {
	var empty, alone, none []string
	some := slices.ContainsFunc(t.Cells, func(c matrix.Row) bool { return len(c.Some) > 0 })
	for _, e := range t.Ends {
		switch {
		case e.Kind != matrix.Group:
		case e.Instances == 0:
			empty = append(empty, e.Name)
		case e.Rules == 0:
			none = append(none, e.Name)
		case e.Instances == 1:
			alone = append(alone, e.Name)
		}
	}
	if len(empty)+len(alone)+len(none) > 0 || some {
		t.b.WriteString("\n")
	}
	note := func(names []string, text string) {
		if len(names) > 0 {
			t.say(text+": "+someNames(names, width/3), width)
		}
	}
	note(empty, "no instance is in")
	note(none, "no rules, so egress is open and nothing is admitted")
	note(alone, "one member, so nobody within")
	if some {
		t.say("of some: not between all of their members; --instances with --from and --to lists "+
			"them one by one", width)
	}
}

// say writes a sentence, in lines that fit.
func (t *matrixText) say(text string, width int) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && uniseg.StringWidth(line+" "+word) > cmp.Or(width, plainWidth) {
			t.line(line)
			line = " "
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	t.line(line)
}

// someNames lists the first few names, each cut to a width; 0 = as they are.
func someNames(names []string, width int) string {
	const most = 8
	names = slices.Clone(names)
	for n, name := range names {
		names[n] = shortened(name, width)
	}
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and " +
		wording.Count(len(names)-most, "group") + " more"
}
