package console

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// The names of services that the console's filters know are those of policies, and mean the same.
func TestServicesAreThoseOfPolicies(t *testing.T) {
	text, err := os.ReadFile("web/src/picture/services.json")
	require.NoError(t, err)
	var got map[string][]string
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, policy.ServiceWords(), got, "web/src/picture/services.json")
}
