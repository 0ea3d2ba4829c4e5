package telemetry

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file finds first packets that were admitted: connections that the tracker did not know a
// moment ago. The daemon runs [HearAdmitted] as a task. Invariant: nobody looks unless somebody
// watches, and looking costs a bounded part of the time.

const (
	// admittedEvery is how often it is looked for new connections.
	admittedEvery = time.Second
	// restPerReadBack bounds what looking costs ovs-vswitchd: after a look that took a second, this
	// many go by before the next.
	restPerComparison = 10
	// maxCompared is how many connections are compared. Where there are more, what is new among those
	// beyond is not seen, and that is said.
	maxCompared = 200_000
)

// trackedKey is what makes two looks at a connection one.
type trackedKey struct {
	zone             uint16
	protocol         policy.Protocol
	src, dst         netip.Addr
	srcPort, dstPort uint16
	icmp             ICMP
}

func trackedOf(c ofswitch.Connection) trackedKey {
	return trackedKey{c.Zone, c.Protocol, c.Src, c.Dst, c.SrcPort, c.DstPort,
		ICMP{c.ICMPID, c.ICMPType, c.ICMPCode}}
}

// comparison compares what the tracker knows with what it knew.
type comparison struct {
	lister     ConntrackLister
	hub        *agent.Hub
	feed       *Feed
	known      map[trackedKey]uint32 // the epochs in which they were admitted; nil = nothing was known
	names      instanceNames
	policy     *policy.Policy // that the words are of
	words      ruleWords
	lastReason string // why nothing can be compared, as those who watch were told last
}

// HearAdmitted hands connections that are new to those who watch, until ctx ends, and returns nil
// then.
func HearAdmitted(ctx context.Context, lister ConntrackLister, hub *agent.Hub, feed *Feed,
	log *logrus.Entry) error {
	compared := &comparison{lister: lister, hub: hub, feed: feed}
	for {
		isWanted, changed := feed.wanted(VerdictAdmitted)
		var due <-chan time.Time
		if isWanted {
			began := time.Now()
			if err := compared.compare(ctx, began); ctx.Err() == nil {
				compared.report(err, began, log)
			}
			due = time.After(max(admittedEvery, restPerComparison*time.Since(began)))
		} else {
			compared.known, compared.lastReason = nil, ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case <-changed:
			if isWanted { // who comes now sees what comes from now on
				select {
				case <-ctx.Done():
					return nil
				case <-due:
				}
			}
		}
	}
}

// report says why nothing can be compared, once.
func (l *comparison) report(err error, now time.Time, log *logrus.Entry) {
	why := ""
	if err != nil {
		why = err.Error()
		log.WithError(err).Debug("connections cannot be compared")
	}
	if why != "" && why != l.lastReason {
		l.feed.note(VerdictAdmitted, why, now)
	}
	l.lastReason = why
}

// errMore says that connections are not compared.
var errMore = fmt.Errorf("the switch knows more than %d connections: what is admitted is not shown",
	maxCompared)

// compare publishes what is new since the last look. The first finds nothing new.
func (l *comparison) compare(ctx context.Context, now time.Time) error {
	status := l.hub.Snapshot()
	zones := map[uint16]agent.PortStatus{}
	for _, p := range status.Ports {
		if p.Zone != 0 {
			zones[p.Zone] = p
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectionsTime)
	defer cancel()
	next, fresh := map[trackedKey]uint32{}, []ofswitch.Connection{}
	err := l.lister.Connections(ctx, 0, func(c ofswitch.Connection) bool {
		port, ok := zones[c.Zone]
		if !ok || c.Mark < status.OwnEpoch[port.Name] || c.Rule == 0 {
			return true
		}
		key := trackedOf(c)
		next[key] = c.Mark
		if mark, wasThere := l.known[key]; l.known != nil && (!wasThere || mark != c.Mark) {
			fresh = append(fresh, c)
		}
		return len(next) <= maxCompared
	})
	if err == nil && len(next) > maxCompared {
		err = errMore
	}
	if err != nil {
		l.known = nil // what was not seen is not new when it is
		return err
	}
	for _, c := range fresh {
		_, again := l.known[trackedOf(c)]
		l.publish(l.wordsOf(status).describe(c, zones[c.Zone]), status, now, again)
	}
	l.known = next
	return nil
}

// wordsOf knows the rules of the policy in force.
func (l *comparison) wordsOf(s *agent.Snapshot) ruleWords {
	if p := s.InForce; l.policy != p || l.words.rules == nil {
		l.policy, l.words = p, newRuleWords(p, s.Host)
	}
	return l.words
}

// publish hands a connection to those who watch.
func (l *comparison) publish(c Connection, s *agent.Snapshot, now time.Time, again bool) {
	var groups []string
	for _, p := range s.Ports {
		if p.Name == c.Port {
			groups = p.Groups
		}
	}
	l.feed.publish(FirstPacket{Time: now, Verdict: VerdictAdmitted, Port: c.Port,
		Instance: c.Instance, Direction: c.Direction, Protocol: c.Protocol, Src: c.Src,
		SrcPort: c.SrcPort, Dst: c.Dst, DstPort: c.DstPort, ICMP: c.ICMP, Again: again,
		From: l.names.of(s.InForce, c.Src), To: l.names.of(s.InForce, c.Dst), Group: c.Group,
		Rule: c.Rule, At: c.At}, groups)
}
