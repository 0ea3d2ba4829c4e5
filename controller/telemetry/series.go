package telemetry

import (
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file names rules, and decides which have metrics of their own. Invariant: the number of
// time series is bounded.

// openEgress is what is counted as a rule where there is none.
const openEgress = "egress is open"

// ruleIndex knows the rules of a policy by their ids.
type ruleIndex struct {
	policy *policy.Policy
	names  map[uint32]RuleCount
}

// learn makes the index that of a policy. A policy never changes, so it is done once for each.
func (x *ruleIndex) learn(p *policy.Policy) {
	if x.names != nil && x.policy == p {
		return
	}
	x.policy, x.names = p, map[uint32]RuleCount{flows.RuleOpen: {ID: flows.RuleOpen,
		Rule: openEgress}}
	for id, r := range rulesByID(p) {
		x.names[id] = RuleCount{ID: id, Group: r.group, Rule: r.String(), At: r.At.String()}
	}
}

// maxRuleSeries is how many rules have metrics of their own. The others are added up, so that the
// number of time series stays bounded whatever the policy.
const maxRuleSeries = 1000

// otherRules is what the others are called. No rule has such words.
const otherRules = "other rules"

// series decides which rules have metrics of their own: the first ones that are seen, for as long
// as they exist, so that the metric of the others never goes down.
type series struct {
	own    map[uint32]bool    // the rules that have
	others map[uint32]Traffic // those that have not, and their last totals
	gone   Traffic            // of others that no longer exist
}

// assign marks the rules that have metrics of their own, and returns the total of the others, past
// and present.
func (s *series) assign(rules []RuleCount) Traffic {
	own, others := map[uint32]bool{}, map[uint32]Traffic{}
	var fresh []int
	for i, r := range rules {
		if s.own[r.ID] {
			own[r.ID] = true
		} else if _, known := s.others[r.ID]; known {
			others[r.ID] = r.Admitted
		} else {
			fresh = append(fresh, i)
		}
	}
	for id, last := range s.others {
		if _, exists := others[id]; !exists {
			s.gone = s.gone.Plus(last)
		}
	}
	for _, i := range fresh {
		if len(own) < maxRuleSeries {
			own[rules[i].ID] = true
		} else {
			others[rules[i].ID] = rules[i].Admitted
		}
	}
	s.own, s.others = own, others
	sum := s.gone
	for i := range rules {
		rules[i].hasSeries = own[rules[i].ID]
		if !rules[i].hasSeries {
			sum = sum.Plus(rules[i].Admitted)
		}
	}
	return sum
}
