package openflow_test

import (
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// describe is what a switch says of a flow that it was given by a flow mod, with these statistics.
func describe(t testing.TB, f openflow.Flow, stats ...byte) []byte {
	const cookieAt, matchAt = 8, 48
	mod, err := openflow.AppendFlowMod(nil, 0, openflow.Add, f)
	require.NoError(t, err)
	match := mod[matchAt:]
	length := (int(binary.BigEndian.Uint16(match[2:])) + 7) &^ 7
	b := []byte{0, 0, 0, 0, f.Table, 0, byte(f.Priority >> 8), byte(f.Priority), 0, 0, 0, 0, 0, 0, 0, 0}
	b = append(append(b, mod[cookieAt:cookieAt+8]...), match[:length]...)
	b = append(binary.BigEndian.AppendUint16(append(b, 0, 0), uint16(4+len(stats))), stats...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b = append(b, match[length:]...)
	binary.BigEndian.PutUint16(b, uint16(len(b)))
	return b
}

// Every flow of a program is read as what it is; a list of actions is kept once.
func TestDescriptionOfAProgram(t *testing.T) {
	var b []byte
	want := compiled(t)
	for _, f := range want {
		b = append(b, describe(t, f)...)
	}
	var r openflow.Reader
	lists := map[openflow.Actions]*byte{}
	for _, f := range want {
		var d openflow.Description
		var err error
		d, b, err = openflow.CutDescription(b)
		require.NoError(t, err)
		require.Equal(t, f.Table, d.Table())
		got, ok := r.Flow(d)
		require.True(t, ok, f)
		require.Equal(t, f, got)
		at, seen := lists[got.Actions]
		if !seen {
			at = unsafe.StringData(got.Actions.Compact())
			lists[got.Actions] = at
		}
		require.Same(t, at, unsafe.StringData(got.Actions.Compact()))
	}
	require.Empty(t, b)
	require.Less(t, len(lists), len(want)/2)
}

func TestDescriptionCounts(t *testing.T) {
	var r openflow.Reader
	f := openflow.Parse("ip", "drop")
	d := openflow.Description(describe(t, f,
		0x80, 2, 0, 8, 0, 0, 0, 3, 0, 0, 0, 5, // 3 s and 5 ns
		0x80, 2, 1<<1, 8, 0, 0, 0, 9, 0, 0, 0, 9, // idle
		0x80, 2, 4<<1, 8, 0, 0, 0, 0, 0, 0, 1, 2,
		0x80, 2, 5<<1, 8, 0xff, 0, 0, 0, 0, 0, 0, 3,
		0x12, 34, 4<<1, 8, 1, 1, 1, 1, 1, 1, 1, 1, // another class
		0x80, 2, 4<<1, 4, 7, 7, 7, 7)) // and size
	got, err := d.Counts()
	require.NoError(t, err)
	require.Equal(t, openflow.Counts{Packets: 0x102, Bytes: 0xff<<56 + 3,
		Age: 3*time.Second + 5}, got)
	held, ok := r.Flow(d)
	require.True(t, ok)
	require.Equal(t, f, held)
	for _, stats := range [][]byte{{0x80, 2, 0}, {0x80, 2, 0, 8, 0, 0, 0}} {
		_, err := openflow.Description(describe(t, f, stats...)).Counts()
		require.ErrorIs(t, err, openflow.ErrDescription)
	}
}

// What no flow of a program has is not taken for what one has.
func TestDescriptionOfOthers(t *testing.T) {
	whole := func() []byte {
		return describe(t, openflow.Parse("ip,reg1=0x7", "set_field:0x7->reg1,resubmit(,40)"))
	}
	var r openflow.Reader
	_, ok := r.Flow(whole())
	require.True(t, ok)
	const match, actions = 24, 56
	for name, change := range map[string]func([]byte){
		"idle":            func(b []byte) { b[9] = 1 },
		"hard":            func(b []byte) { b[11] = 1 },
		"flags":           func(b []byte) { b[13] = 1 },
		"importance":      func(b []byte) { b[14] = 1 },
		"field":           func(b []byte) { b[match+6] = 99 << 1 },
		"field too long":  func(b []byte) { b[match+7] = 200 },
		"match too long":  func(b []byte) { b[match+2] = 1 },
		"match too short": func(b []byte) { b[match+3] = 3 },
		"instruction":     func(b []byte) { b[actions+1] = 3 },
		"action":          func(b []byte) { b[actions+9] = 99 },
		"action of none":  func(b []byte) { b[actions+11] = 0 },
		"value of a tail": func(b []byte) { b[len(b)-1] = 1 },
	} {
		b := whole()
		change(b)
		_, ok := r.Flow(b)
		require.False(t, ok, name)
	}
}

func TestCutDescriptionRefuses(t *testing.T) {
	whole := describe(t, openflow.Parse("ip", "drop"))
	for n := range whole {
		_, _, err := openflow.CutDescription(whole[:n])
		require.ErrorIs(t, err, openflow.ErrDescription, n)
	}
	whole[1] = 8
	_, _, err := openflow.CutDescription(whole)
	require.ErrorIs(t, err, openflow.ErrDescription)
}

// Whatever a switch describes: an error, or flows; those that are known can be sent, and are then
// described as they were, but for the order of fields and the pairs of registers.
func FuzzDescription(f *testing.F) {
	for _, flow := range compiled(f) {
		f.Add(describe(f, flow))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r openflow.Reader
		for len(b) > 0 {
			d, rest, err := openflow.CutDescription(b)
			if err != nil {
				return
			}
			require.Less(t, len(rest), len(b))
			_, _ = d.Counts()
			if flow, ok := r.Flow(d); ok {
				again, ok := r.Flow(describe(t, flow))
				require.True(t, ok)
				require.Equal(t, flow, again)
				require.NotEmpty(t, flow.String())
			}
			b = rest
		}
	})
}

// What the daemon itself does of a read-back.
func BenchmarkReader(b *testing.B) {
	var text []byte
	list := compiled(b)
	for _, f := range list {
		text = append(text, describe(b, f)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		var r openflow.Reader
		for rest := text; len(rest) > 0; {
			var d openflow.Description
			d, rest, _ = openflow.CutDescription(rest)
			if _, ok := r.Flow(d); !ok {
				b.Fatal("not known")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/flow")
}
