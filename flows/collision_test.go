package flows_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

// prepared is what somebody who may name addresses and rules can prepare: 40 pairs of external
// sources whose flows have one hash, in a group that rules of ports here name, and 40 pairs of
// rules that have one, in a group of no port.
func prepared(in flows.Input) flows.Input {
	out := in
	out.Policy = &policy.Policy{Groups: slices.Clone(in.Policy.Groups), Instances: in.Policy.Instances}
	named, unused := *in.Policy.Groups[7], &policy.Group{Name: "prepared"}
	for _, pair := range flowtest.PreparedAddresses() {
		named.ExternalSources = append(named.ExternalSources, policytest.Nets(pair[0], pair[1])...)
	}
	for _, pair := range flowtest.PreparedRules(unused.Name, 40) {
		unused.Rules = append(unused.Rules, pair[0], pair[1])
	}
	out.Policy.Groups[7] = &named
	out.Policy.Groups = append(out.Policy.Groups, unused)
	return out
}

// Hashes that were prepared to be the same change nothing for others: another's change is the
// same flow mods, and nothing is compiled anew for it; nobody's cookie moves when they come or
// go.
func TestPreparedHashesTouchNobodyElse(t *testing.T) {
	in := cloud(20, 500, 20, 2)
	var plain, beside flows.Compiler
	_, err := plain.Update(in)
	require.NoError(t, err)
	_, err = beside.Update(in)
	require.NoError(t, err)
	bad, first := prepared(in), beside
	delta, err := beside.Update(bad)
	require.NoError(t, err)
	require.Empty(t, delta.Delete)
	require.Empty(t, delta.Replaced)
	requirePairs(t, beside.Program().Flows)

	want, err := plain.Update(memberAdded(in, 1))
	require.NoError(t, err)
	got, err := beside.Update(memberAdded(bad, 1))
	require.NoError(t, err)
	require.Equal(t, want, got)

	gone, err := beside.Update(memberAdded(in, 1))
	require.NoError(t, err)
	require.Empty(t, gone.Add)
	require.Len(t, gone.Delete, len(delta.Add))
	require.Equal(t, plain.Program().String(), beside.Program().String())
	require.True(t, flows.IsSameIndex(&first, &beside), "everything was compiled anew")
}

// requirePairs holds that the addresses do have one hash in pairs, as long as cookies are made as
// they are: one of each has the cookie that follows the other's.
func requirePairs(t *testing.T, list []openflow.Flow) {
	t.Helper()
	byMatch := map[string]uint64{}
	for _, f := range list {
		if f.Table == 52 && f.Priority == 300 {
			byMatch[f.Match.String()] = f.Cookie
		}
	}
	require.Len(t, flowtest.PreparedAddresses(), 40)
	for _, pair := range flowtest.PreparedAddresses() {
		a, b := byMatch["ip,nw_src="+pair[0]], byMatch["ip,nw_src="+pair[1]]
		require.NotZero(t, a)
		require.True(t, a == b+1 || b == a+1, "%s: %#x, %#x", pair, a, b)
	}
}

// What another's change costs beside 40 prepared pairs of addresses and 40 of rules, in turn with
// the same without them.
func BenchmarkChangeBesidePreparedHashes(b *testing.B) {
	in := cloud(200, 10_000, 100, 2)
	compilers, inputs := [2]flows.Compiler{}, [2]flows.Input{in, prepared(in)}
	for n := range compilers {
		_, err := compilers[n].Update(inputs[n])
		require.NoError(b, err)
	}
	var took [2][]time.Duration
	for n := 0; b.Loop(); n++ {
		for k := range 2 {
			next := memberAdded(inputs[k], n%200)
			began := time.Now()
			delta, err := compilers[k].Update(next)
			took[k] = append(took[k], time.Since(began))
			if err != nil || delta.Len() > 4 {
				b.Fatal(fmt.Sprint(delta), err)
			}
		}
	}
	for k := range took {
		slices.Sort(took[k])
	}
	b.ReportMetric(float64(took[1][len(took[1])/2])/float64(took[0][len(took[0])/2]), "times-without")
}
