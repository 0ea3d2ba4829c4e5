package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// docs/README.md follows one rule from the example policy to the flows: what it quotes must be there.
func TestFollowOneRule(t *testing.T) {
	page, err := os.ReadFile("../../docs/README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("../../docs/examples/policy.yaml")
	require.NoError(t, err)
	quotedRule := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, quotedRule)
	require.Contains(t, string(example), string(quotedRule[1]))

	settings, err := config.LoadSettings("../../docs/examples/portcullis.yaml")
	require.NoError(t, err)
	p, _, err := config.LoadPolicy(settings.Policy)
	require.NoError(t, err)
	in := flows.Input{Policy: p, Site: policy.Site{Host: "any"}}
	for i, instance := range p.Instances {
		in.Bindings = append(in.Bindings, flows.Binding{Port: instance.Ports[0].Name, OFPort: uint32(i + 1), Zone: uint16(i + 1), Epoch: 1})
	}
	program, err := flows.Compile(in)
	require.NoError(t, err)
	quoted := 0
	for _, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "cookie=") {
			quoted++
			require.Contains(t, program.String(), line+"\n")
		}
	}
	require.Equal(t, 2, quoted)
}
