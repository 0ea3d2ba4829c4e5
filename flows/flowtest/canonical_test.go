package flowtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/trace"
)

// What the fake takes for canonical a real switch prints just so.
func TestSwitchPrintsWhatIsUnderstood(t *testing.T) {
	b := realBridge(t)
	var fs []openflow.Flow
	for i, m := range understoodMatches {
		fs = append(fs, openflow.Flow{Table: 1, Priority: uint16(i), Match: openflow.ParseMatch(m),
			Actions: openflow.ParseActions("drop")})
	}
	for i, a := range understoodActions {
		fs = append(fs, openflow.Flow{Table: 2, Priority: uint16(i), Match: openflow.ParseMatch(a[0]),
			Actions: openflow.ParseActions(a[1])})
	}
	require.NoError(t, b.Install(t.Context(), fs))
	have, err := b.Dump(t.Context())
	require.NoError(t, err)
	require.Equal(t, openflow.Delta{}, openflow.Diff(fs, have))
}

// What the fake refuses a real switch refuses too, or prints in another way; or else the refusal
// says that it is beyond the fake.
func TestSwitchDoesNotPrintWhatIsRefused(t *testing.T) {
	b := realBridge(t)
	refused := [][3]string{}
	for match, why := range refusedMatches {
		refused = append(refused, [3]string{match, "drop", why})
	}
	stricter := []string{"ct_state=+snat", "ct_state=new|trk", "in_port=LOCAL", "resubmit(1,1)",
		"push:NXM_NX_CT_NW_SRC[]",
		"CONTROLLER:128", "meter:1,CONTROLLER:128,output:1"}
	beyond := []string{"unknown", "number of a port", "conj_id=0", "and code 0", "not understood",
		"id 0", "twice", "cannot be written"}
	for _, r := range append(refused, refusedActions...) {
		f := openflow.Flow{Table: 1, Priority: 5, Match: openflow.ParseMatch(r[0]),
			Actions: openflow.ParseActions(r[1])}
		if err := b.Install(t.Context(), []openflow.Flow{f}); err != nil {
			continue
		}
		have, err := b.Dump(t.Context())
		require.NoError(t, err)
		if slices.Contains(stricter, r[0]) || slices.Contains(stricter, r[1]) {
			continue
		}
		if slices.Contains(have, f) &&
			!slices.ContainsFunc(beyond, func(s string) bool { return strings.Contains(r[2], s) }) {
			t.Errorf("the switch prints %s; the fake refuses it: %s", f, r[2])
		}
	}
}

func realBridge(t *testing.T) *trace.Bridge {
	b, _ := trace.Start(t, 0)
	return b
}
