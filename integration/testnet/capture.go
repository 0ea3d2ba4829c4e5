package testnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Frame is one Ethernet frame without its checksum, as it is on the wire: an 802.1Q header is where
// it belongs.
type Frame []byte

// Seen is a frame that reached a host's interface.
type Seen struct {
	At    time.Time
	Frame Frame
}

// Capture records every frame that reaches one interface, in promiscuous mode; frames that the host
// itself sends are not among them. It is safe for concurrent use.
type Capture struct {
	socket *os.File

	mu      sync.Mutex
	frames  []Seen
	marks   map[Token]bool // those that any of the frames bears
	arrival chan struct{}  // closed, and replaced, when a frame arrives
	ended   bool
}

// receiveBuffer is what the kernel may hold for us, in bytes, while the machine is busy.
const receiveBuffer = 16 << 20

// newCapture opens the capture of the host's interface. The thread must be in the host's namespace.
func newCapture(index int) (*Capture, error) {
	socket, err := packetSocket(index, unix.ETH_P_ALL)
	if err != nil {
		return nil, fmt.Errorf("open a capture: %w", err)
	}
	c := &Capture{socket: socket, marks: map[Token]bool{}, arrival: make(chan struct{})}
	go c.record()
	return c, nil
}

// packetSocket opens an AF_PACKET socket on an interface; protocol 0 receives nothing.
func packetSocket(index int, protocol uint16) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "packet")
	for _, set := range []func() error{
		func() error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
		},
		func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) },
		func() error {
			return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
				&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
		},
		func() error {
			return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index,
				Protocol: networkOrder(protocol)})
		},
	} {
		if err := set(); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	return file, nil
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// record runs until the socket is closed.
func (c *Capture) record() {
	receive(c.socket, func(f Frame) { c.add(Seen{At: time.Now(), Frame: f}) })
	c.mu.Lock()
	c.ended = true
	close(c.arrival)
	c.mu.Unlock()
}

// receive hands every frame that comes in to take, until the socket is closed.
func receive(socket *os.File, take func(Frame)) {
	raw, err := socket.SyscallConn()
	buffer, control := make([]byte, 1<<16), make([]byte, 256)
	for err == nil {
		var n, m int
		var from unix.Sockaddr
		var readErr error
		err = raw.Read(func(fd uintptr) bool {
			n, m, _, from, readErr = unix.Recvmsg(int(fd), buffer, control, 0)
			return readErr != unix.EAGAIN
		})
		if err != nil || readErr != nil && readErr != unix.ENETDOWN {
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		take(withTag(buffer[:n], control[:m]))
	}
}

func (c *Capture) add(s Seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, s)
	for _, t := range tokensIn(s.Frame) {
		c.marks[t] = true
	}
	close(c.arrival)
	c.arrival = make(chan struct{})
}

// withTag returns a copy of the frame with the 802.1Q header that the kernel took out of it.
func withTag(frame, control []byte) Frame {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(frame) < 14 {
		return bytes.Clone(frame)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA ||
			len(m.Data) < int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
			continue
		}
		aux := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
		if aux.Status&unix.TP_STATUS_VLAN_VALID == 0 {
			continue
		}
		tagged := append(Frame(nil), frame[:12]...)
		tagged = binary.BigEndian.AppendUint16(tagged, aux.Vlan_tpid)
		tagged = binary.BigEndian.AppendUint16(tagged, aux.Vlan_tci)
		return append(tagged, frame[12:]...)
	}
	return bytes.Clone(frame)
}

// Bears says whether a frame with the token has been recorded.
func (c *Capture) Bears(t Token) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks[t]
}

// Await waits until a frame with the token has been recorded; false when ctx ends before.
func (c *Capture) Await(ctx context.Context, t Token) bool {
	for {
		c.mu.Lock()
		seen, arrival, ended := c.marks[t], c.arrival, c.ended
		c.mu.Unlock()
		if seen || ended {
			return seen
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return false
		}
	}
}

// All returns the recorded frames that match accepts.
func (c *Capture) All(match func(Frame) bool) []Seen {
	c.mu.Lock()
	frames := c.frames
	c.mu.Unlock()
	var out []Seen
	for _, s := range frames {
		if match(s.Frame) {
			out = append(out, s)
		}
	}
	return out
}

// close ends the recording.
func (c *Capture) close() { _ = c.socket.Close() }
