package testnet

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
)

// tokens numbers the marked frames of this process.
var tokens atomic.Uint32

func newToken() Token { return Token(tokens.Add(1)) }

// InjectFragments sends a datagram in fragments of up to size bytes (a multiple of 8, at least 32)
// and returns the token that marks each of them. Their mark is not a trailer, which reassembly
// would take for a part of the datagram.
func (w *Crowd) InjectFragments(from string, p IP, length, size int,
	pick func([]Frame) []Frame) (Token, error) {
	t := newToken()
	p.Body = t.fill(p.Src, length)
	for _, f := range pick(p.Fragments(size)) {
		if err := w.Host(from).Send(f); err != nil {
			return t, err
		}
	}
	return t, nil
}

// Inject sends frames from a host's interface as they are, but for a trailer that marks them.
func (w *Crowd) Inject(from string, frames ...Frame) (Token, error) {
	t := newToken()
	for _, f := range frames {
		if err := w.Host(from).Send(f.Marked(t)); err != nil {
			return t, err
		}
	}
	return t, nil
}

// Beyond is the name under which [Crowd.Receivers] speaks of everybody beyond the uplink: who of
// them hears a frame is the fabric's business, not the switch's.
const Beyond = "uplink"

// Saw returns who has received a frame with the token so far: names of instances, and Beyond,
// sorted. What somebody beyond the uplink sends to others there is not counted.
func (w *Crowd) Saw(from string, t Token) []string {
	var out []string
	for _, name := range w.Names() {
		switch seen := w.hosts[name].Capture.Bears(t); {
		case seen && w.isInside(name):
			out = append(out, name)
		case seen && w.isInside(from):
			out = append(out, Beyond)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// AwaitSeen waits until a host has received a frame with the token.
func (w *Crowd) AwaitSeen(name string, t Token) error {
	ctx, cancel := context.WithTimeout(context.Background(), Slowed(patienceToConnect))
	defer cancel()
	if !w.Host(name).Capture.Await(ctx, t) {
		return fmt.Errorf("%s does not receive it within %s", name, Slowed(patienceToConnect))
	}
	return nil
}

// Receivers sends frames from a host and returns who receives any of them, promiscuously: names of
// instances, and Beyond, sorted.
func (w *Crowd) Receivers(from string, frames ...Frame) ([]string, error) {
	return w.ReceiversBy(from, from, frames...)
}

// ReceiversBy is Receivers where the sender itself may be cut off, so that another host must
// settle.
func (w *Crowd) ReceiversBy(settler, from string, frames ...Frame) ([]string, error) {
	t, err := w.Inject(from, frames...)
	if err != nil {
		return nil, err
	}
	if err := w.AwaitForwarded(settler); err != nil {
		return nil, err
	}
	return w.Saw(from, t), nil
}

// AwaitForwarded returns when everything that was sent before has arrived at all but the host that
// is named, or never will. It sends an honest question (ARP or neighbour solicitation) from that
// host to every other that has a port in the policy, or is beyond the uplink, and waits until each
// has received its own, twice: the switch handles frames in batches, in which a frame that needs a
// decision falls behind its successors, but never behind those of a later batch.
func (w *Crowd) AwaitForwarded(from string) error {
	for range 2 {
		if err := w.awaitDrained(); err != nil {
			return err
		}
		if err := w.askAll(from); err != nil {
			return fmt.Errorf("an honest question from %s: %w", from, err)
		}
	}
	return nil
}

// resendAfter is how long an honest question is waited for before it is sent again.
const resendAfter = time.Second

// askAll sends the questions of AwaitForwarded. One that does not arrive in good time is sent
// again: nothing is judged by the questions, and a very busy machine loses a frame now and then.
func (w *Crowd) askAll(from string) error {
	waiting := w.Names()
	for tries := 30; ; tries-- {
		tokens := map[string]Token{}
		for _, name := range waiting {
			f, ok := validFrame(w.Host(from), w.Host(name))
			if name == from || !ok || !w.isKnown(name) {
				continue
			}
			t, err := w.Inject(from, f)
			if err != nil {
				return err
			}
			tokens[name] = t
		}
		ctx, cancel := context.WithTimeout(context.Background(), Slowed(resendAfter))
		waiting = slices.DeleteFunc(waiting, func(name string) bool {
			t, asked := tokens[name]
			return !asked || w.Host(name).Capture.Await(ctx, t)
		})
		cancel()
		switch {
		case len(waiting) == 0:
			return nil
		case tries == 1:
			return fmt.Errorf("not received by %v within %s", waiting, Slowed(patienceToConnect))
		}
	}
}

// validFrame is a question from one host for the address of another, in a family that both have;
// false if they have none in common.
func validFrame(from, to *Host) (Frame, bool) {
	if a, b := from.Address(IPv4), to.Address(IPv4); a.IsValid() && b.IsValid() {
		return ARP{Src: from.MAC, Dst: policy.BroadcastMAC, Op: policy.ARPRequest, SHA: from.MAC,
			SPA: a, TPA: b}.Frame(), true
	}
	if a, b := from.Address(IPv6), to.Address(IPv6); a.IsValid() && b.IsValid() {
		group, mac := SolicitedNode(b)
		return ND{Src: from.MAC, Dst: mac, From: a, To: group, HopLimit: 255,
			Type: policy.NeighborSolicitation, Target: b, SLL: from.MAC}.Frame(), true
	}
	return nil, false
}

// Reaches opens a real connection from one host to another, moves data both ways, and returns why
// that fails.
func (w *Crowd) Reaches(from, to string, s Service, f Family) error {
	return w.ReachesWith(from, to, s, f, 0)
}

// ReachesWith is Reaches with this many bytes in each direction.
func (w *Crowd) ReachesWith(from, to string, s Service, f Family, size int) error {
	a, b := w.Host(from), w.Host(to)
	if err := reach(a, a.Address(f), b, b.Address(f), s, size); err != nil {
		return fmt.Errorf("%s to %s, %s over %s: %w", from, to, s, f, err)
	}
	return nil
}

// sourcePort is the next of the ports that opening packets come from: of no connection yet.
var sourcePort atomic.Uint32

// Opening returns the first packet of a connection between two hosts, in one frame.
func (w *Crowd) Opening(from, to string, s Service, f Family) IP {
	a, b := w.Host(from), w.Host(to)
	p := IP{
		Src: a.MAC, Dst: b.MAC, From: a.Address(f), To: b.Address(f), Protocol: s.Protocol,
		SrcPort: uint16(20000 + sourcePort.Add(1)%20000), DstPort: s.Port, Type: s.Type,
		Code: s.Code,
	}
	if s.Protocol.HasTypes() {
		p.Body = make([]byte, 8)
		binary.BigEndian.PutUint16(p.Body, p.SrcPort)
	}
	return p
}

// Admits sends only the first packet of a connection, and says whether it arrives: at its receiver,
// and at nobody else.
func (w *Crowd) Admits(from, to string, s Service, f Family) (bool, error) {
	got, err := w.Receivers(from, w.Opening(from, to, s, f).Frame())
	if err != nil {
		return false, err
	}
	if !w.isInside(to) {
		to = Beyond
	}
	if others := slices.DeleteFunc(slices.Clone(got),
		func(name string) bool { return name == to }); len(others) > 0 {
		return false, fmt.Errorf("%s to %s, %s over %s: seen by %v", from, to, s, f, others)
	}
	return len(got) > 0, nil
}
