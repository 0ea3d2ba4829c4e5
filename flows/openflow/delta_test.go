package openflow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/openflow"
)

// drawTable draws which of a few flows a switch has, and what each of them does.
func drawTable(t *rapid.T) []openflow.Flow {
	var out []openflow.Flow
	for n := range 6 {
		if what := rapid.IntRange(0, 3).Draw(t, "does"); what > 0 {
			out = append(out, openflow.Parse(fmt.Sprintf("reg1=%#x", n+1), fmt.Sprintf("output:%d", what)))
		}
	}
	return out
}

// has returns flows by their keys.
func has(flows []openflow.Flow) map[openflow.Key]openflow.Flow {
	out := map[openflow.Key]openflow.Flow{}
	for _, f := range flows {
		out[f.Key()] = f
	}
	return out
}

// afterwards is what is there when a delta was applied.
func afterwards(before []openflow.Flow, d openflow.Delta) map[openflow.Key]openflow.Flow {
	out := has(before)
	for _, f := range d.Delete {
		delete(out, f.Key())
	}
	for _, f := range d.Add {
		out[f.Key()] = f
	}
	return out
}

// Deltas turn one table into another, also where they are split, and two are one.
func TestDeltas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second, third := drawTable(t), drawTable(t), drawTable(t)
		d, next := openflow.Diff(second, first), openflow.Diff(third, second)
		require.Equal(t, has(second), afterwards(first, d))
		require.Equal(t, fmt.Sprint(openflow.Diff(third, first)), fmt.Sprint(d.Then(next)))

		fits := func(f openflow.Flow) bool { return f.Match.String() < "reg1=0x4" }
		part, rest := d.Without(fits)
		for n, some := range [][]openflow.Flow{part.Add, rest.Add} {
			for _, f := range some {
				require.Equal(t, n == 1, fits(f))
			}
		}
		require.Len(t, d.Add, len(part.Add)+len(rest.Add))
		require.Equal(t, d.Delete, part.Delete)

		take, put := d.Deleting()
		for _, f := range take.Delete {
			require.NotContains(t, second, f, "what stays is not deleted")
		}
		require.Empty(t, take.Add)
		require.Equal(t, has(second), afterwards(afterList(first, take), put))
	})
}

func afterList(before []openflow.Flow, d openflow.Delta) []openflow.Flow {
	var out []openflow.Flow
	for _, f := range afterwards(before, d) {
		out = append(out, f)
	}
	return out
}
