package ask

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What a question costs in the daemon, from its words to the text of the answer, where the policy
// was looked up before.
func BenchmarkExplain(b *testing.B) {
	for _, size := range []policytest.FleetSize{policytest.SmallFleet, policytest.LargeFleet} {
		r := explain.Read(policytest.Fleet(size))
		for name, q := range map[string]api.Question{
			"one":        {From: "vm-1", To: "vm-250", Service: "tcp/80"},
			"from-any":   {From: "any", To: "vm-250", Service: "tcp"},
			"to-any":     {From: "vm-250", To: "any", Service: "tcp"},
			"from-group": {From: "group-001", To: "vm-250", Service: "tcp/80"},
		} {
			for _, form := range []api.Form{api.AsText, api.AsJSON} {
				q.Form = form
				b.Run(fmt.Sprintf("%s%s/%d", name, form, size.Instances), func(b *testing.B) {
					for b.Loop() {
						text, _, err := Explain(r, q)
						require.NoError(b, err)
						require.NotEmpty(b, text)
					}
				})
			}
		}
	}
}
