package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file finds out what of a refused bundle is to blame. apply in sync.go calls failed and
// taken. Invariant: what takes permissions is in force before anything that grants some is
// tried.

// A switch takes a bundle or refuses it, and names one flow at most. What it refuses is found so:
//
//  1. What the first refusal names is left out, and the rest is tried again whole: mostly that is
//     all there is.
//  2. If that is refused, too, all that the program adds to the one before is withheld: the policy's
//     gains and the ports that are new on the switch. What is left only takes permissions. It is the
//     program of a policy between the old and the new one, with new epochs where these are due, and
//     needs no more flows than the old one but for rules that are written in another shape.
//  3. If the switch refuses even that, the flows that go and those that replace others are sent
//     alone; if it refuses these, what would be replaced goes. Neither needs room in a table. What is
//     missing then admits nothing.
//  4. What is withheld is tried in halves. Each bundle is the program of a policy that permits more
//     than the one before and no more than the new one. What is refused alone is left out, and so is
//     what a refusal names.
//
// Each step is a turn, without a pause: whatever changes meanwhile is in the next one, and another
// policy begins again with step 2.
type search struct {
	active bool // what the program adds is withheld, but for what was taken since
	// the switch is empty, and refuses what it once held: that is withheld, too
	fromNothing bool
	queue       [][]item // withheld; the last is tried next
	trial       []item   // tried in this turn
	// something was left out because a refusal named it, and nothing was taken since
	named bool
	// bundles that may still be spent on what is known to be refused; 0 = that is not what is tried
	tries int
}

// triesAgain is how many bundles are spent on what is known to be refused each time that it is
// tried again.
const triesAgain = 16

// errSearching says that not all of the policy is in force yet.
var errSearching = errors.New("the switch refuses a part of what is new: what is taken away is " +
	"in force, the rest is tried in halves")

func (s *search) withheld() []item { return slices.Concat(s.queue...) }

// renew is for another policy: nothing is known of it, so nothing is tried before what takes
// permissions.
func (s *search) renew() {
	s.named = false
	if s.tries > 0 {
		*s = search{}
	}
	if len(s.trial) > 0 {
		s.queue, s.trial = append(s.queue, s.trial), nil
	}
}

// begin withholds what was refused together.
func (s *search) begin(refused []item) {
	s.active, s.trial = true, refused
	s.halve(nil)
	s.trial = nil
}

// next takes what is to be tried next, if there is any.
func (s *search) next() bool {
	n := len(s.queue)
	if s.trial = nil; n == 0 {
		return false
	}
	s.queue, s.trial = s.queue[:n-1], s.queue[n-1]
	return true
}

// halve puts back what was tried, without what was found of it.
func (s *search) halve(found []item) {
	left := slices.DeleteFunc(s.trial, func(i item) bool { return slices.Contains(found, i) })
	half := (len(left) + 1) / 2
	for _, part := range [][]item{left[half:], left[:half]} {
		if len(part) > 0 {
			s.queue = append(s.queue, slices.Clone(part))
		}
	}
	if s.tries > 0 {
		if s.tries--; s.tries == 0 {
			s.queue = nil
		}
	}
}

// before returns the program that the switch held last, and whether it is known; none, if it is to
// begin from nothing.
func (r *reconciler) before() (flows.Input, bool) {
	nothing := flows.Input{Policy: &policy.Policy{}}
	switch empty := r.installed.known && r.installed.flows == 0; {
	case r.last.Policy == nil:
		return nothing, empty
	case empty && r.quarantine.search.fromNothing:
		return nothing, true
	}
	return r.last, true
}

// suspects returns what the program adds to the one before, but for what is left out already:
// instances and ports before the rules, which mean no flows without them.
func (r *reconciler) suspects() []item {
	before, _ := r.before()
	ports := r.newPorts(before)
	var instances, rest []item
	gains := policy.Gains(before.Policy, r.uncompilable.reduced(r.policy))
	for _, g := range slices.Concat(r.idleRules(before, ports), gains) {
		if i := (item{gain: g}); g.Kind == policy.InstanceGain {
			instances = append(instances, i)
		} else {
			rest = append(rest, i)
		}
	}
	known := maps.Clone(r.quarantine.refused)
	if known == nil {
		known = map[item]string{}
	}
	return slices.DeleteFunc(slices.Concat(instances, ports, rest), func(i item) bool {
		_, out := known[i]
		known[i] = "" // a rule may be there twice
		return out
	})
}

