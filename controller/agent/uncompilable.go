package agent

import (
	"maps"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is what a program does without because it cannot be compiled. program in sync.go
// fills it, desire takes it out of the policy.

// uncompilable is what programs of one policy do without because it cannot be compiled. A rule
// stays out until the policy is another one: it is taken out of what is in force, so that its loss
// counts as one, and connections that it admitted are judged again.
type uncompilable struct {
	rules map[string]flows.LeftOut // by flows.RuleKey
	now   []flows.LeftOut          // of the last program: ports and addresses

	of, rest *policy.Policy
}

// note takes down what a program does without, and says whether there is a rule that was not known.
func (u *uncompilable) note(left []flows.LeftOut, log *logrus.Entry) bool {
	known := len(u.rules)
	before := u.now
	u.now = nil
	for _, l := range left {
		if l.Rule == "" {
			u.now = append(u.now, l)
		} else if _, told := u.rules[l.Rule]; !told {
			if u.rules == nil {
				u.rules = map[string]flows.LeftOut{}
			}
			u.rules[l.Rule], u.of = l, nil
			log.Error(l)
		}
	}
	for _, l := range u.now {
		if !slices.Contains(before, l) {
			log.Error(l)
		}
	}
	return len(u.rules) > known
}

// reduced returns the policy without the rules that are left out: the same pointer as long as
// nothing changes. An egress rule stays as one that admits nobody, because without it all egress
// could be open.
func (u *uncompilable) reduced(p *policy.Policy) *policy.Policy {
	if len(u.rules) == 0 {
		return p
	}
	if u.of == p {
		return u.rest
	}
	out := make(map[policy.Gain]bool, len(u.rules))
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			if _, isOut := u.rules[flows.RuleKey(g.Name, r)]; isOut {
				out[policy.GainOfRule(g, r)] = true
			}
		}
	}
	u.of, u.rest = p, policy.Withhold(&policy.Policy{}, p, out)
	return u.rest
}

// refuse notes in a plan which ports are left out.
func (u *uncompilable) refuse(p *plan) {
	for _, l := range u.now {
		if l.Port != "" {
			p.refuse(l.Port, l.String())
		}
	}
}

// describe returns one line for each thing but a port that is left out.
func (u *uncompilable) describe() []string {
	var out []string
	for _, l := range u.now {
		if l.Port == "" {
			out = append(out, l.String())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.rules)) {
		out = append(out, u.rules[key].String())
	}
	return out
}
