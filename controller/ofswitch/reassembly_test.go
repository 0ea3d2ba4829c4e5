package ofswitch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
)

// The userspace datapath holds 1,000 fragments by itself, and 5,000 when it was told; what somebody
// has set lower by hand is raised again.
func TestRoomForFragments(t *testing.T) {
	vs, _ := start(t)
	sw := ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge), DatapathType: "dummy"})
	for _, before := range []uint64{1000, 7} {
		r, err := sw.Reassembly(within(t))
		require.NoError(t, err)
		require.Equal(t, ofswitch.Reassembly{Limit: before}, r)
		for range 2 {
			require.NoError(t, sw.MakeRoom(within(t)))
			r, err = sw.Reassembly(within(t))
			require.NoError(t, err)
			require.Equal(t, ofswitch.Reassembly{Limit: 5000}, r)
		}
		vs.Appctl("dpctl/ipf-set-max-nfrags", "dummy@ovs-dummy", "7")
	}
	vs.StopVswitchd()
	require.Error(t, sw.MakeRoom(within(t)))
	_, err := sw.Reassembly(within(t))
	require.Error(t, err)
	// Of the kernel it is read what there is.
	r, err := ofswitch.New(ofswitch.Options{}).Reassembly(within(t))
	require.NoError(t, err)
	require.NotZero(t, r.Limit)
}
