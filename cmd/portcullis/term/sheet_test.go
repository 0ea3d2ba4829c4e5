package term

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ports is a sheet with n ports; the first is in trouble.
func ports(n int) Sheet {
	g := Grid{Of: "ports", Hint: "--all", Columns: []Column{{Title: "PORT"},
		{Title: "ADDRESSES", Flex: true, Drop: 2}, {Title: "DENIED", Right: true, Drop: 1},
		{Title: "REASON", Flex: true, IfAny: true}}}
	for i := range n {
		reason := ""
		if i == 0 {
			reason = "it is on bridge br-ex, not on br-int, where all the others are"
		}
		g.Rows = append(g.Rows, Row{Cells: []string{fmt.Sprintf("tap%d", i),
			fmt.Sprintf("203.0.113.%d 2001:db8::%d", i, i), fmt.Sprint(n - i), reason}})
	}
	return Sheet{Facts: []Fact{{Label: "state", Text: "degraded: " + strings.Repeat("why ", 40)},
		{Label: "bridge", Text: "br-int"}}, Grids: []Grid{g}}
}

func lines(s Sheet, size Size, look Look) []string {
	var out []string
	for _, l := range s.Fit(size, look) {
		out = append(out, l.Text)
	}
	return out
}

// What matters most is on the screen, and what has no room is counted.
func TestSheetFitsAScreen(t *testing.T) {
	got := lines(ports(200), Size{60, 12}, Look{})
	require.Len(t, got, 12)
	require.True(t, strings.HasPrefix(got[0], "state:   degraded: why why "))
	require.True(t, strings.HasPrefix(got[1], "         why why"), got[1])
	require.Equal(t, "PORT    ADDRESSES              DENIED  REASON", got[6])
	require.Equal(t, "tap0    203.0.113.0 2001:db8…     200  it is on bridge br-e…", got[7])
	require.Equal(t, "and 196 more ports: --all", got[11][:25])
	wide := lines(ports(200), Size{200, 300}, Look{})
	require.Len(t, wide, 2+2+200)
	require.Contains(t, wide[4], "203.0.113.0 2001:db8::0         200  it is on bridge br-ex, not on "+
		"br-int, where all the others are")
	require.Equal(t, lines(ports(3), Size{}, Look{}), strings.Split(strings.TrimSuffix(
		ports(3).Text(), "\n"), "\n"))
}

func TestSheetIsSortedAndFiltered(t *testing.T) {
	rows := func(look Look) (out []string) {
		for _, l := range lines(ports(12), Size{100, 40}, look)[5:] {
			out = append(out, strings.Fields(l)[0])
		}
		return out
	}
	require.Equal(t, []string{"tap0", "tap1", "tap10"}, rows(Look{Sort: "PORT"})[:3])
	require.Equal(t, "tap0", rows(Look{Sort: "DENIED"})[0], "numbers from the largest")
	require.Equal(t, []string{"tap1", "tap10", "tap11"}, rows(Look{Filter: "TAP1"}))
	require.Equal(t, "tap4", rows(Look{Skip: 4})[0])
	require.Equal(t, "tap11", rows(Look{Skip: 400})[0])
	titles := ports(1).titles()
	require.Equal(t, "PORT", next(titles, ""))
	require.Equal(t, "", next(titles, "REASON"), "behind the last it is as it was")
}

// Control characters of names and reasons do not reach the terminal.
func TestSheetIsText(t *testing.T) {
	s := Sheet{Facts: []Fact{{Label: "error", Text: "a\x1b[2Jb"}}, Grids: []Grid{{Columns: []Column{
		{Title: "PORT"}}, Rows: []Row{{Cells: []string{"tap\x1b]0;x\a\n"}}}}}}
	require.Equal(t, "error:  a?[2Jb\n\nPORT\ntap?]0;x?;\n", s.Text())
}

// Whatever there is to show: no line is wider than the screen, and there are not more of them.
func TestSheetsFitAnyScreen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab 界\u0301é\t\n")))
		var s Sheet
		for range rapid.IntRange(0, 5).Draw(t, "facts") {
			s.Facts = append(s.Facts, Fact{Label: text.Draw(t, "label"), Text: text.Draw(t, "text")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "grids") {
			g := Grid{Of: "rows", Empty: text.Draw(t, "empty"), Rest: rapid.IntRange(0, 9).Draw(t, "rest")}
			for range rapid.IntRange(1, 6).Draw(t, "columns") {
				g.Columns = append(g.Columns, Column{Title: text.Draw(t, "title"),
					Right: rapid.Bool().Draw(t, "right"), Flex: rapid.Bool().Draw(t, "flex"),
					Drop: rapid.IntRange(0, 3).Draw(t, "drop"), IfAny: rapid.Bool().Draw(t, "any")})
			}
			for range rapid.IntRange(0, 30).Draw(t, "rows") {
				r := Row{}
				for range g.Columns {
					r.Cells = append(r.Cells, text.Draw(t, "cell"))
				}
				g.Rows = append(g.Rows, r)
			}
			s.Grids = append(s.Grids, g)
		}
		size := Size{rapid.IntRange(1, 120).Draw(t, "width"), rapid.IntRange(1, 50).Draw(t, "height")}
		got := s.Fit(size, Look{Skip: rapid.IntRange(0, 40).Draw(t, "skip")})
		require.LessOrEqual(t, len(got), size.Height)
		for _, l := range got {
			require.LessOrEqual(t, textWidth(l.Text), size.Width, "%q", l.Text)
		}
	})
}
