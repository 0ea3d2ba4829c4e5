package example

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/integration/testnet"
)

// What is seen beside what is expected, for people. The demonstrations print it.

// PrintLegend says what the signs of tables stand for.
func PrintLegend(out io.Writer) {
	var legend []string
	for _, l := range Letters() {
		legend = append(legend, l.Sign+" "+l.Name)
	}
	fmt.Fprintf(out, "Who (row) reaches whom (column): %s; - nothing, . no way through the switch.\n",
		strings.Join(legend, ", "))
}

// PrintTables prints two tables side by side and says whether they are equal; a cell that differs
// is marked.
func PrintTables(out io.Writer, f testnet.Family, want, got Table) bool {
	line := func(name string, cells []string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-9s", name)
		for _, c := range cells {
			fmt.Fprintf(&b, "%-7s", c)
		}
		return b.String()
	}
	heads := make([]string, len(want.Hosts))
	for i, h := range want.Hosts {
		heads[i] = h[:min(len(h), 6)]
	}
	equal := true
	fmt.Fprintf(out, "\n%s\n%s| %s\n", f, line("expected", heads),
		strings.TrimSpace(line("seen", heads)))
	for i, host := range want.Hosts {
		cells := slices.Clone(got.Cells[i])
		for j := range cells {
			if cells[j] != want.Cells[i][j] {
				cells[j], equal = cells[j]+"!", false
			}
		}
		fmt.Fprintf(out, "%s| %s\n", line(host, want.Cells[i]), strings.TrimSpace(line(host, cells)))
	}
	return equal
}
