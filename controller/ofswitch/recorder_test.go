package ofswitch

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// recorder is a switch that takes every bundle, and remembers what was in it.
type recorder struct {
	t      testing.TB
	target string
	// in the place of the usual answer, if it returns true; nil = never
	answer func(conn net.Conn, message []byte) bool

	mu       sync.Mutex
	messages [][]byte      // of the last conversation
	over     chan struct{} // closed when it is over
}

// newRecorder listens until the test ends.
func newRecorder(t testing.TB, answer func(net.Conn, []byte) bool) *recorder {
	path := filepath.Join(t.TempDir(), "switch")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	r := &recorder{t: t, target: "unix:" + path, answer: answer}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return r
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	over := make(chan struct{})
	defer close(over)
	r.mu.Lock()
	r.messages, r.over = nil, over
	r.mu.Unlock()
	for {
		m, err := readMessage(conn)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.messages = append(r.messages, m)
		r.mu.Unlock()
		if r.answer == nil || !r.answer(conn, m) {
			answer(conn, m)
		}
	}
}

// answer is what a switch says when it is content.
func answer(conn io.Writer, m []byte) {
	var out []byte
	switch xid := binary.BigEndian.Uint32(m[4:]); m[1] {
	case typeHello:
		out = appendHello(nil, xid)
	case typeBarrier:
		out = openflow.PutLength(openflow.AppendHeader(nil, typeBarrierReply, xid), 0)
	case typeBundleControl:
		out = appendControl(nil, xid, binary.BigEndian.Uint16(m[12:])+1)
	}
	_, _ = conn.Write(out) // who closed does not want it
}

// await returns the messages of the last conversation when it is over.
func (r *recorder) await() [][]byte {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over != nil {
		<-over
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages
}

// mods returns the flow mods of the last conversation, without their numbers.
func (r *recorder) mods() [][]byte {
	var out [][]byte
	for _, m := range r.await() {
		if m[1] == typeBundleAdd {
			require.Equal(r.t, m[4:8], m[20:24], "both numbers of a message")
			mod := append([]byte(nil), m[16:]...)
			clear(mod[4:8])
			out = append(out, mod)
		}
	}
	return out
}

// kinds returns the types of the messages of the last conversation, each run once.
func (r *recorder) kinds() []int {
	var out []int
	for _, m := range r.await() {
		if kind := int(m[1]); len(out) == 0 || out[len(out)-1] != kind {
			out = append(out, kind)
		}
	}
	return out
}
