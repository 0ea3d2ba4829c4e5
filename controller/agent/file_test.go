package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/agenttest"
)

func TestFileIsAPolicy(t *testing.T) {
	pol, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "p",
		Data: []byte(agenttest.File("a: 80 443", "b:", "far-c: 22"))}})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, pol.Groups, 3)
	require.Equal(t, "hv2", pol.Instances[2].Host)
}
