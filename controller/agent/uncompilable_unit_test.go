package agent

import (
	"io"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// A rule that is left out is out of what is in force until the policy is another one; ports and
// addresses are out as long as a program does without them.
func TestUnfit(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	g := &policy.Group{Name: "g", Rules: []policy.Rule{{Direction: policy.Ingress,
		Protocol: policy.TCP, Peers: []policy.Peer{{Group: "g"}}},
		{Direction: policy.Egress, Protocol: policy.UDP, Peers: []policy.Peer{{Group: "g"}}},
		{Direction: policy.Ingress, Protocol: policy.UDP, Peers: []policy.Peer{{Group: "g"}}}}}
	p := &policy.Policy{Groups: []*policy.Group{g}}
	var u uncompilable
	require.Same(t, p, u.reduced(p))
	require.False(t, u.note([]flows.LeftOut{{What: "address", Reason: "r"}, {What: "port a",
		Port: "a", Reason: "r"}}, logrus.NewEntry(log)))
	require.Same(t, p, u.reduced(p))
	require.Equal(t, []string{"address: left out: r"}, u.describe())

	rule := func(n int) flows.LeftOut {
		return flows.LeftOut{What: g.Rules[n].String(), Rule: flows.RuleKey("g", g.Rules[n]),
			Reason: "r"}
	}
	require.True(t, u.note([]flows.LeftOut{rule(0), rule(1)}, logrus.NewEntry(log)))
	rest := u.reduced(p)
	require.Same(t, rest, u.reduced(p))
	require.Len(t, rest.Groups[0].Rules, 2)
	require.Equal(t, policy.Egress, rest.Groups[0].Rules[0].Direction)
	require.NotEqual(t, "g", rest.Groups[0].Rules[0].Peers[0].Group,
		"it admits nobody, and closes egress")
	require.Equal(t, g.Rules[2], rest.Groups[0].Rules[1])
	require.Len(t, g.Rules, 3, "the policy itself is not touched")

	require.False(t, u.note(nil, logrus.NewEntry(log)), "the reduced policy has them no more")
	require.Len(t, u.describe(), 2)
	require.True(t, u.note([]flows.LeftOut{rule(2)}, logrus.NewEntry(log)))
	require.Len(t, u.reduced(p).Groups[0].Rules, 1)
}
