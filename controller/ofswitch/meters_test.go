package ofswitch

import (
	"encoding/binary"
	"net"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// meterMods returns the meter mods of the last conversation, without their numbers.
func (r *recorder) meterMods() [][]byte {
	var out [][]byte
	for _, m := range r.await() {
		if m[1] == typeMeterMod {
			out = append(out, slices.Concat(m[:4], m[8:]))
		}
	}
	return out
}

// We tell meters as ovs-ofctl does, byte for byte, but all of them before one barrier.
func TestMetersAreWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	r := newRecorder(t, nil)
	add, change, gone := flows.Meter{ID: 7, Rate: 10, Burst: 20}, flows.Meter{ID: 199_999,
		Rate: 10_000_000, Burst: 1}, flows.Meter{ID: 3}
	require.NoError(t, PutMeters(within(t), r.target, flows.MeterDelta{Add: []flows.Meter{add},
		Change: []flows.Meter{change}, Delete: []flows.Meter{gone}}))
	require.Equal(t, []int{typeHello, typeMeterMod, typeBarrier}, r.kinds())
	ours := r.meterMods()
	var theirs [][]byte
	for _, words := range [][]string{{"add-meter", add.String()}, {"mod-meter", change.String()},
		{"del-meter", "meter=3"}} {
		out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", words[0], r.target,
			words[1]).CombinedOutput()
		require.NoError(t, err, "%s", out)
		theirs = append(theirs, r.meterMods()...)
	}
	require.Equal(t, theirs, ours)
}

// A refusal names the meter, wherever in the stream it is; what is refused for another reason than
// a meter names none.
func TestMetersThatAreRefused(t *testing.T) {
	var many flows.MeterDelta
	for id := range uint32(10_000) {
		many.Add = append(many.Add, flows.Meter{ID: id + 1, Rate: 1, Burst: 1})
	}
	for _, refused := range []uint32{1, 5000, 10_000} {
		r := newRecorder(t, func(conn net.Conn, m []byte) bool {
			// and all behind it
			if m[1] == typeMeterMod && binary.BigEndian.Uint32(m[12:]) >= refused {
				_, _ = conn.Write(refusal(m))
			}
			return false
		})
		err := PutMeters(within(t), r.target, many)
		var told *MeterRefusal
		require.ErrorAs(t, err, &told)
		require.Equal(t, refused, told.Meter.ID)
		require.ErrorAs(t, err, new(*RefusedError))
		requireRefused(t, 5, 9, told)
	}
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeBarrier {
			_, _ = conn.Write(refusal(m))
		}
		return false
	})
	requireRefused(t, 5, 9, PutMeters(within(t), r.target, many))
	require.ErrorContains(t, PutMeters(within(t), "unix:"+t.TempDir()+"/none", many),
		"no such file")
}

// answering is a switch that answers multipart requests by these parts.
func answering(t *testing.T, kind uint16, parts ...[]byte) string {
	return newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] != typeMultipartRequest {
			return false
		}
		for n, part := range parts {
			reply := binary.BigEndian.AppendUint16(openflow.AppendHeader(nil, typeMultipartReply,
				binary.BigEndian.Uint32(m[4:])), kind)
			reply = append(reply, 0, 0, 0, 0, 0, 0)
			if n < len(parts)-1 {
				reply[11] = 1 // more follow
			}
			_, _ = conn.Write(openflow.PutLength(append(reply, part...), 0))
		}
		return true
	}).target
}

func TestMetersInSeveralParts(t *testing.T) {
	one := []byte{0, 24, 0, ourMeter, 0, 0, 0, 7, 0, 1, 0, 16, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0}
	other := slices.Clone(one)
	other[7], other[3] = 8, 1 // kilobits
	bare := []byte{0, 8, 0, ourMeter, 0, 0, 0, 9}
	held, err := Meters(within(t), answering(t, multipartMeterConfig, one, slices.Concat(other,
		bare)))
	require.NoError(t, err)
	require.Equal(t, []flows.Meter{{ID: 7, Rate: 9, Burst: 8}, {ID: 8}, {ID: 9}}, held)
	for name, parts := range map[string][][]byte{
		"cut": {one[:23]}, "no length": {{0, 0, 0, 0, 0, 0, 0, 0}},
		"too long": {append([]byte{0, 25}, one[2:]...)}, "head": {one[:5]},
	} {
		_, err := Meters(within(t), answering(t, multipartMeterConfig, parts...))
		require.ErrorIs(t, err, errMeters, name)
	}
	_, err = Meters(within(t), answering(t, multipartMeterFeatures, one))
	require.ErrorIs(t, err, errAnswer, "another answer")
	_, err = MeterRoom(within(t), answering(t, multipartMeterFeatures, []byte{1, 2, 3}))
	require.ErrorIs(t, err, errMeters)
	room, err := MeterRoom(within(t), answering(t, multipartMeterFeatures, []byte{0, 3, 0x0d, 0x40,
		0, 0, 0, 0}))
	require.NoError(t, err)
	require.Equal(t, uint32(200_000), room)
	refusing := newRecorder(t, func(conn net.Conn, m []byte) bool {
		_, _ = conn.Write(refusal(m))
		return true
	})
	_, err = Meters(within(t), refusing.target)
	require.ErrorAs(t, err, new(*RefusedError))
	_, err = MeterRoom(within(t), "unix:"+t.TempDir()+"/none")
	require.ErrorContains(t, err, "no such file")
}
