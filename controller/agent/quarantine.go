package agent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is what is left out because the switch refuses flows of it. desire withholds it,
// failed in search.go fills it. Invariant: what is left out is denied, and holds up nobody.

// item is the smallest that can be left out by itself, because the switch refuses flows of it: a
// gain of the policy, or a port's place on the switch.
type item struct {
	gain policy.Gain
	port string // "" = it is the gain
}

// quarantine is what is left out, and what is withheld until it is known whether the switch refuses
// it: see search.go. Both are denied, and hold up nobody.
type quarantine struct {
	refused map[item]string // what the switch says
	order   []item          // of these, who was tried longest ago first
	search  search
	spared  map[uint8]bool // tables that take no more shortcuts
	due     bool           // what is refused is to be tried again

	of, rest *policy.Policy // rest is what is left of the policy; nil = to be made anew
}

// refuse leaves items out. What was refused already goes to the end of the order.
func (q *quarantine) refuse(items []item, reason string) {
	if q.refused == nil {
		q.refused = map[item]string{}
	}
	for _, i := range items {
		if _, known := q.refused[i]; known {
			q.order = slices.DeleteFunc(q.order, func(o item) bool { return o == i })
		}
		q.refused[i], q.order = reason, append(q.order, i)
	}
	q.rest = nil
}

// accept notes that the switch has taken items.
func (q *quarantine) accept(items []item) {
	for _, i := range items {
		delete(q.refused, i)
	}
	q.order = slices.DeleteFunc(q.order, func(o item) bool {
		_, still := q.refused[o]
		return !still
	})
}

// renew is for another policy: what is refused stays so if the policy still has it, and nothing is
// known of what is new. The search begins again with what takes permissions.
func (q *quarantine) renew(p *policy.Policy) {
	q.rest, q.due = nil, true
	q.search.renew()
	if len(q.refused) == 0 {
		return
	}
	has := map[item]bool{}
	for _, g := range policy.Gains(&policy.Policy{}, p) {
		has[item{gain: g}] = true
	}
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			has[item{port: port.Name}] = true
		}
	}
	maps.DeleteFunc(q.refused,
		func(i item, _ string) bool { return i.gain.Kind != policy.OpeningGain && !has[i] })
	q.accept(nil)
}

// out returns what is not to be in force now, and why.
func (q *quarantine) out() map[item]string {
	out := map[item]string{}
	for _, i := range q.search.withheld() {
		out[i] = "withheld until it is known what the switch refuses"
	}
	maps.Copy(out, q.refused)
	for _, i := range q.search.trial {
		delete(out, i)
	}
	return out
}

// reduced returns the policy without what is left out: the same pointer as long as nothing changes.
func (q *quarantine) reduced(before, p *policy.Policy) *policy.Policy {
	if q.of == p && q.rest != nil {
		return q.rest
	}
	gains := map[policy.Gain]bool{}
	for i := range q.out() {
		if i.port == "" {
			gains[i.gain] = true
		}
	}
	q.of, q.rest = p, policy.Withhold(before, p, gains)
	return q.rest
}

// withhold tells the plan which ports are left out.
func (q *quarantine) withhold(p *plan, wanted *policy.Policy) {
	refused := q.describePorts(wanted)
	for i, reason := range q.out() {
		switch line, isRefused := refused[i.port]; {
		case i.port == "":
		case isRefused:
			p.refuse(i.port, line)
		default:
			p.await(i.port, reason)
		}
	}
	if p.policy == wanted {
		return
	}
	left := map[string]bool{}
	for _, i := range p.policy.Instances {
		for _, port := range i.Ports {
			left[port.Name] = true
		}
	}
	for _, port := range p.ports {
		if !left[port.Name] {
			p.await(port.Name, "its instance is left out: the switch refuses flows of it, or "+
				"that is not known yet")
		}
	}
}

// describe returns one line for each thing but a port that is left out: where it is, what it is,
// and what the switch says.
func (q *quarantine) describe(p *policy.Policy) []string {
	if len(q.refused) == 0 {
		return nil
	}
	var out []string
	tell := func(i item, at policy.Position, format string, about ...any) {
		if reason, refused := q.refused[i]; refused {
			out = append(out, fmt.Sprintf("%s: %s: left out: %s", at, fmt.Sprintf(format, about...),
				reason))
		}
	}
	for _, g := range p.Groups {
		tell(item{gain: policy.GainOfOpening(g)}, g.At, "group %s: open egress", g.Name)
		for _, n := range g.ExternalSources {
			tell(item{gain: policy.GainOfSource(g, n)}, g.At, "group %s: external source %s",
				g.Name, n)
		}
		for _, rule := range g.Rules {
			tell(item{gain: policy.GainOfRule(g, rule)}, rule.At, "group %s: %s", g.Name, rule)
		}
	}
	for _, i := range p.Instances {
		tell(item{gain: policy.GainOfInstance(i)}, i.At, "instance %s: what is new of it", i.Name)
	}
	return out
}

// describePorts returns one line for each local port that is left out, by its name: where it is,
// and what the switch says.
func (q *quarantine) describePorts(p *policy.Policy) map[string]string {
	out := map[string]string{}
	if len(q.refused) == 0 {
		return out
	}
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if reason, refused := q.refused[item{port: port.Name}]; refused {
				out[port.Name] = fmt.Sprintf("%s: port %s: left out: %s", port.At, port.Name,
					reason)
			}
		}
	}
	return out
}

// blame returns what a flow that the switch refuses is of, as far as that is among the suspects;
// without suspects it is anything. Of the rules that share a flow it is those that are new to the
// switch, by the flows that it lacks.
func (r *reconciler) blame(p *policy.Policy, f openflow.Flow, suspects []item) []item {
	of, _ := r.compiler.Origin(f)
	isNew := map[uint32]bool{}
	for _, added := range r.installed.pending.Add {
		if o, _ := r.compiler.Origin(added); o.Verdict == flows.VerdictAdmitted {
			isNew[o.Rule] = true
		}
	}
	var rules, fresh, port []item
	for _, rule := range r.compiler.RulesOf(f) {
		i := item{gain: policy.Gain{Kind: policy.RuleGain, Group: rule.Group, What: rule.Words}}
		if rules = append(rules, i); isNew[rule.ID] {
			fresh = append(fresh, i)
		}
	}
	if of.Port != "" {
		port = []item{{port: of.Port}}
	}
	for _, of := range [][]item{fresh, port, instanceOf(p, of.Port), rules} {
		if suspects != nil {
			of = slices.DeleteFunc(of, func(i item) bool { return !slices.Contains(suspects, i) })
		}
		if len(of) > 0 {
			return of
		}
	}
	return nil
}

// instanceOf returns the instance of a port.
func instanceOf(p *policy.Policy, port string) (out []item) {
	for _, i := range p.Instances {
		if slices.ContainsFunc(i.Ports, func(p policy.Port) bool { return p.Name == port }) {
			out = append(out, item{gain: policy.GainOfInstance(i)})
		}
	}
	return out
}
