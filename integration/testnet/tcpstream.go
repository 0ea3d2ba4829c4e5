package testnet

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// FloodTCP starts a stream over one TCP connection, of the client's or of the server's words. What
// is lost is sent again by TCP: while nothing passes nothing is received, and once it passes again,
// everything.
func (w *Crowd) FloodTCP(client, server string, f Family, port uint16, fromServer bool) (*Stream,
	error) {
	c, s := w.Host(client), w.Host(server)
	var listener net.Listener
	err := s.ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(s.Address(f), port).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	defer listener.Close()
	near, err := c.dial(c.Address(f), s.Address(f), TCP(port))
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("pour %s %d", near.LocalAddr(), port)
	c.keep(key, near)
	far, err := listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	s.keep(key, far)
	from, to := near, far
	if fromServer {
		from, to = far, near
	}
	if err := from.(*net.TCPConn).SetWriteBuffer(pourBuffer); err != nil {
		return nil, fmt.Errorf("enlarge the buffer of %s: %w", key, err)
	}
	st := &Stream{interval: Slowed(streamInterval), got: map[uint64]time.Time{},
		progress: make(chan struct{})}
	st.send = func(b []byte) error { _, err := from.Write(b); return err }
	st.start(&words{from: to})
	s.keep(key+" sender", st)
	return st, nil
}

// pourBuffer holds what a stream sends while nothing passes, so that it goes on counting.
const pourBuffer = 1 << 20

// words reads a connection in the portions of a stream.
type words struct {
	net.PacketConn // only to be read
	from           net.Conn
}

// ReadFrom reads the next number.
func (w *words) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := io.ReadFull(w.from, b[:8])
	return n, w.from.RemoteAddr(), err
}

// LastAt is when something of the stream was received for the last time.
func (s *Stream) LastAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last time.Time
	for _, at := range s.got {
		if at.After(last) {
			last = at
		}
	}
	return last
}
