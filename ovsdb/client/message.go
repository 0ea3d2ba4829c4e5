package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// How messages are taken from a connection. connection.go calls this. Invariant: a message that is
// malformed, too large, or comes to a stop in its middle ends the connection.

const (
	receiveBuffer = 64 << 10
	// maxMessage is how many bytes of a message are taken: more than ten times what all rows of a
	// thousand hosts are.
	maxMessage = 256 << 20
)

var errTooLong = errors.New("a message of the server is longer than any that it may send")

// paced reads from the network, no longer than a message may be, and no slower than a server that
// lives.
type paced struct {
	conn net.Conn
	idle *atomic.Int64
	left int
}

func (p *paced) Read(into []byte) (int, error) {
	if p.left <= 0 {
		return 0, errTooLong
	}
	if idle := time.Duration(p.idle.Load()); idle > 0 {
		if err := p.conn.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return 0, err
		}
	}
	n, err := p.conn.Read(into)
	p.left -= n
	return n, err
}

// bear bounds the server's silence from now on; 0 = it may be silent.
func (c *connection) bear(silence time.Duration) {
	c.idle.Store(int64(silence))
	deadline := time.Time{}
	if silence > 0 {
		deadline = time.Now().Add(silence)
	}
	_ = c.net.SetReadDeadline(deadline)
}

// next reads a message. A result goes to who streams it, if anybody does.
func (c *connection) next(in *json.Decoder) (m message, err error) {
	if err := delimiter(in, '{'); err != nil {
		return m, err
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return m, err
		}
		var into any
		switch key {
		case "method":
			into = &m.Method
		case "params":
			into = &m.Params
		case "id":
			into = &m.ID
		case "error":
			into = &m.Error
		case "result":
			if stream := c.streaming(); stream != nil {
				if err := stream(in); err != nil {
					return m, err
				}
				continue
			}
			into = &m.Result
		default:
			into = new(json.RawMessage)
		}
		if err := in.Decode(into); err != nil {
			return m, err
		}
	}
	return m, delimiter(in, '}')
}

// streaming takes the function that streams the next result.
func (c *connection) streaming() func(*json.Decoder) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	stream := c.stream
	c.stream = nil
	return stream
}

// delimiter reads a bracket or a brace.
func delimiter(in *json.Decoder, want json.Delim) error {
	token, err := in.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("a message of the server has %v where %v is to be", token, want)
	}
	return nil
}
