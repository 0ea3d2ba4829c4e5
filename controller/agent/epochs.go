package agent

import (
	"context"
	"maps"
	"math"
	"time"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// A connection carries the epoch that its port had when it was admitted; one whose epoch is not the
// port's present one is judged by the rules again. So a port must get a new epoch whenever a
// connection may exist that carries the old one and that the new rules may not admit. A new epoch
// that was not needed costs each connection one look at the rules, and no packet; an old epoch that
// was wrongly kept lets a connection live that nothing admits. In doubt: a new one.
//
// A port keeps its epoch only
//   - if the switch runs, for all that we know, a program of ours with this very epoch, of which
//     the port has lost nothing, or
//   - if the epoch was given in this run and no switch has seen it yet.
//
// This covers what would each be a rule of its own otherwise: a new port, a zone that is used
// again, a port that left the policy and came back, a port whose device comes back late, a start
// after somebody changed the policy while the controller was away, flows edited by hand, and a
// crash between the write-ahead and the bundle. It also makes a restart with nothing changed free:
// what the switch holds is recognised as a program of ours.

// zoneEpoch is a zone and an epoch, which are given to a port together: the epoch's newness is
// about that zone.
type zoneEpoch struct {
	zone  uint16
	epoch uint32
}

// candidate is a program that the switch may be running: the last acknowledged one, and those whose
// bundle failed in a way that leaves it open whether it was committed.
type candidate struct {
	input        flows.Input
	fingerprint  flows.Fingerprint // of the program
	flows        int
	flows.Limits                      // of the program
	zoneEpochs   map[string]zoneEpoch // by port
}

// newCandidate is the program that a compiler has now, of this input.
func newCandidate(in flows.Input, c *flows.Compiler) candidate {
	a := candidate{input: in, fingerprint: c.Fingerprint(), flows: c.Len(), Limits: c.Limits(),
		zoneEpochs: make(map[string]zoneEpoch, len(in.Bindings))}
	for _, b := range in.Bindings {
		a.zoneEpochs[b.Port] = zoneEpoch{b.Zone, b.Epoch}
	}
	return a
}

// maxCandidates bounds how much is remembered. What is forgotten is in doubt, and so costs new
// epochs.
const maxCandidates = 4

// maxAhead is how far ahead of the clock a stored revision or epoch may be and still be believed.
// Revisions begin at the time in seconds and count changes, which are far fewer than seconds; what
// is further ahead was written by somebody else, or before the clock went back.
const maxAhead = 24 * time.Hour

// marksTime bounds the look at the epochs that connections carry.
const marksTime = 5 * time.Second

// epochs knows which epochs may still be used.
type epochs struct {
	running []candidate
	issued  map[string]zoneEpoch // by port: given in this run, and not in any candidate yet
	highest uint32               // revision so far, of those believed
}

// believed returns the rows without the numbers that cannot be ours: a port without an epoch gets a
// new one. A revision that is not believed is that of this run so far, which holds whatever the
// clock says; 0 = there is none.
func (e *epochs) believed(snap bridge.Snapshot, now time.Time) bridge.Snapshot {
	isOurs := func(n uint32) bool { return n <= e.highest || isNear(n, now, maxAhead) }
	if snap.Revision == 0 || !isOurs(snap.Revision) {
		snap.Revision = e.highest
	}
	ports := make(map[string]bridge.Port, len(snap.Ports))
	for name, row := range snap.Ports {
		if !isOurs(row.Epoch) {
			row.Epoch = 0
		}
		row.Unflushed = min(row.Unflushed, row.Epoch)
		ports[name] = row
	}
	snap.Ports = ports
	// what comes after it must be believed, too
	if !isNear(snap.Neighbours.Revision, now, maxAhead/2) {
		snap.Neighbours.Revision = 0
	}
	return snap
}

// lastBelieved is the highest number that is believed whatever the clock says: it leaves room to
// count on.
const lastBelieved = math.MaxUint32 - 1<<24

// isNear says whether a number is at most so far ahead of the time in seconds.
func isNear(n uint32, now time.Time, ahead time.Duration) bool {
	return int64(n) <= min(now.Add(ahead).Unix(), lastBelieved)
}

// firstRevision is where revisions begin if none is known. The database may have been lost, or the
// clock may have gone back, while the kernel still knows connections that carry old epochs. So it
// is the time in seconds, which no count of changes has reached, or what the latest of these
// connections carries, if that is later.
func (r *reconciler) firstRevision(ctx context.Context, now time.Time) uint32 {
	first := uint32(min(max(0, now.Unix()), lastBelieved))
	if r.opts.Conntrack == nil {
		return first
	}
	ctx, cancel := context.WithTimeout(ctx, marksTime)
	defer cancel()
	err := r.opts.Conntrack.Connections(ctx, 0, func(c ofswitch.Connection) bool {
		if isNear(c.Mark, now, maxAhead/2) { // what comes after it must be believed, too
			first = max(first, c.Mark)
		}
		return true
	})
	if err != nil {
		r.log.WithError(err).Info("it is not known which epochs the connections carry; the " +
			"first revision is the time")
	}
	return first
}

// decide gives each port of the plan its epoch.
func (e *epochs) decide(p *plan, isSwitchUp bool) {
	if isSwitchUp {
		e.renew(p)
	} else {
		e.complete(p)
	}
}

// complete gives an epoch to every port of the plan that has none for its zone. The others keep
// theirs: as long as the switch is not there, nothing can be said of what it runs, and nothing is
// programmed.
func (e *epochs) complete(p *plan) {
	e.assign(p, func(string, zoneEpoch) bool { return true })
}

// renew gives a new epoch to every port of the plan that may not keep its own.
func (e *epochs) renew(p *plan) {
	lost := e.revokedPorts(p)
	e.assign(p, func(port string, stored zoneEpoch) bool { return e.mayKeep(port, stored, lost) })
}

// assign decides about the epoch of each port: the stored one, or the next revision.
func (e *epochs) assign(p *plan, mayKeep func(port string, stored zoneEpoch) bool) {
	e.highest = max(e.highest, p.revision)
	next := e.highest + 1
	for i := range p.ports {
		port := &p.ports[i]
		stored := zoneEpoch{port.row.Zone, port.row.Epoch}
		issued := e.issued[port.Name]
		switch {
		case stored.zone == port.zone && stored.epoch != 0 &&
			(!port.isBound() || mayKeep(port.Name, stored)):
			// keeps it
		case issued.zone == port.zone && issued.epoch > stored.epoch:
			port.epoch = issued.epoch // the database has not taken it yet
		default:
			port.epoch = next
		}
		p.revision = max(p.revision, port.epoch)
	}
	e.highest = max(e.highest, p.revision)
	e.given(p)
}

// revokedPorts names, for each candidate, the ports that could do something under it that they may
// not do under the plan.
func (e *epochs) revokedPorts(p *plan) []map[string]bool {
	out := make([]map[string]bool, len(e.running))
	for i, a := range e.running {
		out[i] = map[string]bool{}
		if a.input.Policy == p.policy {
			continue
		}
		for _, name := range flows.RevokedPorts(a.input, flows.Input{Policy: p.policy, Site: p.site}) {
			out[i][name] = true
		}
	}
	return out
}

// mayKeep says whether no connection can carry the port's stored epoch that the plan might not
// admit.
func (e *epochs) mayKeep(port string, stored zoneEpoch, lost []map[string]bool) bool {
	known := e.issued[port] == stored
	for i, a := range e.running {
		given, ran := a.zoneEpochs[port]
		switch {
		case ran && given.epoch > stored.epoch:
			return false // somebody set the row back
		case given == stored && lost[i][port]:
			return false
		case given == stored:
			known = true
		}
	}
	return known
}

// given notes the epochs that are about to be written to the database.
func (e *epochs) given(p *plan) {
	issued := map[string]zoneEpoch{}
	for _, port := range p.ports {
		now := zoneEpoch{port.zone, port.epoch}
		if now != (zoneEpoch{port.row.Zone, port.row.Epoch}) || e.issued[port.Name] == now {
			issued[port.Name] = now
		}
	}
	e.issued = issued
}

// acknowledged notes that the switch runs this program and no other.
func (e *epochs) acknowledged(a candidate) {
	e.see(a)
	e.running = []candidate{a}
}

// uncertain notes that the switch may run this program, or may have run it.
func (e *epochs) uncertain(a candidate) {
	e.see(a)
	if len(e.running) == maxCandidates {
		e.invalidate()
		return
	}
	if n := len(e.running); n > 0 && e.running[n-1].input.Policy == a.input.Policy &&
		maps.Equal(e.running[n-1].zoneEpochs, a.zoneEpochs) {
		return
	}
	e.running = append(e.running, a)
}

func (e *epochs) see(a candidate) {
	for name := range a.zoneEpochs {
		delete(e.issued, name)
	}
}

// invalidate forgets everything about the switch: it holds, or may hold, flows that no program of
// ours has.
func (e *epochs) invalidate() { e.running = nil }
