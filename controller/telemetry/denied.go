package telemetry

import (
	"context"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file hears of denied packets, and logs them. The daemon runs [HearDenied] as a task.
// Invariant: the log grows by a bounded number of lines a second.

// PacketInSource is shown packets that the rules deny.
type PacketInSource interface {
	// WatchDenied hands packets that flows of ours show to take, until the connection to the switch
	// ends or ctx does.
	WatchDenied(ctx context.Context, take func(ofswitch.Denied)) error
}

const (
	// deniedAgain is how long a packet like one that was logged is not logged again.
	deniedAgain = time.Minute
	// deniedKept bounds how many are remembered for that.
	deniedKept = 4096
	// deniedLines is how many lines a second the log gets of denied packets, and how many at once
	// after a pause.
	deniedLines = 50
	// After the switch went away it is tried again after minRetry, then after twice as long, up to
	// maxRetry.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// HearDenied logs the first packet of what rules deny at ports that ask for it, and hands each that
// is shown to those who watch, until ctx ends, and returns nil then. It listens to the switch only
// while flows show such packets; the flows do not depend on whether it does.
func HearDenied(ctx context.Context, source PacketInSource, hub *agent.Hub, feed *Feed,
	entry *logrus.Entry) error {
	heard := deniedSink{log: newDeniedLog(entry, hub.Snapshot), feed: feed, hub: hub}
	for pauses := agent.NewBackOff(minRetry, maxRetry); ; {
		if _, err := hub.Await(ctx, showsDenied); err != nil {
			return nil
		}
		began := time.Now()
		listening, stop := context.WithCancel(ctx)
		go func() {
			defer stop()
			_, _ = hub.Await(listening, func(s *agent.Snapshot) bool { return !showsDenied(s) })
		}()
		err := source.WatchDenied(listening,
			func(d ofswitch.Denied) { heard.handle(d, time.Now()) })
		if listening.Err() == nil {
			heard.log.log.WithError(err).Debug("not listening for denied packets")
		}
		stop()
		if time.Since(began) > maxRetry {
			pauses.Reset()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pauses.NextBackOff()):
		}
	}
}

// deniedSink is what becomes of a packet that is shown. It is not safe for concurrent use.
type deniedSink struct {
	log   *deniedLog
	feed  *Feed
	hub   *agent.Hub
	names instanceNames
}

// handle logs a packet if its port's are logged, and hands it to those who watch.
func (h *deniedSink) handle(d ofswitch.Denied, now time.Time) {
	s := h.hub.Snapshot()
	var port agent.PortStatus
	for _, p := range s.Ports {
		if p.Zone == d.Zone {
			port = p
		}
	}
	if s.LogsDenied[port.Name] {
		h.log.record(d, now)
	}
	direction := flows.DirectionOf(flows.TableID(d.Table))
	p := FirstPacket{Time: now, Verdict: VerdictDenied, Port: port.Name, Instance: port.Instance,
		Direction: direction.String(), Protocol: d.Protocol.String(), Src: d.Src, Dst: d.Dst,
		SrcPort: d.SrcPort, DstPort: d.DstPort, Again: d.IsKnown,
		From: h.names.of(s.InForce, d.Src), To: h.names.of(s.InForce, d.Dst),
		Reason: deniedReason(d, direction)}
	if d.Protocol.HasTypes() {
		p.SrcPort, p.DstPort, p.ICMP = 0, 0, &ICMP{Type: d.ICMPType, Code: d.ICMPCode}
	}
	h.feed.publish(p, port.Groups)
}

func showsDenied(s *agent.Snapshot) bool { return s.ShowsDenied }

// deniedKey is what makes two denied packets alike: the source port is not part of it where there
// is a destination port, so that somebody who tries again is logged once.
type deniedKey struct {
	table    uint8
	zone     uint16
	protocol policy.Protocol
	src, dst netip.Addr
	port     uint16 // the destination's, or ICMP's type and code
	isReply  bool
}

func keyOf(d ofswitch.Denied) deniedKey {
	k := deniedKey{d.Table, d.Zone, d.Protocol, d.Src, d.Dst, d.DstPort, d.IsReply}
	if d.Protocol.HasTypes() {
		k.port = uint16(d.ICMPType)<<8 | uint16(d.ICMPCode)
	}
	return k
}

// deniedLog decides what of the denied packets is logged. It is not safe for concurrent use.
type deniedLog struct {
	log      *logrus.Entry
	snapshot func() *agent.Snapshot
	seen     map[deniedKey]time.Time // when it was logged
	lines    *rate.Limiter
	unlogged int // packets that there was no room for since the last line
}

func newDeniedLog(log *logrus.Entry, snapshot func() *agent.Snapshot) *deniedLog {
	return &deniedLog{log: log, snapshot: snapshot,
		lines: rate.NewLimiter(deniedLines, deniedLines)}
}

// record logs a packet unless one like it was logged a moment ago, or too many are.
func (l *deniedLog) record(d ofswitch.Denied, now time.Time) {
	key := keyOf(d)
	if at, ok := l.seen[key]; ok && now.Sub(at) < deniedAgain {
		return
	}
	if !l.lines.AllowN(now, 1) {
		l.unlogged++
		return
	}
	l.remember(key, now)
	line := l.log.WithFields(deniedFields(d, l.snapshot()))
	if l.unlogged > 0 {
		line = line.WithField("unlogged", l.unlogged)
		l.unlogged = 0
	}
	line.Info("denied")
}

// remember forgets everything where there is too much to remember: then a packet is logged again,
// as often as lines may be written.
func (l *deniedLog) remember(key deniedKey, now time.Time) {
	if len(l.seen) >= deniedKept {
		for k, at := range l.seen {
			if now.Sub(at) >= deniedAgain {
				delete(l.seen, k)
			}
		}
	}
	if len(l.seen) >= deniedKept || l.seen == nil {
		l.seen = map[deniedKey]time.Time{}
	}
	l.seen[key] = now
}

// deniedFields puts a packet into the words of the log.
func deniedFields(d ofswitch.Denied, s *agent.Snapshot) logrus.Fields {
	direction := flows.DirectionOf(flows.TableID(d.Table))
	f := logrus.Fields{"direction": direction.String(), "protocol": d.Protocol.String(),
		"src": d.Src.String(), "dst": d.Dst.String(),
		"reason": deniedReason(d, direction)}
	for _, p := range s.Ports {
		if p.Zone == d.Zone {
			f["port"], f["instance"] = p.Name, p.Instance
		}
	}
	switch {
	case d.IsLaterFragment:
		f["fragment"] = "later"
	case d.Protocol.HasPorts():
		f["src_port"], f["dst_port"] = d.SrcPort, d.DstPort
	case d.Protocol.HasTypes():
		f["icmp_type"], f["icmp_code"] = d.ICMPType, d.ICMPCode
	}
	if d.TCPFlags != "" {
		f["tcp_flags"] = d.TCPFlags
	}
	return f
}

// deniedReason says why a packet is denied.
func deniedReason(d ofswitch.Denied, direction policy.Direction) string {
	switch {
	case d.IsReply:
		return "it answers a connection that no " + direction.Opposite().String() +
			" rule admits any more"
	case d.IsKnown:
		return "its connection is one that no " + direction.String() + " rule admits any more"
	}
	return "no " + direction.String() + " rule admits it"
}
