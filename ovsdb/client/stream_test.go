package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// rowsOf is a Receiver of the rows of one table, as JSON.
type rowsOf struct {
	mu      sync.Mutex
	rows    map[string]string
	last    string
	commits int
	downs   []string
	server  Server
}

type rowsBatch struct {
	of     *rowsOf
	extent Extent
	rows   map[string]RowUpdate
}

func (r *rowsOf) Last() string { r.mu.Lock(); defer r.mu.Unlock(); return r.last }

func (r *rowsOf) Begin(e Extent) Batch { return &rowsBatch{r, e, map[string]RowUpdate{}} }

func (r *rowsOf) Up(s Server) { r.mu.Lock(); defer r.mu.Unlock(); r.server = s }

func (r *rowsOf) Down(_ string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.downs = append(r.downs, why.Error())
}

func (b *rowsBatch) Row(_, uuid string, u RowUpdate) error {
	if u.Modify != nil && b.of.rows[uuid] == "" {
		return errors.New("it is not there")
	}
	b.rows[uuid] = u
	return nil
}

func (b *rowsBatch) Commit(last string, _ json.RawMessage) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if b.extent == All || b.of.rows == nil {
		b.of.rows = map[string]string{}
	}
	for uuid, u := range b.rows {
		if u.Delete != nil {
			delete(b.of.rows, uuid)
			continue
		}
		b.of.rows[uuid] = string(u.Initial) + string(u.Insert) + string(u.Modify)
	}
	b.of.last = last
	b.of.commits++
}

// awaitDown waits until a receiver was told of a loss for a reason.
func (r *rowsOf) awaitDown(t *testing.T, why string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Contains(strings.Join(r.downs, "\n"), why)
	}, time.Minute, time.Millisecond, "%s", why)
}

// stream runs a Stream with short times until the test ends.
func stream(t *testing.T, endpoint string) *rowsOf {
	return streamOf(t, StreamOptions{Endpoint: endpoint, Columns: map[string][]string{"T": {"c"}}})
}

func streamOf(t *testing.T, opts StreamOptions) *rowsOf {
	r := &rowsOf{}
	opts.Database, opts.Receiver = "D", r
	s := NewStream(opts)
	s.timing = streamTiming{minPause: time.Millisecond, maxPause: 5 * time.Millisecond,
		probe: 20 * time.Millisecond, answer: 300 * time.Millisecond, greet: 150 * time.Millisecond,
		maxGreet: time.Second, silence: 900 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return r
}

const contact = `[{"rows":[{"connected":true,"cid":["set",[]]}]}]`

// liar is a server that answers each connection by one script: the result of each request in turn,
// or, beginning with a brace, a whole message; after the last one it is silent.
func liar(t *testing.T, scripts ...[]string) (endpoint string) {
	path := filepath.Join(t.TempDir(), "liar")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go lie(conn, scripts[min(n, len(scripts)-1)])
		}
	}()
	return "unix:" + path
}

func lie(conn net.Conn, script []string) {
	in := json.NewDecoder(bufio.NewReader(conn))
	for _, text := range script {
		var m message
		if in.Decode(&m) != nil {
			return
		}
		if strings.HasPrefix(text, "{") {
			_, _ = io.WriteString(conn, text)
			continue
		}
		_, _ = fmt.Fprintf(conn, `{"error":null,"result":%s,"id":%s}`, text, m.ID)
	}
	_, _ = io.Copy(io.Discard, in.Buffered())
	_, _ = io.Copy(io.Discard, conn)
}

const first = `[false,"00000000-0000-0000-0000-000000000001",{"T":{"u1":{"initial":{"c":1}}}}]`

// What a server says that is not the protocol ends the connection, and nothing of it is taken; the
// next connection is taken up where the last one ended.
func TestStreamTakesNoNonsense(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"half a message":      {`{"result":[false,"x",{"T":{"u2":{"initial":{}}`, "does not answer"},
		"no answer":           {`{"method":"echo","params":[],"id":"echo"}`, "does not answer"},
		"no list":             {`{"id":3,"result":7}`, "the server answers 7"},
		"no rows":             {`[false,"x",7]`, "7 where { is to be"},
		"a row that is none":  {`[false,"x",{"T":{"u2":3}}]`, "row u2 of T"},
		"no JSON":             {`{"id":3,"result":nonsense`, "invalid character"},
		"more than there is":  {`[false,"x",{},1]`, "where ] is to be"},
		"a column it has not": {`{"id":2,"error":{"error":"unknown column"},"result":null}`, "unknown column"},
		"changes of nothing":  {`[true,"x",{"T":{"u2":{"modify":{"c":1}}}}]`, "row u2 of T: it is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			r := stream(t, liar(t, []string{contact, c.text}, []string{contact, first}))
			r.awaitDown(t, c.want)
			require.Eventually(t, func() bool { return r.Last() != "" }, time.Minute, time.Millisecond)
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Equal(t, map[string]string{"u1": `{"c":1}`}, r.rows)
		})
	}
}

// A message longer than any may be is not read to its end.
func TestStreamBoundsMessages(t *testing.T) {
	near, far := net.Pipe()
	c := converse(near, 4<<20)
	go func() {
		_, _ = io.WriteString(far, `{"method":"update3","params":["`)
		block := strings.Repeat("x", 1<<20)
		for {
			if _, err := io.WriteString(far, block); err != nil {
				return
			}
		}
	}()
	select {
	case <-c.lost:
		require.ErrorIs(t, c.reason(), errTooLong)
	case <-time.After(time.Minute):
		t.Fatal("it is read for ever")
	}
}

// A server that does not answer any more, without having closed the connection, is left; so is one
// that has lost its cluster.
func TestStreamLeavesWhoIsSilent(t *testing.T) {
	const cutOff = `[{"rows":[{"connected":false,"cid":["set",[]]}]}]`
	r := stream(t, liar(t, []string{contact, first}, []string{contact, first, cutOff},
		[]string{contact, first, contact, contact, contact}))
	r.awaitDown(t, "deadline exceeded")
	r.awaitDown(t, "no contact to the majority")
}

// A socket at which too many wait is tried again at once.
func TestDialWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer func() { _ = unix.Close(fd) }()
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 1))
	for err == nil {
		var conn net.Conn
		if conn, err = net.Dial("unix", path); err == nil {
			defer conn.Close()
		}
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	done := make(chan error, 1)
	go func() {
		conn, err := (&endpoints{}).dial(t.Context(), "unix:"+path)
		if err == nil {
			conn.end(errClosed)
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	near, _, err := unix.Accept(fd)
	require.NoError(t, err)
	defer func() { _ = unix.Close(near) }()
	require.NoError(t, <-done)
}
