package flows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// Where an instance is, and whether it moves, changes no byte of the program of a third host.
func TestAMoveChangesNoOtherHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		n := rapid.IntRange(0, len(w.Policy.Instances)-1).Draw(t, "moves")
		w.Policy.Instances[n].Host, w.Policy.Instances[n].MigratingTo = "one", ""
		program := func(host, to string) string {
			p := w.Policy.Clone()
			p.Instances[n].Host, p.Instances[n].MigratingTo = host, to
			in := flows.Input{Policy: p, Site: w.Site, LastMeter: flows.MaxMeter}
			for n, i := range p.Instances {
				if i.IsLocal(w.Site.Host) {
					in.Bindings = append(in.Bindings, flows.Binding{Port: i.Ports[0].Name,
						OFPort: uint32(n + 1), Zone: uint16(n + 1), Epoch: 1})
				}
			}
			out, err := flows.Compile(in)
			require.NoError(t, err)
			return out.String()
		}
		before := program("one", "")
		for _, place := range [][2]string{{"one", "two"}, {"two", ""}, {policy.Nowhere, ""}} {
			require.Equal(t, before, program(place[0], place[1]))
		}
	})
}
