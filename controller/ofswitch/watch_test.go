package ofswitch

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// update is struct ofp_flow_update_full of a flow that matches everything.
func update(event Event, table uint8, cookie uint64) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 32}, uint16(event))
	b = append(b, table, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, cookie)
	return append(b, 0, 1, 0, 4, 0, 0, 0, 0)
}

// updates is a reply with updates.
func updates(xid uint32, list ...[]byte) []byte {
	b := append(openflow.AppendHeader(nil, typeMultipartReply, xid), 0, 16, 0, 0, 0, 0, 0, 0)
	return openflow.PutLength(append(b, bytes.Join(list, nil)...), 0)
}

// Watch listens, and lends the connection to nobody.
func Watch(ctx context.Context, target string, begun func(), told func(Change)) error {
	return listen(ctx, target, begun, told, func(*conn) {})
}

// telling is a switch that answers a request to watch, tells some more, and ends the conversation.
func telling(t *testing.T, more ...[]byte) *recorder {
	return newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] != typeMultipartRequest {
			return false
		}
		_, _ = conn.Write(updates(binary.BigEndian.Uint32(m[4:])))
		for _, each := range more {
			_, _ = conn.Write(each)
		}
		_ = conn.Close()
		return true
	})
}

func TestWatchTellsEachChange(t *testing.T) {
	short := func(event byte) []byte { return []byte{0, 8, 0, event, 0, 0, 0, 0} }
	r := telling(t, updates(0, update(Added, 40, 5), update(Removed, 254, 1<<63)),
		openflow.PutLength(openflow.AppendHeader(nil, 99, 7), 0),
		updates(0, short(byte(Paused))), updates(0, short(byte(Resumed)), update(Modified, 7, 6),
			short(byte(Brief))))
	begun, told := 0, []Change{}
	err := Watch(within(t), r.target, func() { begun++ }, func(c Change) {
		require.Equal(t, 1, begun)
		told = append(told, c)
	})
	require.ErrorIs(t, err, errGone)
	require.Equal(t, []Change{{Added, 40, 5}, {Removed, 254, 1 << 63}, {Event: Paused},
		{Event: Resumed}, {Modified, 7, 6}, {Event: Brief}}, told)
}

func TestWatchRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, m := range map[string][]byte{
		"no body":       openflow.PutLength(openflow.AppendHeader(nil, typeMultipartReply, 0), 0),
		"half a head":   updates(0, []byte{0, 8}),
		"no length":     updates(0, []byte{0, 0, 0, 5, 0, 0, 0, 0}),
		"too long":      updates(0, []byte{0, 16, 0, 5, 0, 0, 0, 0}),
		"without flow":  updates(0, []byte{0, 8, 0, 1, 0, 0, 0, 0}),
		"half a flow":   updates(0, update(Modified, 1, 1)[:20]),
		"too short":     updates(0, append([]byte{0, 23}, update(Modified, 1, 1)[2:23]...)),
		"one byte over": updates(0, append(update(Added, 1, 1), 0)),
		"second broken": updates(0, update(Added, 1, 1), []byte{0, 16, 0, 1}),
	} {
		require.ErrorIs(t, Watch(within(t), telling(t, m).target, func() {}, func(Change) {}),
			errUpdate, name)
	}
	refusing := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeMultipartRequest {
			_, _ = conn.Write(refusal(m))
		}
		return false
	})
	never := func() { t.Error("not begun") }
	require.ErrorContains(t, Watch(within(t), refusing.target, never, nil), "error 5.9")
	require.ErrorContains(t, Watch(within(t), "unix:"+t.TempDir()+"/none", never, nil),
		"no such file")
	require.ErrorIs(t, Watch(within(t), "ssl:192.0.2.1:1", never, nil), errTarget)
}

func TestWatchEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	require.ErrorIs(t, Watch(ctx, newRecorder(t, func(_ net.Conn, m []byte) bool {
		if m[1] == typeMultipartRequest {
			cancel()
		}
		return true
	}).target, func() {}, nil), context.Canceled)
	require.ErrorIs(t, Watch(ctx, newRecorder(t, nil).target, func() {}, nil), context.Canceled)
}

// We ask as ovs-ofctl does, but that it wants its own changes told in full, too.
func TestWatchIsWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	asked := make(chan []byte, 2)
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeMultipartRequest {
			asked <- append(append([]byte(nil), m[:4]...), m[8:]...)
			_ = conn.Close()
		}
		return false
	})
	require.Error(t, Watch(within(t), r.target, func() {}, nil))
	require.Error(t, exec.Command("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "--unixctl=none",
		"monitor", r.target, "watch:!initial,!actions").Run())
	ours, theirs := <-asked, <-asked
	const flags, own = 25, 1 << 6
	theirs[flags] &^= own
	require.Equal(t, theirs, ours)
}

// Whatever a switch tells: an error, or changes.
func FuzzUpdates(f *testing.F) {
	f.Add(updates(0, update(Added, 40, 5), update(Removed, 254, 1<<63))[8:])
	f.Add([]byte{0, 16, 0, 0, 0, 0, 0, 0, 0, 8, 0, 5, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		for kind, by := range map[byte]monitor{typeMultipartReply: specified(),
			typeStatsReply10: old(), typeVendor10: old()} {
			m, n := append(make(message, headerSize), body...), 0
			m[1] = kind
			updates, ok := by.updates(m)
			if !ok {
				continue
			}
			err := by.eachChange(updates, func(Change) { n++ })
			require.LessOrEqual(t, n, len(body)/4)
			if err == nil {
				require.GreaterOrEqual(t, len(body), 8)
			}
		}
	})
}
