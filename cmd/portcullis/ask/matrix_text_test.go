package ask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/matrix"
)

// On a terminal no line is wider than it, whatever names and services there are; each service of
// all members is told.
func TestMatrixFitsATerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &matrix.Answer{}
		for n := range rapid.IntRange(1, 20).Draw(t, "groups") {
			name := fmt.Sprint(n, rapid.SampledFrom([]string{"", "-database", "数据库服务器",
				strings.Repeat("-long", 40)}).Draw(t, "name"))
			a.Ends = append(a.Ends, matrix.End{Name: name, Kind: matrix.Group,
				Instances: rapid.IntRange(0, 2).Draw(t, "instances"), Rules: n % 2})
		}
		services := []string{"tcp/80 (IPv4)", "tcp/8000-8999", "udp/53", "icmp/8", "any"}
		for _, from := range a.Ends {
			for _, to := range a.Ends {
				if n := rapid.IntRange(-10, 5).Draw(t, "services"); n > 0 {
					a.Cells = append(a.Cells, matrix.Row{From: from.Name, To: to.Name,
						Services: services[:n], Some: services[n:]})
				}
			}
		}
		width := rapid.SampledFrom([]int{80, 120, 200}).Draw(t, "width")
		text := textOf(a, width)
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, uniseg.StringWidth(strings.TrimSuffix(line, "\n")), width, "%s", text)
		}
		for _, c := range a.Cells {
			for _, s := range c.Services {
				require.Contains(t, text, strings.Fields(s)[0])
			}
		}
	})
}
