package ofswitch

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// statistics are what `dump-flows` prints of a flow without --no-stats.
var statistics = regexp.MustCompile(` (?:duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]*,`)

// ReadDump reads the flows of the pipeline's tables from text: what `ovs-ofctl -O OpenFlow15 dump-flows` printed, with or without
// statistics, or `portcullis flows`. Comments and the line that ovs-ofctl prints in front are passed over. The error names the line.
func ReadDump(r io.Reader) ([]openflow.Flow, error) {
	s := New(Options{})
	var held []openflow.Flow
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \r")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "OFPST_FLOW reply") || strings.HasPrefix(line, "NXST_FLOW reply") {
			continue
		}
		f, err := parseFlow(statistics.ReplaceAllString(" "+line, ""))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %q", number, err, line)
		}
		if s.tables[f.Table] {
			held = append(held, f)
		}
	}
	return held, lines.Err()
}

// maxLine is longer than any flow: OpenFlow bounds its actions by 64 KiB.
const maxLine = 1 << 20
