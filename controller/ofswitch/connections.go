package ofswitch

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file lists what conntrack remembers, and has it forget. The agent empties zones with it,
// telemetry lists. Invariant: zone 0 is never touched.

const (
	// controlTool prints what is too long to be held at once: it is read line by line.
	controlTool = "ovs-appctl"
	// fewConnections are some 2 MB of text, which is asked for without a process.
	fewConnections = 10_000
)

// Connection is one that conntrack remembers in a zone, as its first packet was.
type Connection struct {
	Protocol policy.Protocol
	Src, Dst netip.Addr
	// 0 where the protocol has none; on the userspace datapath those of SCTP, too
	SrcPort, DstPort uint16
	ICMPID           uint16 // of icmp and icmpv6, and so are the next two
	ICMPType         uint8
	ICMPCode         uint8
	// of tcp and, on the kernel's datapath, sctp, as Open vSwitch puts it: ESTABLISHED; "" where
	// there is none
	State string
	Zone  uint16
	Mark  uint32 // the epoch in which it was admitted last
	Rule  uint32 // the low 32 bits of its label: the rule that admitted it
}

// Connections hands each connection of a zone, or of all zones if zone is 0, to take until there
// are no more or take returns false. Where there are many, not more than one of them is held here;
// but ovs-vswitchd writes down its whole answer before it sends it, and does nothing else in its
// main thread meanwhile. Errors: ovs-vswitchd cannot be reached, its datapath tracks no connections,
// or a line is not understood.
func (s *Switch) Connections(ctx context.Context, zone uint16, take func(Connection) bool) error {
	line := []string{"dpctl/dump-conntrack", s.provider()}
	if zone != 0 {
		line = append(line, fmt.Sprintf("zone=%d", zone))
	}
	list := s.listMany
	if n, err := s.entries(ctx, "count", "dpctl/ct-get-nconns"); err == nil && n <= fewConnections {
		list = s.listFew
	}
	if err := list(ctx, line, take); err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	return nil
}

// listFew lists connections whose text is held at once.
func (s *Switch) listFew(ctx context.Context, line []string, take func(Connection) bool) error {
	text, err := s.Control(ctx, line...)
	if err != nil {
		return err
	}
	_, err = eachConnection(strings.NewReader(text), take)
	return err
}

// listMany lists connections one by one.
func (s *Switch) listMany(ctx context.Context, line []string, take func(Connection) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket, err := s.controlSocket()
	if err != nil {
		return err
	}
	enough := false
	control := &Switch{opts: Options{Command: controlTool}}
	err = control.stream(ctx, func(r io.Reader) error {
		enough, err = eachConnection(r, take)
		if enough {
			cancel()
		}
		return err
	}, append([]string{"--target=" + socket}, line...)...)
	if enough {
		return nil
	}
	return controlError(err)
}

// ForgetZone makes conntrack forget all connections of a zone, which is not 0. It asks by OpenFlow:
// dpctl/flush-conntrack of Open vSwitch 3.1 takes the name of the datapath for a tuple.
func (s *Switch) ForgetZone(ctx context.Context, zone uint16) error {
	if zone == 0 {
		return errZoneZero
	}
	err := withConn(ctx, s.opts.Target, func(c *conn) error {
		c.pending = appendForgetZone(c.pending, c.next(), zone)
		return c.barrier()
	})
	if err != nil {
		return fmt.Errorf("forget the connections of zone %d: %w", zone, s.worded(ctx, err))
	}
	return nil
}

// appendForgetZone appends an NXT_CT_FLUSH_ZONE, with which Open vSwitch extends OpenFlow
// (nicira-ext.h).
func appendForgetZone(b []byte, xid uint32, zone uint16) []byte {
	const subtype = 29
	at := len(b)
	b = binary.BigEndian.AppendUint32(openflow.AppendHeader(b, typeExperimenter, xid), nicira)
	b = append(binary.BigEndian.AppendUint32(b, subtype), 0, 0, 0, 0, 0, 0)
	return openflow.PutLength(binary.BigEndian.AppendUint16(b, zone), at)
}

// Forget makes conntrack forget one connection of a zone, which is not 0. One of ICMPv6 it leaves
// to its time, which is a minute at most: ovs-vswitchd 3.1 aborts if it is asked for one. Before
// 3.1 there is no such request of OpenFlow, but the control command takes a tuple for what it is.
func (s *Switch) Forget(ctx context.Context, c Connection) error {
	switch {
	case c.Zone == 0:
		return errZoneZero
	case c.Protocol == policy.ICMPv6:
		return nil
	}
	zone := fmt.Sprintf("zone=%d", c.Zone)
	_, err := s.run(ctx, nil, "ct-flush", s.opts.Target, zone, c.tuple())
	if err != nil && strings.Contains(err.Error(), "unknown command") {
		_, err = s.control(ctx, "dpctl/flush-conntrack", zone, c.tuple())
	}
	if err != nil {
		return fmt.Errorf("forget a connection of zone %d: %w", c.Zone, err)
	}
	return nil
}

