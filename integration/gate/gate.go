// Package gate stands between a client and its server: it counts what the server sends, and can be
// shut, which cuts every connection and takes no more. Tests and measurements of hosts that lose
// their database call it.
package gate

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Gate is a way to a server.
type Gate struct {
	Endpoint string // that a client is told: unix:PATH or tcp:HOST:PORT

	dial     func() (net.Conn, error) // reaches the server
	listener net.Listener
	passed   atomic.Int64

	mu     sync.Mutex
	isShut bool
	ends   map[net.Conn]bool
}

// New makes a gate at a path, to a server at an endpoint: unix:PATH or tcp:HOST:PORT. Close ends
// it.
func New(path, behind string) (*Gate, error) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	network, address, _ := strings.Cut(behind, ":")
	return Before(listener, func() (net.Conn, error) { return net.Dial(network, address) }), nil
}

// Before makes a gate of a listener, to the server that dial reaches.
func Before(listener net.Listener, dial func() (net.Conn, error)) *Gate {
	at := listener.Addr()
	g := &Gate{Endpoint: at.Network() + ":" + at.String(), dial: dial, listener: listener,
		ends: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
	return g
}

var errShut = errors.New("the gate is shut")

// admit notes connections; a gate that is shut takes none.
func (g *Gate) admit(conns ...net.Conn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return errShut
	}
	for _, c := range conns {
		g.ends[c] = true
	}
	return nil
}

// pass lets a client talk with the server.
func (g *Gate) pass(client net.Conn) {
	defer client.Close()
	server, err := g.dial()
	if err != nil {
		return
	}
	defer server.Close()
	if g.admit(client, server) != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // the end of one is the end of both
		_ = server.Close()
	}()
	_, _ = io.Copy(counter{client, &g.passed}, server)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.ends, client)
	delete(g.ends, server)
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

// Received is how many bytes the server has sent.
func (g *Gate) Received() int64 { return g.passed.Load() }

// Shut cuts every connection and takes no more.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
	for c := range g.ends {
		_ = c.Close()
	}
	clear(g.ends)
}

// Open lets clients through again.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = false
}

// Close ends the gate.
func (g *Gate) Close() {
	_ = g.listener.Close()
	g.Shut()
}
