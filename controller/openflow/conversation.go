package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

var (
	errTarget   = errors.New("the target must be unix:PATH or tcp:HOST:PORT")
	errGone     = errors.New("the switch ended the conversation")
	errProtocol = errors.New("the switch does not speak OpenFlow 1.5")
)

// RefusedError is what the switch said against a message: the numbers of OpenFlow 1.5, section 7.5.4.
type RefusedError struct{ Type, Code uint16 }

// Error gives the numbers.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the switch refuses a message: error %d.%d", e.Type, e.Code)
}

// dial connects to a switch.
func dial(ctx context.Context, target string) (net.Conn, error) {
	network, address, _ := strings.Cut(target, ":")
	if network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("%w: %s", errTarget, target)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// endWith has whatever waits for a connection end with ctx, until release is called.
func endWith(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// ended tells the end of ctx where that is why something failed.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// message is one message, whole.
type message []byte

func (m message) kind() uint8  { return m[1] }
func (m message) xid() uint32  { return binary.BigEndian.Uint32(m[4:]) }
func (m message) body() []byte { return m[headerSize:] }

// receive returns the next message. What asks whether we are there is answered.
func receive(conn net.Conn) (message, error) {
	for {
		m := make(message, headerSize)
		_, err := io.ReadFull(conn, m)
		if err == nil {
			m = append(m, make([]byte, max(headerSize, binary.BigEndian.Uint16(m[2:]))-headerSize)...)
			_, err = io.ReadFull(conn, m.body())
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errGone, err)
		}
		if m.kind() != typeEchoRequest {
			return m, nil
		}
		m[1] = typeEchoReply
		_, _ = conn.Write(m) // who writes or reads next meets the error, too
	}
}

// refusal is what a message says against us, if it does.
func (m message) refusal() error {
	switch body := m.body(); {
	case m.kind() == typeHello && m[0] < version:
		return errProtocol
	case m.kind() == typeError && len(body) >= 4:
		return &RefusedError{binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])}
	}
	return nil
}

// isCommitted says whether a message says that a bundle was committed.
func (m message) isCommitted() bool {
	body := m.body()
	return m.kind() == typeBundleControl && len(body) >= 8 && binary.BigEndian.Uint16(body[4:]) == commitReply
}
