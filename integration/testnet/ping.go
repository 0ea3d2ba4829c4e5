package testnet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// echoHeader is the length of the header of an echo request, and of its reply.
const echoHeader = 8

// Pings starts a stream of echo requests. A number counts as received when its reply is.
func (w *Crowd) Pings(client, server string, f Family) (*Stream, error) {
	c, s := w.Host(client), w.Host(server)
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if f == IPv6 {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	var socket net.PacketConn
	err := c.ns.Do(func() (err error) {
		socket, err = net.ListenPacket(network, c.Address(f).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", client, err)
	}
	id := uint16(echoes.Add(1))
	c.keep(fmt.Sprintf("pings %d", id), socket)
	to := &net.IPAddr{IP: s.Address(f).AsSlice()}
	st := &Stream{interval: Slowed(streamInterval), got: map[uint64]time.Time{},
		progress: make(chan struct{})}
	st.send = func(b []byte) error {
		message := append([]byte{request, 0, 0, 0, byte(id >> 8), byte(id), 0, 0}, b...)
		if f == IPv4 { // the kernel fills in the checksum of ICMPv6 only
			binary.BigEndian.PutUint16(message[2:], checksum(message))
		}
		_, err := socket.WriteTo(message, to)
		return err
	}
	if err := c.ping(c.Address(f), s.Address(f), 0); err != nil { // the neighbours find each other
		return nil, err
	}
	enlarge(socket)
	st.start(&replies{PacketConn: socket, kind: reply, id: id})
	c.keep(fmt.Sprintf("pings %d sender", id), st)
	return st, nil
}

// replies reads the payloads of the echo replies of one id.
type replies struct {
	net.PacketConn
	kind byte
	id   uint16
}

// ReadFrom reads the next payload.
func (r *replies) ReadFrom(b []byte) (int, net.Addr, error) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := r.PacketConn.ReadFrom(buffer)
		if err != nil {
			return 0, from, err
		}
		if n > echoHeader && buffer[0] == r.kind && binary.BigEndian.Uint16(buffer[4:]) == r.id {
			return copy(b, buffer[echoHeader:n]), from, nil
		}
	}
}

// Echoes starts a stream over UDP that the server sends back. A number counts as received when it
// is back.
func (w *Crowd) Echoes(client, server string, f Family, port uint16) (*Stream, error) {
	c, s := w.Host(client), w.Host(server)
	if err := s.serve(s.Address(f), UDP(port)); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("echoes %s %s %d", server, f, port)
	socket, err := c.packetConn(key, netip.AddrPortFrom(c.Address(f), 0))
	if err != nil {
		return nil, err
	}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Address(f), port))
	st := &Stream{interval: Slowed(streamInterval), got: map[uint64]time.Time{},
		progress: make(chan struct{})}
	st.send = func(b []byte) error { _, err := socket.WriteTo(b, to); return err }
	st.start(socket)
	c.keep(key+" sender", st)
	return st, nil
}
