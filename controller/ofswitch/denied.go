package ofswitch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file hears of packets that our flows deny. Package telemetry logs them.

// Denied is the head of a packet that the program does not let pass and was asked to show.
type Denied struct {
	Table            uint8  // of the flow that denied it
	Zone             uint16 // of the port under judgement
	IsReply          bool   // of a connection that is known: conntrack says so
	IsKnown          bool   // it belongs to a connection that is known
	Protocol         policy.Protocol
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of tcp, udp and sctp
	ICMPType         uint8  // of icmp and icmpv6, and so is the next
	ICMPCode         uint8
	TCPFlags         string // as Open vSwitch puts them: "syn", "psh|ack"
	IsLaterFragment  bool   // no ports are known of it
}

// WatchDenied has the switch show packets that flows of ours deny and send to controllers, until
// the connection to it ends or ctx does, and hands them to take, which must not block: the switch
// keeps no more than a hundred for us, and loses the rest. The result is never nil; after the end
// of ctx it wraps ctx's error. A packet that is not understood is left out.
//
// The switch shows packets to any connection that asks for a part of each, which ovs-ofctl does if
// it is told how long a part.
func (s *Switch) WatchDenied(ctx context.Context, take func(Denied)) error {
	return fmt.Errorf("listen for denied packets: %w", s.monitorDenied(ctx, take))
}

// monitorDenied keeps a monitor running until it ends. When it returns, its child is gone.
func (s *Switch) monitorDenied(ctx context.Context, take func(Denied)) error {
	// unixctl: not used, and its socket would need a folder. ovs-ofctl prints what comes to its
	// standard error.
	cmd := s.command(ctx, "--protocols="+protocol, "--no-names", "--unixctl=none", "monitor",
		s.opts.Target, strconv.Itoa(flows.DeniedBytes))
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	said := eachDenied(out, take)
	if err = cmd.Wait(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return newCommandError(ctx, err, said)
}

// eachDenied reads what the monitor prints until it ends, and returns its last words of its own. Of
// each packet it prints a line about how it came, perhaps one that begins with a space, and one
// about its headers.
func eachDenied(r io.Reader, take func(Denied)) (said string) {
	var d Denied
	isOpen := false // the next line is about the headers
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, tool+": "):
			said = line
		case strings.Contains(line, "_PACKET_IN"):
			var err error
			d, err = parseArrival(line)
			isOpen = err == nil
		case isOpen && !strings.HasPrefix(line, " "):
			isOpen = false
			if d.readHeaders(line) == nil {
				take(d)
			}
		}
	}
	return said
}

var errNotOurs = errors.New("not sent by a flow of ours")

// parseArrival reads how a packet came:
//
//	NXT_PACKET_IN2 (OF1.5) (xid=0x0): table_id=33 cookie=0x5043… total_len=54 ct_state=new|trk,ct_zone=7,…,ip,reg1=0x7,in_port=2 (via action) …
func parseArrival(line string) (Denied, error) {
	var d Denied
	var cookie uint64
	var errs []error
	isApart := func(r rune) bool { return r == ' ' || r == ',' }
	for word := range strings.FieldsFuncSeq(line, isApart) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "table_id":
			d.Table, err = number8(value)
		case "cookie":
			cookie, err = strconv.ParseUint(value, 0, 64)
		case "ct_state":
			d.IsKnown, d.IsReply = strings.Contains(value, "est"), strings.Contains(value, "rpl")
		case flows.RegPort.String():
			var zone uint64
			zone, err = strconv.ParseUint(value, 0, 16)
			d.Zone = uint16(zone)
		}
		errs = append(errs, err)
	}
	if uint16(cookie>>48) != flows.Owner || d.Zone == 0 {
		errs = append(errs, errNotOurs)
	}
	return d, errors.Join(errs...)
}

// shownProtocols are the names that ovs-ofctl has for the headers of packets.
var shownProtocols = map[string]policy.Protocol{"tcp": policy.TCP, "tcp6": policy.TCP,
	"udp": policy.UDP, "udp6": policy.UDP, "sctp": policy.SCTP,
	"sctp6": policy.SCTP, "icmp": policy.ICMP, "icmp6": policy.ICMPv6, "ip": 0, "ipv6": 0}

var errNoHeaders = errors.New("a packet that is not understood")

// readHeaders reads the line about a packet's headers; behind the first space there are checksums:
//
//	udp,vlan_tci=0x0000,dl_src=…,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=4000,tp_dst=80 udp_csum:f767
func (d *Denied) readHeaders(line string) error {
	headers, _, _ := strings.Cut(line, " ")
	name, rest, _ := strings.Cut(headers, ",")
	protocol, ok := shownProtocols[name]
	if !ok {
		return errNoHeaders
	}
	d.Protocol = protocol
	for word := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(word, "=")
		if err := d.readHeader(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !d.Src.IsValid() || !d.Dst.IsValid() {
		return errNoHeaders
	}
	return nil
}

func (d *Denied) readHeader(name, value string) (err error) {
	switch name {
	case "nw_src", "ipv6_src":
		d.Src, err = netip.ParseAddr(value)
	case "nw_dst", "ipv6_dst":
		d.Dst, err = netip.ParseAddr(value)
	case "nw_proto":
		var n uint8
		n, err = number8(value)
		d.Protocol = policy.Protocol(n)
	case "tp_src":
		d.SrcPort, err = number16(value)
	case "tp_dst":
		d.DstPort, err = number16(value)
	case "icmp_type":
		d.ICMPType, err = number8(value)
	case "icmp_code":
		d.ICMPCode, err = number8(value)
	case "tcp_flags":
		d.TCPFlags = value
	case "nw_frag":
		d.IsLaterFragment = value == "later"
	}
	return err
}
