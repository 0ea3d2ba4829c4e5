package policyfile

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/strictyaml"
)

func TestReferencePolicyHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(referencePolicy)
	require.NoError(t, err)
	_, warnings, err := Parse([]strictyaml.File{{Name: referencePolicy, Data: data}})
	require.NoError(t, err)
	require.Empty(t, warnings)
	for _, key := range slices.Concat(policyKeys, groupKeys, ruleKeys, instanceKeys, portKeys,
		allowedKeys, limitKeys) {
		require.Regexp(t, `(?m)(^|[ {])`+key+":", string(data))
	}
}
