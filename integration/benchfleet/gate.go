package benchfleet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/integration/measure"
)

// A gate stands between a host and its server: it counts what passes, and can be shut. hosts.go and
// reconnect.go call this.

type gate struct {
	endpoint string // that a host is told
	behind   string // the server's
	passed   atomic.Int64

	mu     sync.Mutex
	isShut bool
	open   map[net.Conn]bool
}

func newGate(s *measure.Shim, behind string) (*gate, error) {
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "db.sock"))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.Cleanup(func() { _ = listener.Close() })
	g := &gate{endpoint: "unix:" + filepath.Join(dir, "db.sock"), behind: behind,
		open: map[net.Conn]bool{}}
	s.Cleanup(g.shut)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
	return g, nil
}

var errShut = errors.New("the gate is shut")

// enter notes a connection; a gate that is shut takes none.
func (g *gate) enter(conns ...net.Conn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		if g.isShut {
			return errShut
		}
		g.open[c] = true
	}
	return nil
}

// pass lets a client talk with the server.
func (g *gate) pass(client net.Conn) {
	defer client.Close()
	network, address, _ := strings.Cut(g.behind, ":")
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	if g.enter(client, server) != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // the end of one is the end of both
		_ = server.Close()
	}()
	_, _ = io.Copy(counter{client, &g.passed}, server)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, client)
	delete(g.open, server)
}

// counter counts what is written.
type counter struct {
	io.Writer
	n *atomic.Int64
}

// Write writes and counts.
func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// received is how many bytes the server has sent.
func (g *gate) received() int64 { return g.passed.Load() }

// shut cuts every connection and takes no more.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
	for c := range g.open {
		_ = c.Close()
	}
	clear(g.open)
}

// reopen lets clients through again.
func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = false
}
