package ofswitch

import (
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

func TestBundleText(t *testing.T) {
	delta := openflow.Delta{
		Delete: []openflow.Flow{{Table: 40, Priority: 100, Actions: openflow.ParseActions("drop"), Cookie: 5}, {Table: 0, Priority: 7, Match: openflow.ParseMatch("in_port=LOCAL"), Actions: openflow.ParseActions("drop")}},
		Add:    []openflow.Flow{{Table: 52, Priority: 300, Match: openflow.ParseMatch("ip,nw_src=10.0.0.1"), Actions: openflow.ParseActions("conjunction(1,2/3)"), Cookie: 0x5043000000000001}, {Actions: openflow.ParseActions("drop")}},
	}
	want := "delete_strict table=40, priority=100\n" +
		"delete_strict table=0, priority=7,in_port=LOCAL\n" +
		"add cookie=0x5043000000000001, table=52, priority=300,ip,nw_src=10.0.0.1 actions=conjunction(1,2/3)\n" +
		"add cookie=0x0, table=0, priority=0 actions=drop\n"
	require.NoError(t, iotest.TestReader(&bundle{delta: delta}, []byte(want)))
	text, err := io.ReadAll(iotest.OneByteReader(&bundle{delta: delta}))
	require.NoError(t, err)
	require.Equal(t, want, string(text))
	require.NoError(t, iotest.TestReader(&bundle{}, nil))
}

// What a bundle needs of memory does not grow with it.
func TestBundleIsNotHeldInMemory(t *testing.T) {
	delta := openflow.Delta{Add: make([]openflow.Flow, 10_000)}
	for i := range delta.Add {
		delta.Add[i] = openflow.Flow{Table: 52, Priority: 300, Match: openflow.ParseMatch("ip,nw_src=10.0.0.1"), Actions: openflow.ParseActions("conjunction(1,2/3)"), Cookie: uint64(i)}
	}
	buffer := make([]byte, 32<<10)
	require.Less(t, testing.AllocsPerRun(3, func() {
		for b := (&bundle{delta: delta}); ; {
			if _, err := b.Read(buffer); err != nil {
				require.ErrorIs(t, err, io.EOF)
				return
			}
		}
	}), 20.0)
}

func TestExplainNamesTheLine(t *testing.T) {
	delta := openflow.Delta{Delete: []openflow.Flow{{Table: 1, Match: openflow.ParseMatch("ip")}}, Add: []openflow.Flow{{Table: 2, Actions: openflow.ParseActions("drop")}}}
	said := func(text string) error { return explain(&commandError{said: text, err: io.ErrUnexpectedEOF}, delta) }
	var rejected *RejectedError
	err := said("ovs-ofctl: -:2: unknown table \"300\"")
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, delta.Add[0], rejected.Flow)
	err = said("ovs-ofctl: -:1: bad match")
	require.NotErrorAs(t, err, &rejected, "nothing wanted is to blame")
	require.ErrorContains(t, err, "delete cookie=0x0, table=1, priority=0,ip")
	err = said("Error OFPBFC_OUT_OF_BUNDLES for: OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x8):\n bundle_id=0x1 type=OPEN_REQUEST flags=atomic ordered")
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, &RejectedError{Reason: "OFPBFC_OUT_OF_BUNDLES"}, rejected, "the bundle as a whole")
	require.EqualError(t, rejected, "the switch refuses the bundle: OFPBFC_OUT_OF_BUNDLES")
	for _, line := range []string{"0", "3"} {
		err = said("ovs-ofctl: -:" + line + ": odd")
		require.NotErrorAs(t, err, &rejected)
		require.ErrorContains(t, err, "odd")
	}
}
