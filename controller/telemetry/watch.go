package telemetry

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file hands first packets to those who watch. denied.go and admitted.go publish, api
// subscribes. Invariant: nobody who watches holds up anybody: who is slow loses, and is told how
// many.

// The verdicts about a first packet.
const (
	VerdictAdmitted = "admitted"
	VerdictDenied   = "denied"
	// VerdictNote is none: the reason says what cannot be seen.
	VerdictNote = "note"
)

// FirstPacket is what a port's rules said of the first packet of a connection, or of one that they
// deny, as JSON of the API.
type FirstPacket struct {
	// when it was seen: of an admitted one within a look at the connections, mostly a second
	Time      time.Time  `json:"time"`
	Verdict   string     `json:"verdict"`   // admitted, denied; or note: Reason says what cannot be seen
	Port      string     `json:"port"`      // whose rules said so
	Instance  string     `json:"instance"`  // of the port
	Direction string     `json:"direction"` // seen from the instance
	Protocol  string     `json:"protocol"`
	Src       netip.Addr `json:"src"`
	SrcPort   uint16     `json:"src_port,omitempty"`
	Dst       netip.Addr `json:"dst"`
	DstPort   uint16     `json:"dst_port,omitempty"`
	ICMP      *ICMP      `json:"icmp,omitempty"`
	From      string     `json:"from,omitempty"`      // the instance that has Src
	To        string     `json:"to,omitempty"`        // the instance that has Dst
	Again     bool       `json:"again,omitempty"`     // a known connection that was judged again
	Group     string     `json:"group,omitempty"`     // whose rule admitted it
	Rule      string     `json:"rule,omitempty"`      // in words
	At        string     `json:"at,omitempty"`        // file:line:column of the rule
	Reason    string     `json:"reason,omitempty"`    // why it is denied
	NotShown  uint64     `json:"not_shown,omitempty"` // how many were lost before this one
}

// WatchQuery says what somebody wants to see; the zero WatchQuery: all.
type WatchQuery struct {
	Verdict  string // "" = both
	From, To string // an instance, a group, an address or a network; "" = any
	Group    string // of the port's instance, "" = any
	Port     string // whose rules decide, "" = any
	Instance string // of that port, "" = any
	Protocol string // "" = any
}

// Watching is one who watches.
type Watching struct {
	packets chan FirstPacket
	lost    atomic.Uint64
	query   WatchQuery
	from    peerNames
	to      peerNames
}

// Packets is where first packets come.
func (w *Watching) Packets() <-chan FirstPacket { return w.packets }

// Lost returns how many were lost since it was asked last, because they were not taken in time.
func (w *Watching) Lost() uint64 { return w.lost.Swap(0) }

// watchRoom is how many first packets wait for one who watches.
const watchRoom = 512

// Feed hands first packets to all who watch. The zero Feed is ready; its methods may be called from
// any goroutine.
type Feed struct {
	mu       sync.Mutex
	watching map[*Watching]bool
	changed  chan struct{} // closed when somebody comes or goes
}

// maxWatching is how many can watch at once.
const maxWatching = 32

// ErrTooMany says that too many watch.
var ErrTooMany = fmt.Errorf("%d watch already", maxWatching)

// Subscribe begins to watch; the error is [ErrTooMany], or wraps [ErrUnknownPort] where a name is
// not known. Who watches must leave.
func (f *Feed) Subscribe(status *agent.Snapshot, q WatchQuery) (*Watching, error) {
	if _, err := newAsked(status, ConnectionsQuery{Port: q.Port, Instance: q.Instance,
		Group: q.Group, Protocol: q.Protocol}); err != nil {
		return nil, err
	}
	w := &Watching{packets: make(chan FirstPacket, watchRoom), query: q}
	var err error
	if w.from, err = newPeerNames(status.InForce, q.From); err != nil {
		return nil, err
	}
	if w.to, err = newPeerNames(status.InForce, q.To); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watching) >= maxWatching {
		return nil, ErrTooMany
	}
	if f.watching == nil {
		f.watching = map[*Watching]bool{}
	}
	f.watching[w] = true
	f.notify()
	return w, nil
}

// Leave ends watching.
func (f *Feed) Leave(w *Watching) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watching, w)
	f.notify()
}

func (f *Feed) notify() {
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

// wanted says whether somebody wants to see a verdict, and what is closed when that may change.
func (f *Feed) wanted(verdict string) (bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	for w := range f.watching {
		if w.query.wantsVerdict(verdict) {
			return true, f.changed
		}
	}
	return false, f.changed
}

func (q WatchQuery) wantsVerdict(verdict string) bool {
	return q.Verdict == "" || q.Verdict == verdict
}

// publish hands a first packet to all who want to see it. It never waits.
func (f *Feed) publish(p FirstPacket, groups []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watching {
		if !w.wants(p, groups) {
			continue
		}
		select {
		case w.packets <- p:
		default:
			w.lost.Add(1)
		}
	}
}

// note tells all who want to see a verdict why there is none.
func (f *Feed) note(verdict, why string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watching {
		if w.query.wantsVerdict(verdict) {
			select {
			case w.packets <- FirstPacket{Time: now, Verdict: VerdictNote, Reason: why}:
			default:
				w.lost.Add(1)
			}
		}
	}
}

// wants says whether a first packet is one that is watched; groups are those of its instance.
func (w *Watching) wants(p FirstPacket, groups []string) bool {
	q := w.query
	return q.wantsVerdict(p.Verdict) && (q.Port == "" || q.Port == p.Port) &&
		(q.Instance == "" || q.Instance == p.Instance) &&
		(q.Group == "" || slices.Contains(groups, q.Group)) &&
		(q.Protocol == "" || sameProtocol(q.Protocol, p.Protocol)) &&
		w.from.has(p.Src) && w.to.has(p.Dst)
}

func sameProtocol(asked, seen string) bool {
	a, _ := policy.ParseProtocol(asked)
	b, _ := policy.ParseProtocol(seen)
	return a == b
}

// instanceNames names the instances that own addresses, for as long as a policy is in force.
type instanceNames struct {
	policy *policy.Policy
	names  map[netip.Addr]string
}

// of is the instance that owns an address; "" = none does.
func (n *instanceNames) of(p *policy.Policy, a netip.Addr) string {
	if n.policy != p || n.names == nil {
		n.policy, n.names = p, map[netip.Addr]string{}
		if p != nil {
			for _, i := range p.Instances {
				for _, port := range i.Ports {
					for _, own := range port.Addresses {
						n.names[own.Addr()] = cmp.Or(n.names[own.Addr()], i.Name)
					}
				}
			}
		}
	}
	return n.names[a]
}
