package controller

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/controller/ofctl"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// poison is what is left out because the switch refuses flows of it, until the policy changes or everything is looked at again. What is
// left out is denied, and holds up nobody.
type poison struct {
	ports map[string]string // what the switch says, by port
	rules map[string]string // and by flows.RuleKey

	of   *policy.Policy // reduced is of this policy
	rest *policy.Policy
}

// nobody is the peer of an egress rule that is left out: a group without members, by a name that no file can have. The rule stays as one
// that admits nothing, because if it went altogether it could open all egress.
var nobody = policy.Peer{Group: "\x00refused"}

// reduced returns the policy without the rules that are left out: the same pointer as long as nothing changes.
func (q *poison) reduced(p *policy.Policy) *policy.Policy {
	if len(q.rules) == 0 {
		return p
	}
	if q.of == p {
		return q.rest
	}
	rest := *p
	rest.Groups = make([]*policy.Group, len(p.Groups))
	for i, g := range p.Groups {
		left := *g
		left.Rules = nil
		for _, rule := range g.Rules {
			_, refused := q.rules[flows.RuleKey(g.Name, rule)]
			if refused && rule.Direction == policy.Egress {
				rule.Peer, refused = nobody, false
			}
			if !refused {
				left.Rules = append(left.Rules, rule)
			}
		}
		rest.Groups[i] = &left
	}
	q.of, q.rest = p, &rest
	return q.rest
}

// told returns one line for each rule that is left out: where it is, what it is, and what the switch says.
func (q *poison) told(p *policy.Policy) []string {
	var out []string
	for _, g := range p.Groups {
		for _, rule := range g.Rules {
			if reason, refused := q.rules[flows.RuleKey(g.Name, rule)]; refused {
				out = append(out, fmt.Sprintf("%s: group %s: %s: left out: %s", rule.At, g.Name, rule, reason))
			}
		}
	}
	return out
}

// failed draws the conclusions from a bundle that failed. If it failed of a flow of one port, or of a rule, that is left out from the next
// turn on.
func (r *reconciler) failed(a attempt, err error) {
	var rejected *ofctl.RejectedError
	if !errors.As(err, &rejected) || isOfMeter(rejected) {
		r.epochs.uncertain(a)
		r.held.known = false
		return
	}
	if port, ok := portOf(a.input, rejected.Flow); ok {
		r.log.WithField("port", port).WithError(err).Error("the port is left out")
		if r.poison.ports == nil {
			r.poison.ports = map[string]string{}
		}
		r.poison.ports[port] = rejected.Error()
		return
	}
	for _, key := range rulesOf(a.input.Policy, rejected.Flow) {
		if r.poison.rules == nil {
			r.poison.rules = map[string]string{}
		}
		r.poison.rules[key], r.poison.of = rejected.Error(), nil
	}
	for _, line := range r.poison.told(r.policy) {
		r.log.WithField("rule", line).Error("the rule is left out")
	}
}

// portOf returns the port that a flow is about, if it is about one: it enters by it or is judged by its rules. A flow that says by itself
// what a rule admits is about that rule.
func portOf(in flows.Input, f flows.Flow) (string, bool) {
	if c := flows.CountedOf(f); c.Verdict == flows.VerdictAdmitted && c.Rule != flows.RuleOpen {
		return "", false
	}
	fields := strings.Split(f.Match, ",")
	for _, b := range in.Bindings {
		if slices.Contains(fields, fmt.Sprintf("in_port=%d", b.OFPort)) || slices.Contains(fields, fmt.Sprintf("reg1=0x%x", b.Zone)) {
			return b.Port, true
		}
	}
	return "", false
}

var inConjunction = regexp.MustCompile(`conjunction\((\d+),`)

// rulesOf returns the keys of the rules that a flow is a part of: several, where they share a peer or a service.
func rulesOf(p *policy.Policy, f flows.Flow) []string {
	named := map[uint32]bool{}
	if c := flows.CountedOf(f); c.Verdict == flows.VerdictAdmitted {
		named[c.Rule] = true
	}
	for _, m := range inConjunction.FindAllStringSubmatch(f.Actions, -1) {
		if id, err := strconv.ParseUint(m[1], 10, 32); err == nil {
			named[uint32(id)] = true
		}
	}
	var out []string
	for key, id := range flows.RuleIDs(p) {
		if named[id] {
			out = append(out, key)
		}
	}
	return out
}
