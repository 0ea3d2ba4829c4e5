package flows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/attribution"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policytest"
)

// rawWords is what a sentence must not have: text of the flow that was not understood.
var rawWords = []string{"->", "does ", "sets ", "%!", "none of ours", "of no port",
	"none that we know", "which the policy does not have", "NXM", "=", "  ", ": .", ":  "}

// Every flow of every program has a sentence that is words, and names each rule and each port that
// the flow has.
func TestEveryFlowHasItsOrigin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		if rapid.Bool().Draw(t, "limited") {
			in.Site.OutsideFragments = 5
			in.Site.Limits, in.LastMeter = policy.Limits{Connections: 9, NewConnections: 8, ARPNDDHCP: 7,
				Fragments: 6}, flows.MaxMeter
		}
		c := flows.NewNarrow(flows.Narrow{Bits: 48, Pages: 1000,
			Clauses: rapid.SampledFrom([]int{1, 4000}).Draw(t, "clauses"),
			List:    rapid.SampledFrom([]int{3, 4000}).Draw(t, "outputs")})
		_, err := c.Update(in)
		require.NoError(t, err)
		p := c.Program()
		require.Empty(t, p.LeftOut)
		reader := attribution.New(in, c)
		for _, f := range p.Flows {
			o := reader.Read(f)
			for _, raw := range rawWords {
				require.NotContains(t, o.Sentence, raw, f.String())
			}
			require.Contains(t, o.Sentence, fmt.Sprintf("Table %d, %s: ", f.Table, o.Table))
			require.NotEmpty(t, o.Purpose)
			require.NotEmpty(t, o.Of)
			require.Equal(t, rulesIn(f), rulesNamed(o), "%s\n%s", f, o.Sentence)
			for _, b := range in.Bindings {
				zone := strings.Contains(f.String()+",", fmt.Sprintf("reg1=0x%x,", b.Zone)) ||
					strings.Contains(f.Match.String()+",", fmt.Sprintf("reg1=0x%x,", b.Zone)) ||
					strings.Contains(f.Actions.String(), fmt.Sprintf("set_field:0x%x->reg1", b.Zone))
				number := strings.Contains(f.Match.String()+",", fmt.Sprintf("in_port=%d,", b.OFPort)) ||
					strings.Contains(f.Actions.String()+",", fmt.Sprintf("output:%d,", b.OFPort))
				if zone || number {
					require.Contains(t, o.Ports, b.Port, "%s\n%s", f, o.Sentence)
					require.Contains(t, o.Sentence, b.Port)
				}
			}
			require.Equal(t, strings.HasSuffix(f.Actions.String(), "drop"),
				strings.HasSuffix(o.Sentence, "dropped."), o.Sentence)
		}
	})
}

// rulesIn returns the ids in a flow's text, found in another way.
func rulesIn(f openflow.Flow) []uint32 {
	ids := []uint32{}
	for _, a := range strings.Split(strings.ReplaceAll(f.Actions.String(), "conjunction(", "\n"),
		"\n")[1:] {
		var id uint32
		_, _ = fmt.Sscanf(a, "%d,", &id)
		ids = append(ids, id)
	}
	if _, text, ok := strings.Cut(f.Actions.String(), "set_field:0x1/0x1->reg0,set_field:"); ok {
		var id uint32
		if _, _ = fmt.Sscanf(text, "0x%x->reg3", &id); id != flows.RuleOpen {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func rulesNamed(o attribution.Origin) []uint32 {
	ids := []uint32{}
	for _, r := range o.Rules {
		if r.Group != "" {
			ids = append(ids, r.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
