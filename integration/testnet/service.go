package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
)

// Service is what a connection asks for.
type Service struct {
	Protocol   policy.Protocol
	Port       uint16 // of tcp, udp and sctp
	Type, Code uint8  // of icmp and icmpv6
}

// TCP is a TCP port.
func TCP(port uint16) Service { return Service{Protocol: policy.TCP, Port: port} }

// UDP is a UDP port.
func UDP(port uint16) Service { return Service{Protocol: policy.UDP, Port: port} }

// SCTP is an SCTP port.
func SCTP(port uint16) Service { return Service{Protocol: policy.SCTP, Port: port} }

// Ping is an echo request of the family.
func Ping(f Family) Service {
	if f == IPv6 {
		return Service{Protocol: policy.ICMPv6, Type: 128}
	}
	return Service{Protocol: policy.ICMP, Type: 8}
}

// IPProtocol is any other protocol.
func IPProtocol(p policy.Protocol) Service { return Service{Protocol: p} }

// String returns "tcp/80", "icmp/8" or "gre".
func (s Service) String() string {
	switch {
	case s.Protocol.HasPorts():
		return fmt.Sprintf("%s/%d", s.Protocol, s.Port)
	case s.Protocol.HasTypes():
		return fmt.Sprintf("%s/%d", s.Protocol, s.Type)
	}
	return s.Protocol.String()
}

// patienceToConnect bounds an attempt to reach somebody who can be reached: enough for lost packets
// to be sent again on a very busy machine. Who cannot be reached is found out by the first packet
// alone (see [Crowd.Admits]).
const patienceToConnect = 30 * time.Second

// reach opens a real connection and moves data in both directions.
func reach(from *Host, src netip.Addr, to *Host, dst netip.Addr, s Service, size int) error {
	switch {
	case s.Protocol == policy.TCP || s.Protocol == policy.UDP:
		if err := to.serve(dst, s); err != nil {
			return err
		}
		c, err := from.dial(src, dst, s)
		if err != nil {
			return err
		}
		defer c.Close()
		return echo(c, size, Slowed(patienceToConnect))
	case s == Ping(IPv4) || s == Ping(IPv6):
		return from.ping(src, dst, size)
	}
	return fmt.Errorf("no real connection of %s is known", s)
}

// serve makes the host answer on a port of one of its addresses with what it is sent, until the
// world ends.
func (h *Host) serve(at netip.Addr, s Service) error {
	key := fmt.Sprintf("%s %s", at, s)
	h.mu.Lock()
	_, ok := h.open[key]
	h.mu.Unlock()
	if ok {
		return nil
	}
	address := net.JoinHostPort(at.String(), strconv.Itoa(int(s.Port)))
	return h.ns.Do(func() error {
		if s.Protocol == policy.TCP {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			h.keep(key, l)
			go answerTCP(l)
			return nil
		}
		p, err := net.ListenPacket("udp", address)
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		h.keep(key, p)
		go answerUDP(p)
		return nil
	})
}

func answerTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func answerUDP(p net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := p.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = p.WriteTo(buffer[:n], from)
		}
	}
}

// dial opens a connection from one of the host's addresses.
func (h *Host) dial(src, dst netip.Addr, s Service) (net.Conn, error) {
	network := s.Protocol.String()
	d := net.Dialer{Timeout: Slowed(patienceToConnect)}
	if s.Protocol == policy.TCP {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	} else {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	}
	var c net.Conn
	err := h.ns.Do(func() (err error) {
		c, err = d.Dial(network, netip.AddrPortFrom(dst, s.Port).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	return c, nil
}

// echoes numbers the messages of this process, so that no answer is taken for that of another.
var echoes atomic.Uint64

// echo sends size bytes and waits until they have come back.
func echo(c net.Conn, size int, within time.Duration) error {
	want := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(want, echoes.Add(1))
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.Write(want); err != nil {
		return err
	}
	got := make([]byte, len(want))
	for read := 0; read < len(got); {
		n, err := c.Read(got[read:])
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		read += n
	}
	if string(got) != string(want) {
		return errors.New("the answer is not what was sent")
	}
	return nil
}

// ping sends an echo request with size bytes and waits for its answer.
func (h *Host) ping(src, dst netip.Addr, size int) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if dst.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	var c net.PacketConn
	err := h.ns.Do(func() (err error) {
		c, err = net.ListenPacket(network, src.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	defer c.Close()
	message := make([]byte, 8+max(size, 8))
	message[0] = request
	binary.BigEndian.PutUint64(message[8:], echoes.Add(1))
	binary.BigEndian.PutUint16(message[4:], uint16(echoes.Load()))
	if dst.Is4() { // the kernel fills in the checksum of ICMPv6 only
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	if _, err := c.WriteTo(message, &net.IPAddr{IP: dst.AsSlice()}); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(Slowed(patienceToConnect))); err != nil {
		return err
	}
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := c.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("no echo reply: %w", err)
		}
		if n == len(message) && buffer[0] == reply && string(buffer[8:n]) == string(message[8:]) {
			return nil
		}
	}
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
