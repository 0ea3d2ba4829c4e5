package flows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
)

// A switch that reads a second header cannot be trusted to tell one from two: it is told of no
// priority tags, and a change of that is compiled as all else is.
func TestInnerTagsKeepPriorityTagsOut(t *testing.T) {
	in := flowtest.Seed()
	var c flows.Compiler
	_, err := c.Update(in)
	require.NoError(t, err)
	require.Contains(t, c.Program().String(), "dl_vlan=0")
	for _, reads := range []bool{true, false} {
		in.InnerTags = reads
		_, err := c.Update(in)
		require.NoError(t, err)
		alone, err := flows.Compile(in)
		require.NoError(t, err)
		require.Equal(t, alone.String(), c.Program().String())
		if reads {
			require.NotContains(t, alone.String(), "dl_vlan")
		} else {
			require.Contains(t, alone.String(), "dl_vlan=0")
		}
	}
}
