package benchfleet

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// The floor of a change in force: one flow in a bundle on a connection that is kept, with nothing
// decided and nothing looked up. force.go calls this.

// mouth is a connection to a switch.
type mouth struct {
	conn net.Conn
	in   *bufio.Reader
	xid  uint32
}

// The messages of OpenFlow 1.5, section 7.1.1, and the controls of a bundle, section 7.3.9.
const (
	typeHello         = 0
	typeError         = 1
	typeEchoRequest   = 2
	typeEchoReply     = 3
	typeBundleControl = 33
	typeBundleAdd     = 34

	openRequest, commitRequest, commitReply = 0, 4, 5

	atomicOrdered = 3
)

// newMouth greets a switch.
func newMouth(ctx context.Context, target string) (*mouth, error) {
	network, address, _ := strings.Cut(target, ":")
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to the switch: %w", err)
	}
	m := &mouth{conn: conn, in: bufio.NewReader(conn)}
	if _, err := conn.Write(openflow.PutLength(m.header(typeHello), 0)); err != nil {
		return nil, fmt.Errorf("greet the switch: %w", err)
	}
	return m, nil
}

func (m *mouth) close() { _ = m.conn.Close() }

func (m *mouth) header(kind uint8) []byte {
	m.xid++
	return openflow.AppendHeader(nil, kind, m.xid)
}

// control is a control of the connection's only bundle.
func (m *mouth) control(what uint16) []byte {
	b := binary.BigEndian.AppendUint16(append(m.header(typeBundleControl), 0, 0, 0, 0), what)
	return openflow.PutLength(binary.BigEndian.AppendUint16(b, atomicOrdered), 0)
}

// say has the switch add a flow, and returns when it has.
func (m *mouth) say(f openflow.Flow) error {
	all := m.control(openRequest)
	add := append(m.header(typeBundleAdd), 0, 0, 0, 0, 0, 0, 0, atomicOrdered)
	add, err := openflow.AppendFlowMod(add, m.xid, openflow.Add, f)
	if err != nil {
		return err
	}
	all = append(all, openflow.PutLength(add, 0)...)
	if _, err := m.conn.Write(append(all, m.control(commitRequest)...)); err != nil {
		return fmt.Errorf("speak to the switch: %w", err)
	}
	for {
		kind, body, err := m.hear()
		switch {
		case err != nil:
			return err
		case kind == typeError:
			return fmt.Errorf("the switch refuses a flow: %x", body)
		case kind == typeBundleControl && binary.BigEndian.Uint16(body[4:]) == commitReply:
			return nil
		}
	}
}

// hear returns the next message, and answers what asks whether we are there.
func (m *mouth) hear() (kind uint8, body []byte, err error) {
	head := make([]byte, openflow.HeaderSize)
	if _, err := io.ReadFull(m.in, head); err != nil {
		return 0, nil, fmt.Errorf("hear the switch: %w", err)
	}
	body = make([]byte, max(len(head), int(binary.BigEndian.Uint16(head[2:])))-len(head))
	if _, err := io.ReadFull(m.in, body); err != nil {
		return 0, nil, fmt.Errorf("hear the switch: %w", err)
	}
	if head[1] == typeEchoRequest {
		head[1] = typeEchoReply
		_, err = m.conn.Write(append(head, body...))
	}
	return head[1], body, err
}
