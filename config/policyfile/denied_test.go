package policyfile

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

func TestPortLogDenied(t *testing.T) {
	for text, want := range map[string]policy.Choice{"": policy.Unset,
		"log_denied: true": policy.Yes, "log_denied: false": policy.No} {
		p, _, err := Parse([]strictyaml.File{{Name: "p.yaml",
			Data: []byte(portBefore + text + "}]}]")}})
		require.NoError(t, err, text)
		require.Equal(t, want, p.Instances[0].Ports[0].LogDenied, text)
	}
	for yaml, want := range map[string]string{
		"log_denied: §maybe":                "must be true or false",
		"trusted: true, log_denied: §true":  "nothing is denied at a trusted port",
		"log_denied: §false, trusted: true": "nothing is denied at a trusted port",
	} {
		text, at := configtest.Marked("p.yaml", portBefore+yaml+"}]}]")
		_, _, err := Parse([]strictyaml.File{{Name: "p.yaml", Data: []byte(text)}})
		configtest.RequireErrors(t, err, at, []string{"instances[0].ports[0].log_denied: " + want})
	}
}
