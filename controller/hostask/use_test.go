package hostask_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/policy"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// counts are those of a host that began at an hour, of rules with the packets that they admitted.
func counts(hour int, rules ...telemetry.RuleCount) *api.Counts {
	return &api.Counts{Counts: telemetry.Counts{Since: epoch.Add(time.Duration(hour) * time.Hour),
		Rules: rules}}
}

func ofRule(group, rule string, packets uint64, since int) telemetry.RuleCount {
	return telemetry.RuleCount{Group: group, Rule: rule, Admitted: telemetry.Traffic{Packets: packets},
		Since: epoch.Add(time.Duration(since) * time.Hour)}
}

// A rule is idle that no host has counted anything of; it is known to be since the youngest count.
func TestIdle(t *testing.T) {
	rule := func(p policy.Protocol) policy.Rule {
		return policy.Rule{Direction: policy.Ingress, Protocol: p, Peers: []policy.Peer{{Group: "web"}}}
	}
	used, idle, unknown := rule(policy.ESP), rule(policy.AH), rule(policy.GRE)
	g := &policy.Group{Name: "db", Rules: []policy.Rule{used, idle, unknown}}
	u := hostask.Uses{}
	u.Add(counts(1, ofRule("db", used.String(), 0, 1), ofRule("db", idle.String(), 0, 7),
		ofRule("other", unknown.String(), 0, 1)))
	u.Add(counts(3, ofRule("db", used.String(), 5, 1), ofRule("db", idle.String(), 0, 1)))
	assert.Equal(t, 2, u.Hosts)
	assert.Equal(t, []hostask.Idle{
		{Group: "db", ID: "b", Rule: idle.String(), Hosts: 2, Since: epoch.Add(7 * time.Hour)},
		{Group: "db", ID: "c", Rule: unknown.String()}},
		u.Idle([]*policy.Group{g}, map[string][]string{"db": {"a", "b", "c"}}))
	assert.Empty(t, u.Idle(nil, nil))
}

// Hosts are asked at the same time: one that is late costs the others nothing, and each that cannot
// be asked is named, in order.
func TestGather(t *testing.T) {
	late := make(chan struct{})
	list := []hostask.Host{{Name: "c", Client: &api.Client{}}, {Name: "b", Why: "it is not known"},
		{Name: "a", Client: &api.Client{}}, {Name: "d", Client: &api.Client{}}}
	var took []string
	missing := hostask.Gather(context.Background(), list,
		func(ctx context.Context, h hostask.Host) (string, error) {
			switch h.Name {
			case "c":
				<-late // until another was asked
			case "d":
				close(late)
			default:
				return "", errors.New("it is broken")
			}
			return h.Name, nil
		}, func(host, answer string) { took = append(took, host+answer) })
	assert.ElementsMatch(t, []string{"cc", "dd"}, took)
	assert.Equal(t, []hostask.Missing{{Host: "a", Why: "it is broken"}, {Host: "b", Why: "it is not known"}},
		missing)
}
