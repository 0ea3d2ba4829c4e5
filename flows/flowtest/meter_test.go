package flowtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// metered passes everything from port 1 to table 1 by meter 7, which sends a copy to 2 and
// everything to 3.
func metered() []openflow.Flow {
	return []openflow.Flow{
		{Table: 0, Priority: 1, Match: openflow.ParseMatch("in_port=1"),
			Actions: openflow.ParseActions("resubmit(,1),output:3")},
		{Table: 1, Priority: 1, Actions: openflow.ParseActions("meter:7,output:2")},
		{Table: 0, Priority: 0, Actions: openflow.ParseActions("drop")},
		{Table: 1, Priority: 0, Actions: openflow.ParseActions("drop")},
	}
}

func TestMeter(t *testing.T) {
	s, err := New(metered())
	require.NoError(t, err)
	p := Packet{InPort: 1, EtherType: 0x88b5}
	r, err := s.Forward(p)
	require.NoError(t, err)
	require.Equal(t, []uint32{2, 3}, r.Outputs)
	require.Equal(t, []uint32{7}, r.Meters)
	s.Exhaust(8)
	r, err = s.Forward(p)
	require.NoError(t, err)
	require.Equal(t, []uint32{2, 3}, r.Outputs)
	s.Exhaust(7)
	r, err = s.Forward(p)
	require.NoError(t, err)
	require.Empty(t, r.Outputs, "a drop ends all that comes after it, in the tables before too")
	s.Exhaust()
	r, err = s.Forward(p)
	require.NoError(t, err)
	require.Equal(t, []uint32{2, 3}, r.Outputs)
}

// What a meter drops within a copy is the copy alone.
func TestMeterInACopy(t *testing.T) {
	fs := metered()
	fs[0].Actions = openflow.ParseActions("clone(resubmit(,1)),output:3")
	s, err := New(fs)
	require.NoError(t, err)
	s.Exhaust(7)
	r, err := s.Forward(Packet{InPort: 1, EtherType: 0x88b5})
	require.NoError(t, err)
	require.Equal(t, []uint32{3}, r.Outputs)
}

func TestMeterRefused(t *testing.T) {
	for _, actions := range []string{"output:2,meter:7", "meter:0", "meter:x", "meter:4294967296",
		"clone(meter:7,output:2)", "meter:07,output:2",
		"meter:7,meter:8,output:2"} {
		t.Run(actions, func(t *testing.T) {
			_, err := New([]openflow.Flow{{Table: 0, Priority: 1, Actions: openflow.ParseActions(actions)}})
			require.Error(t, err)
		})
	}
}
