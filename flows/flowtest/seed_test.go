package flowtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
)

// What the compiler makes of the smallest input is understood and clean.
func TestCompiledProgramIsUnderstood(t *testing.T) {
	p, err := flows.Compile(seed())
	require.NoError(t, err)
	require.NoError(t, flowtest.Lint(p.Flows, flowtest.Edge{From: 51, To: 32}))
	_, err = flowtest.New(p.Flows)
	require.NoError(t, err)
}
