package openflow_test

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// recorder is a switch that takes the bundles of ovs-ofctl, and remembers their flow mods.
type recorder struct {
	target   string
	received chan [][]byte // the flow mods of a conversation that is over
}

// newRecorder listens until the test ends.
func newRecorder(t testing.TB) *recorder {
	path := filepath.Join(t.TempDir(), "switch")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	r := &recorder{target: "unix:" + path, received: make(chan [][]byte, 1)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.received <- record(conn)
		}
	}()
	return r
}

// record answers as a switch that is content, and returns the flow mods without their numbers.
func record(conn net.Conn) (mods [][]byte) {
	const hello, bundleControl, bundleAdd, barrier = 0, 33, 34, 20
	defer conn.Close()
	for {
		m := make([]byte, openflow.HeaderSize)
		if _, err := io.ReadFull(conn, m); err != nil {
			return mods
		}
		m = append(m, make([]byte, binary.BigEndian.Uint16(m[2:])-openflow.HeaderSize)...)
		if _, err := io.ReadFull(conn, m[openflow.HeaderSize:]); err != nil {
			return mods
		}
		switch m[1] {
		case bundleAdd:
			mod := m[16:]
			clear(mod[4:8])
			mods = append(mods, mod)
			continue
		case bundleControl:
			m[13]++ // the request's reply
		case barrier:
			m[1]++
		case hello:
		}
		_, _ = conn.Write(m) // who closed does not want it
	}
}

func (r *recorder) mods() [][]byte { return <-r.received }
