package flows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// No field of the settings or of the input can be left out where two are compared.
func TestEverySettingCounts(t *testing.T) {
	for name, s := range flowtest.Variants[policy.Site]() {
		require.False(t, s.Equal(policy.Site{}), name)
		require.False(t, policy.Site{}.Equal(s), name)
		require.True(t, s.Equal(s), name)
		require.False(t, flows.Input{Site: s}.Same(flows.Input{}), name)
	}
	for name, in := range flowtest.Variants[flows.Input]() {
		require.False(t, in.Same(flows.Input{}), name)
		require.False(t, flows.Input{}.Same(in), name)
	}
}