// errZoneZero keeps the host's own connections, which are in zone 0, from being forgotten.
var errZoneZero = errors.New("zone 0 is the host's")

// tuple is the connection as ct-flush takes it (ovs-ofctl(8)).
func (c Connection) tuple() string {
	family := "nw"
	if c.Src.Is6() {
		family = "ipv6"
	}
	out := fmt.Sprintf("ct_%s_src=%s,ct_%s_dst=%s,ct_nw_proto=%d", family, c.Src, family, c.Dst,
		uint8(c.Protocol))
	switch {
	case c.Protocol.HasTypes():
		out += fmt.Sprintf(",icmp_type=%d,icmp_code=%d,icmp_id=%d", c.ICMPType, c.ICMPCode,
			c.ICMPID)
	case c.SrcPort != 0 || c.DstPort != 0:
		out += fmt.Sprintf(",ct_tp_src=%d,ct_tp_dst=%d", c.SrcPort, c.DstPort)
	}
	return out
}

// eachConnection reads lines until there are no more, or take has enough.
func eachConnection(r io.Reader, take func(Connection) bool) (enough bool, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		c, err := parseConnection(lines.Text())
		if err != nil {
			return false, fmt.Errorf("%w: %q", err, lines.Text())
		}
		if !take(c) {
			return true, nil
		}
	}
	return false, lines.Err()
}

var (
	errNoConnection = errors.New("a line that is no connection")
	// trackedProtocols are the names that dpctl/dump-conntrack has for protocols; it prints the
	// numbers of all others.
	trackedProtocols = map[string]policy.Protocol{"icmp": policy.ICMP, "icmpv6": policy.ICMPv6,
		"tcp": policy.TCP, "udp": policy.UDP,
		"sctp": policy.SCTP, "igmp": 2, "dccp": 33, "udplite": 136}
)

// parseConnection reads one line of dpctl/dump-conntrack. Left out where they are 0: zone, mark,
// labels. What else a line says (a helper, with other options timeouts and counters) is passed
// over.
//
//	tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=4000,dport=80),reply=(…),zone=1,mark=3,labels=0x6fc01622,protoinfo=(state=ESTABLISHED)
func parseConnection(line string) (Connection, error) {
	name, rest, _ := strings.Cut(line, ",")
	c := Connection{}
	protocol, ok := trackedProtocols[name]
	if !ok {
		n, err := strconv.ParseUint(name, 10, 8)
		if err != nil {
			return c, errNoConnection
		}
		protocol = policy.Protocol(n)
	}
	c.Protocol = protocol
	for _, word := range openflow.Split(rest) {
		if err := c.read(word); err != nil {
			return Connection{}, err
		}
	}
	if !c.Src.IsValid() || !c.Dst.IsValid() || c.Src.Is4() != c.Dst.Is4() {
		return Connection{}, errNoConnection
	}
	return c, nil
}

// read takes one "name=value" into the connection.
func (c *Connection) read(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "orig":
		return c.eachOf(value, c.readTuple)
	case "protoinfo":
		return c.eachOf(value, c.readState)
	case "zone":
		c.Zone, err = number16(value)
	case "mark":
		var n uint64
		n, err = strconv.ParseUint(value, 0, 32)
		c.Mark = uint32(n)
	case "labels":
		c.Rule, err = low32(value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// eachOf reads each word of "(name=value,…)".
func (c *Connection) eachOf(list string, read func(name, value string) error) error {
	inner, isList := strings.CutPrefix(list, "(")
	inner, isWhole := strings.CutSuffix(inner, ")")
	if !isList || !isWhole {
		return errNoConnection
	}
	for word := range strings.SplitSeq(inner, ",") {
		name, value, _ := strings.Cut(word, "=")
		if err := read(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (c *Connection) readTuple(name, value string) (err error) {
	switch name {
	case "src":
		c.Src, err = netip.ParseAddr(value)
	case "dst":
		c.Dst, err = netip.ParseAddr(value)
	case "sport":
		c.SrcPort, err = number16(value)
	case "dport":
		c.DstPort, err = number16(value)
	case "id":
		c.ICMPID, err = number16(value)
	case "type":
		c.ICMPType, err = number8(value)
	case "code":
		c.ICMPCode, err = number8(value)
	}
	return err
}

func (c *Connection) readState(name, value string) error {
	if name == "state" {
		c.State = value
	}
	return nil
}

func number8(text string) (uint8, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	return uint8(n), err
}

func number16(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err
}

// low32 returns the lowest 32 of the 128 bits of a hexadecimal number.
func low32(text string) (uint32, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) > 32 {
		return 0, errNoConnection
	}
	for _, half := range []string{digits[:max(0, len(digits)-16)],
		digits[max(0, len(digits)-16):]} {
		if half == "" {
			continue
		}
		if _, err := strconv.ParseUint(half, 16, 64); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(digits[max(0, len(digits)-8):], 16, 32)
	return uint32(n), err
}
