package console

import (
	"encoding/json"
	"os"
	"strings"
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
	want := map[string][]string{}
	for _, n := range policy.NamedServices() {
		for _, name := range append([]string{n.Name}, n.Also...) {
			for _, service := range n.Services {
				word := service.String()
				if service.ICMPType != policy.AnyICMP {
					word = strings.TrimSuffix(word, "/0") // any code
				}
				want[name] = append(want[name], word)
			}
		}
	}
	require.Equal(t, want, got, "web/src/picture/services.json")
}