// newPorts returns the ports that have another place on the switch than before, or had none.
func (r *reconciler) newPorts(before flows.Input) (out []item) {
	had := make(map[flows.Binding]bool, len(before.Bindings))
	for _, b := range before.Bindings {
		b.Epoch = 0
		had[b] = true
	}
	for _, p := range r.plan.ports {
		if p.isBound() && p.refused == "" && !had[flows.Binding{Port: p.Name, OFPort: p.row.OFPort,
			Zone: p.zone}] {
			out = append(out, item{port: p.Name})
		}
	}
	return out
}

// idleRules returns the rules that meant no flows before, because no port had them, and that new
// ports have.
func (r *reconciler) idleRules(before flows.Input, ports []item) (out []policy.Gain) {
	if len(ports) == 0 {
		return nil
	}
	bound := map[string]bool{} // false = a new port
	for _, b := range before.Bindings {
		bound[b.Port] = true
	}
	for _, p := range ports {
		bound[p.port] = false
	}
	fresh := map[string]bool{}
	for _, i := range r.policy.Instances {
		for _, port := range i.Ports {
			old, isHere := bound[port.Name]
			for _, g := range i.Groups {
				if known, ok := fresh[g]; isHere {
					fresh[g] = !old && (known || !ok)
				}
			}
		}
	}
	for _, g := range r.policy.Groups {
		if fresh[g.Name] {
			for _, rule := range g.Rules {
				out = append(out, policy.GainOfRule(g, rule))
			}
		}
	}
	return out
}

// widen withholds what has become new while the search goes on.
func (r *reconciler) widen() {
	s := &r.quarantine.search
	if !s.active || r.plan == nil {
		return
	}
	known := map[item]bool{}
	for _, i := range slices.Concat(s.withheld(), s.trial) {
		known[i] = true
	}
	strays := slices.DeleteFunc(r.suspects(), func(i item) bool { return known[i] })
	if len(strays) > 0 {
		s.queue = slices.Insert(s.queue, 0, strays)
		r.quarantine.rest = nil
	}
}

// failed draws the conclusions from a bundle that failed.
func (r *reconciler) failed(ctx context.Context, a candidate, err error) {
	var rejected *ofswitch.RejectedError
	if !errors.As(err, &rejected) || rejected.IsOfMeter() {
		r.epochs.uncertain(a)
		r.installed.known = false
		return
	}
	q, s := &r.quarantine, &r.quarantine.search
	_, known := r.before()
	among := s.trial
	if known && !s.active {
		among = r.suspects()
	}
	blamed := r.blame(a.input.Policy, rejected.Flow, among)
	switch {
	case r.isShortcut(rejected.Flow) && !q.spared[rejected.Flow.Table]:
		r.spare(rejected)
	case len(s.trial) > 0:
		r.narrow(blamed, rejected)
	case len(among) > 0 && len(blamed) == 1 && !s.named:
		s.named = true
		r.leaveOut(blamed, rejected)
	case len(among) > 0:
		s.begin(among)
		q.rest = nil
	default:
		r.applyRevocations(ctx, a)
		if !r.learnFromNothing(blamed, rejected) {
			return
		}
	}
	r.goOn()
}

// spare has a table do without shortcuts that it does not hold.
func (r *reconciler) spare(because *ofswitch.RejectedError) {
	if r.quarantine.spared == nil {
		r.quarantine.spared = map[uint8]bool{}
	}
	r.quarantine.spared[because.Flow.Table], r.muted = true, true
	r.log.WithError(because).Warn("packets of known connections are judged by the rules, each " +
		"of them, where this flow is missing")
}

// isShortcut says whether a flow lets pass only what the rules would be asked about without it: the
// connections of a port's present epoch. Only ICMP errors about these are lost where it is missing.
func (r *reconciler) isShortcut(f openflow.Flow) bool {
	of, _ := r.compiler.Origin(f)
	return of.Verdict == flows.VerdictEstablished
}

// isSpared says whether a table does without a flow.
func (r *reconciler) isSpared(f openflow.Flow) bool {
	return r.quarantine.spared[f.Table] && r.isShortcut(f)
}

