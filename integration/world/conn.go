package world

import (
	"fmt"
	"net"
	"time"
)

// Conn is an open connection whose server sends back what it is sent. It ends with the world.
type Conn struct {
	conn net.Conn
}

// Open opens a connection (TCP or UDP) and moves some data over it.
func (w *World) Open(from, to string, s Service, f Family) (*Conn, error) {
	a, b := w.Host(from), w.Host(to)
	if err := b.serve(b.Address(f), s); err != nil {
		return nil, err
	}
	c, err := a.dial(a.Address(f), b.Address(f), s)
	if err != nil {
		return nil, err
	}
	a.keep(fmt.Sprintf("connection %s %s", c.LocalAddr(), c.RemoteAddr()), c)
	return &Conn{c}, echo(c, 0, patienceToConnect)
}

// Echo sends something and waits for it to come back.
func (c *Conn) Echo(within time.Duration) error { return echo(c.conn, 0, within) }
