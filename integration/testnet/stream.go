package testnet

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is a flow of numbered UDP datagrams in one direction: number 1 first, one each interval.
// It ends with the world.
type Stream struct {
	send     func([]byte) error
	interval time.Duration
	cancel   context.CancelFunc
	sender   sync.WaitGroup

	mu       sync.Mutex
	sent     uint64
	got      map[uint64]time.Time
	last     uint64 // the highest number received
	progress chan struct{}
}

// streamInterval is long enough for a loaded machine to keep up with, and short enough to see a gap
// of milliseconds.
const streamInterval = 2 * time.Millisecond

// PushFromClient starts a stream that only the client sends.
func (w *Crowd) PushFromClient(client, server string, f Family, port uint16) (*Stream, error) {
	return w.stream(client, server, f, port, false)
}

// PushFromServer starts a stream that only the server sends, after one datagram of the client that
// opened it.
func (w *Crowd) PushFromServer(client, server string, f Family, port uint16) (*Stream, error) {
	return w.stream(client, server, f, port, true)
}

func (w *Crowd) stream(client, server string, f Family, port uint16, fromServer bool) (*Stream,
	error) {
	c, s := w.Host(client), w.Host(server)
	key := fmt.Sprintf("stream %s %s %d", client, f, port)
	listen, err := s.packetConn(key, netip.AddrPortFrom(s.Address(f), port))
	if err != nil {
		return nil, err
	}
	dial, err := c.packetConn(key, netip.AddrPortFrom(c.Address(f), 0))
	if err != nil {
		return nil, err
	}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Address(f), port))
	st := &Stream{interval: Slowed(streamInterval), got: map[uint64]time.Time{},
		progress: make(chan struct{})}
	st.send = func(b []byte) error { _, err := dial.WriteTo(b, to); return err }
	back, err := open(st.send, listen)
	if err != nil {
		return nil, err
	}
	receiver := listen
	if fromServer {
		st.send = func(b []byte) error { _, err := listen.WriteTo(b, back); return err }
		receiver = dial
	}
	st.start(receiver)
	s.keep(key+" sender", st)
	return st, nil
}

// openAgain is how long an opening datagram is waited for before another is sent.
const openAgain = 400 * time.Millisecond

// open sends a datagram that is no part of the stream until the server has one, and returns whom it
// is from: what is sent before the neighbours have found each other may be lost.
func open(send func([]byte) error, server net.PacketConn) (net.Addr, error) {
	for deadline := time.Now().Add(Slowed(patienceToConnect)); ; {
		if err := send([]byte("open")); err != nil {
			return nil, fmt.Errorf("open the stream: %w", err)
		}
		if err := server.SetReadDeadline(time.Now().Add(Slowed(openAgain))); err != nil {
			return nil, fmt.Errorf("open the stream: %w", err)
		}
		_, from, err := server.ReadFrom(make([]byte, 64))
		if err == nil {
			return from, server.SetReadDeadline(time.Time{})
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("open the stream: %w", err)
		}
	}
}

// packetConn opens a UDP socket that ends with the host, in the place of the one with the same name
// before.
func (h *Host) packetConn(key string, at netip.AddrPort) (net.PacketConn, error) {
	h.mu.Lock()
	if old, ok := h.open[key]; ok {
		_ = old.Close()
	}
	h.mu.Unlock()
	var p net.PacketConn
	err := h.ns.Do(func() (err error) {
		p, err = net.ListenPacket("udp", net.JoinHostPort(at.Addr().String(),
			strconv.Itoa(int(at.Port()))))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	h.keep(key, p)
	return p, nil
}

func (s *Stream) start(receiver net.PacketConn) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	enlarge(receiver)
	s.sender.Add(1)
	go s.write(ctx)
	go s.read(receiver)
}

// enlarge gives a socket room for what comes at once when a switch that stood still goes on. (The
// kernel's limit does not bind root.)
func enlarge(socket net.PacketConn) {
	conn, ok := socket.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	})
}

func (s *Stream) write(ctx context.Context) {
	defer s.sender.Done()
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.mu.Lock()
		s.sent++
		n := s.sent
		s.mu.Unlock()
		// A refused datagram (ICMP error, full buffer) counts as sent: its absence at the receiver
		// is what tests look at.
		_ = s.send(binary.BigEndian.AppendUint64(nil, n))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Stream) read(from net.PacketConn) {
	buffer := make([]byte, 64)
	for {
		n, _, err := from.ReadFrom(buffer)
		if err != nil {
			return
		}
		if n != 8 {
			continue
		}
		number := binary.BigEndian.Uint64(buffer)
		s.mu.Lock()
		s.got[number] = time.Now()
		s.last = max(s.last, number)
		close(s.progress)
		s.progress = make(chan struct{})
		s.mu.Unlock()
	}
}

// Sent is the number of the last datagram that was sent.
func (s *Stream) Sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// Last is the highest number that was received.
func (s *Stream) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// AwaitSent waits until n more datagrams have been sent and returns the number of the last.
func (s *Stream) AwaitSent(n uint64) uint64 {
	goal := s.Sent() + n
	for s.Sent() < goal {
		time.Sleep(s.interval)
	}
	return s.Sent()
}

// Await waits until a datagram with this number or a higher one has been received; false when the
// time is up.
func (s *Stream) Await(number uint64, within time.Duration) bool {
	up := time.NewTimer(within)
	defer up.Stop()
	for {
		s.mu.Lock()
		last, progress := s.last, s.progress
		s.mu.Unlock()
		if last >= number {
			return true
		}
		select {
		case <-progress:
		case <-up.C:
			return false
		}
	}
}

// Missing returns the numbers of [first, last] that have not been received.
func (s *Stream) Missing(first, last uint64) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []uint64
	for n := first; n <= last; n++ {
		if _, ok := s.got[n]; !ok {
			out = append(out, n)
		}
	}
	return out
}

// Received returns how many of the numbers of [first, last] have been received.
func (s *Stream) Received(first, last uint64) int {
	return int(last-first) + 1 - len(s.Missing(first, last))
}

// Close ends the sending.
func (s *Stream) Close() error {
	s.cancel()
	s.sender.Wait()
	return nil
}
