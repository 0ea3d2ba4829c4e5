package hostask

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/policy"
)

// What rules have admitted on all hosts that answered. Invariant: nothing is called unused but
// since a time, and on hosts that are counted.

// RuleKey is a rule by its words, which are the same on every host.
type RuleKey struct{ Group, Rule string }

// RuleUse is what a rule has admitted on the hosts that answered.
type RuleUse struct {
	Admitted telemetry.Traffic
	Hosts    int       // that have flows of it
	Since    time.Time // the latest beginning of a count among them
}

// Uses are what hosts have counted.
type Uses struct {
	Rules map[RuleKey]RuleUse
	Hosts int // that answered
}

// Add adds what one host has counted.
func (u *Uses) Add(counts *api.Counts) {
	if u.Rules == nil {
		u.Rules = map[RuleKey]RuleUse{}
	}
	u.Hosts++
	for _, one := range counts.Rules {
		key := RuleKey{one.Group, one.Rule}
		sum := u.Rules[key]
		sum.Admitted = sum.Admitted.Plus(one.Admitted)
		sum.Hosts++
		for _, at := range []time.Time{counts.Since, one.Since} {
			if at.After(sum.Since) {
				sum.Since = at
			}
		}
		u.Rules[key] = sum
	}
}

// Counts asks hosts what they have counted.
func Counts(ctx context.Context, list []Host, take func(host string, counts *api.Counts)) []Missing {
	return Gather(ctx, list, func(ctx context.Context, h Host) (*api.Counts, error) {
		return h.Client.Counts(ctx)
	}, take)
}

// Idle is a rule that has admitted nothing.
type Idle struct {
	Group string `json:"group"`
	ID    string `json:"id"`
	Rule  string `json:"rule"`
	// Hosts are those that answered and have flows of it; 0 = none has, so that nobody counts it
	Hosts int `json:"hosts"`
	// Since is when the youngest of their counts began, or the rule was first seen
	Since time.Time `json:"since,omitzero"`
}

// Key is what puts idle rules in order; no two have the same.
func (i Idle) Key() string { return i.Group + "\t" + i.Rule + "\t" + i.ID }

// Idle are the rules of some groups that have admitted nothing, in order; ids are those of the
// rules of each group.
func (u *Uses) Idle(groups []*policy.Group, ids map[string][]string) []Idle {
	out := []Idle{}
	for _, g := range groups {
		for n, rule := range g.Rules {
			one := Idle{Group: g.Name, Rule: rule.String()}
			use := u.Rules[RuleKey{one.Group, one.Rule}]
			if use.Admitted.Packets > 0 {
				continue
			}
			if one.Hosts, one.Since = use.Hosts, use.Since; n < len(ids[g.Name]) {
				one.ID = ids[g.Name][n]
			}
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b Idle) int { return cmp.Compare(a.Key(), b.Key()) })
	return out
}