// learnFromNothing is for what is refused although it adds nothing. It says whether there is
// something else to try.
func (r *reconciler) learnFromNothing(blamed []item, rejected *ofswitch.RejectedError) bool {
	s := &r.quarantine.search
	switch {
	case len(blamed) > 0:
		r.leaveOut(blamed, rejected)
	case r.installed.known && r.installed.flows == 0 && !s.fromNothing:
		s.fromNothing, s.active = true, true // all of it is withheld from the next turn on
	default:
		return false
	}
	return true
}

// goOn has the next turn follow without a pause: something was learned.
func (r *reconciler) goOn() {
	r.learned = true
	r.again.set()
}

// leaveOut leaves items out, and says so where it is new.
func (r *reconciler) leaveOut(items []item, because *ofswitch.RejectedError) {
	fresh := quarantine{refused: map[item]string{}}
	for _, i := range items {
		if _, known := r.quarantine.refused[i]; !known {
			fresh.refused[i] = because.Error()
		}
	}
	r.quarantine.refuse(items, because.Error())
	for _, line := range slices.AppendSeq(fresh.describe(r.policy),
		maps.Values(fresh.describePorts(r.policy))) {
		r.log.WithField("what", line).
			Error("the switch refuses flows; what they are of is left out")
	}
}

// warnings tell of flows that the switch does without.
func (r *reconciler) warnings() (out []string) {
	if r.done.InnerTags {
		out = append(out, "what the uplinks send with a priority tag (802.1Q, VLAN 0) is "+
			"dropped: other_config:vlan-limit of Open_vSwitch is not 1")
	}
	if r.offload {
		out = append(out, "flows go to hardware, or to tc, where most of this was not tried: "+
			"other_config:hw-offload of Open_vSwitch is true; set it to false and restart ovs-vswitchd")
	}
	n := 0
	for _, f := range r.installed.pending.Add {
		if r.isSpared(f) {
			n++
		}
	}
	if n == 0 {
		return out
	}
	return append(out, fmt.Sprintf("the switch refuses %d flows for known connections: their "+
		"packets are judged by the rules, each of them, and ICMP errors about them are lost", n))
}

// narrow is for what was tried and refused.
func (r *reconciler) narrow(blamed []item, because *ofswitch.RejectedError) {
	s := &r.quarantine.search
	if len(s.trial) == 1 {
		blamed = s.trial
	} else if len(blamed) > 1 {
		blamed = nil // they share a flow: halves tell them apart
	}
	r.leaveOut(blamed, because)
	r.muted = s.tries > 0 // nothing has changed
	s.halve(blamed)
	s.next()
	r.quarantine.rest = nil
}

// applyRevocations sends what takes permissions of a program that the switch refuses, without
// anything that needs room in a table. What it lacks then stays to be sent.
func (r *reconciler) applyRevocations(ctx context.Context, a candidate) {
	for _, split := range []func(openflow.Delta) (take, rest openflow.Delta){openflow.Delta.Taking,
		openflow.Delta.Deleting} {
		take, rest := split(r.installed.pending)
		if take.Empty() {
			return
		}
		err := r.opts.Switch.Apply(ctx, take)
		if rejected := new(ofswitch.RejectedError); errors.As(err, &rejected) {
			continue
		}
		r.epochs.uncertain(a)
		if r.installed.known = err == nil; r.installed.known {
			r.log.Warn("the switch refuses the flows that are to be changed; what takes " +
				"permissions is in force, and something else may be missing")
			r.setInstalled(a, rest)
		}
		return
	}
}

// setInstalled notes that the switch holds a program but for the rest.
func (r *reconciler) setInstalled(a candidate, rest openflow.Delta) {
	r.installed = installed{known: true, fingerprint: a.fingerprint.Without(rest.Add),
		flows: a.flows - len(rest.Add), pending: rest}
}

// taken goes on after a program was taken: with what is still withheld, and then with what was
// refused long ago.
func (r *reconciler) taken(a candidate) {
	q, s := &r.quarantine, &r.quarantine.search
	if a.input.Policy != q.rest {
		return // another one is aimed at already
	}
	if len(s.trial) > 0 && s.tries > 0 {
		r.log.WithField("items", len(s.trial)).Info("the switch takes what it refused")
	}
	q.accept(s.trial)
	s.named = false
	if !s.next() {
		*s = search{}
		if !q.due || len(q.refused)+len(q.spared) == 0 {
			return
		}
		q.due, q.spared = false, nil
		*s = search{tries: triesAgain, trial: slices.Clone(q.order)}
	}
	q.rest = nil
	r.goOn()
}
