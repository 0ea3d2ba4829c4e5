package flows_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// readFlows makes a flow of each line "table priority match | actions | cookie"; what is not one is
// left out, and of two flows of one key the later stays, as in a switch.
func readFlows(text string) []openflow.Flow {
	held := map[openflow.Key]openflow.Flow{}
	for _, line := range strings.Split(text, "\n") {
		part := strings.Split(line, "|")
		if len(line) < 2 || len(part) != 3 {
			continue
		}
		f := openflow.Flow{Table: line[0], Priority: uint16(line[1]),
			Match:   openflow.ParseMatch(part[0][min(2, len(part[0])):]),
			Actions: openflow.ParseActions(part[1]), Cookie: uint64(len(part[2]))}
		held[f.Key()] = f
	}
	out := make([]openflow.Flow, 0, len(held))
	for _, f := range held {
		out = append(out, f)
	}
	return out
}

// What Diff says turns any flows into any others, whatever their texts.
func FuzzDiff(f *testing.F) {
	f.Add("", "")
	f.Add("\x00\x01ip|drop|c", "\x00\x01ip|drop|cc")
	f.Add("ab|output:1|\nac|drop|x", "ab|output:2|\n\xff\xff|drop|")
	f.Fuzz(func(t *testing.T, have, want string) {
		a, b := readFlows(have), readFlows(want)
		held := map[openflow.Key]openflow.Flow{}
		for _, f := range a {
			held[f.Key()] = f
		}
		d := openflow.Diff(b, a)
		for _, f := range d.Delete {
			require.Equal(t, f, held[f.Key()], "only what is there is deleted")
			delete(held, f.Key())
		}
		for _, f := range d.Add {
			old, isThere := held[f.Key()]
			require.False(t, isThere && old == f, "what is there is not sent again: %v", f)
			held[f.Key()] = f
		}
		require.Len(t, held, len(b))
		for _, f := range b {
			require.Equal(t, f, held[f.Key()])
		}
		require.True(t, openflow.Diff(b, b).Empty())
	})
}
