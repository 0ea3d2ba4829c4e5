package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Conn is an open connection whose server sends back what it is sent. It ends with the world.
type Conn struct {
	conn net.Conn
}

// Open opens a connection (TCP or UDP) and moves some data over it.
func (w *Crowd) Open(from, to string, s Service, f Family) (*Conn, error) {
	a, b := w.Host(from), w.Host(to)
	if err := b.serve(b.Address(f), s); err != nil {
		return nil, err
	}
	c, err := a.dial(a.Address(f), b.Address(f), s)
	if err != nil {
		return nil, err
	}
	a.keep(fmt.Sprintf("connection %s %s", c.LocalAddr(), c.RemoteAddr()), c)
	return &Conn{c}, echo(c, 0, Slowed(patienceToConnect))
}

// Echo sends something and waits for it to come back.
func (c *Conn) Echo(within time.Duration) error { return echo(c.conn, 0, within) }

// LocalPort is the client's port.
func (c *Conn) LocalPort() uint16 {
	a, err := netip.ParseAddrPort(c.conn.LocalAddr().String())
	if err != nil {
		return 0
	}
	return a.Port()
}

// Knocks sends a datagram to a UDP port where nobody listens and returns the error that comes back.
func (w *Crowd) Knocks(from, to string, s Service, f Family) error {
	c, err := w.Host(from).dial(w.Host(from).Address(f), w.Host(to).Address(f), s)
	if err != nil {
		return err
	}
	defer c.Close()
	return echo(c, 0, Slowed(patienceToConnect))
}
