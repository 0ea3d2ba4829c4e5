package matrix_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// A group may be called as a network is: each end has a name of its own, and arrows say which.
func TestGroupCalledOutside(t *testing.T) {
	p := &policy.Policy{Groups: []*policy.Group{
		{Name: "outside", Rules: []policy.Rule{policytest.Rule("ingress tcp 22", "0.0.0.0/0")}},
		{Name: "vpn", ExternalSources: policytest.Nets("192.0.2.0/24"),
			Rules: []policy.Rule{policytest.Rule("ingress tcp 80", "outside")}},
		{Name: "db", Rules: []policy.Rule{policytest.Rule("ingress tcp 3306", "vpn"),
			policytest.Rule("egress tcp 443", "10.0.0.1/32")}}},
		Instances: []*policy.Instance{{Name: "i", Groups: []string{"outside"},
			Ports: []policy.Port{{Name: "p1", Addresses: policytest.Nets("10.0.0.1")}}},
			{Name: "j", Groups: []string{"db"},
				Ports: []policy.Port{{Name: "p2", Addresses: policytest.Nets("10.0.0.2")}}}}}
	a, err := matrix.Ask(p, matrix.Question{})
	require.NoError(t, err)
	row := func(from, to string, services ...string) matrix.Row {
		return matrix.Row{From: from, To: to, Services: services, Some: []string{}}
	}
	require.Contains(t, a.Cells, row("outside (network)", "outside", "tcp/22"))
	require.Contains(t, a.Cells, row("external sources of vpn", "db", "tcp/3306"))
	require.NotContains(t, a.Cells, row("outside", "vpn", "tcp/80"), "nobody is in vpn")
	lacks := map[string]string{}
	for _, arrow := range a.Arrows {
		lacks[arrow.From+" to "+arrow.To] = arrow.Lacks
	}
	require.Equal(t, map[string]string{"outside (network) to outside": "",
		"outside to vpn": "no instance of group vpn has an address", "vpn to db": "",
		"db to 10.0.0.1": ""}, lacks)
	// the address is an instance's: what reaches it is told of its group, not of a network
	for _, c := range a.Cells {
		require.NotEqual(t, "10.0.0.1", c.To)
	}
}

// Instances without a group have a line of their own: they may send, and are sent nothing.
func TestInstancesWithoutAGroup(t *testing.T) {
	p := &policy.Policy{Groups: []*policy.Group{{Name: "web",
		Rules: []policy.Rule{policytest.Rule("ingress tcp 80", "0.0.0.0/0")}}},
		Instances: []*policy.Instance{{Name: "i", Groups: []string{"web"},
			Ports: []policy.Port{{Name: "p1", Addresses: policytest.Nets("10.0.0.1")}}},
			{Name: "j", Ports: []policy.Port{{Name: "p2", Addresses: policytest.Nets("10.0.0.2")}}}}}
	a, err := matrix.Ask(p, matrix.Question{})
	require.NoError(t, err)
	require.Contains(t, a.Cells, matrix.Row{From: matrix.NoGroup, To: "web",
		Services: []string{"tcp/80"}, Some: []string{}})
	for _, c := range a.Cells {
		require.NotEqual(t, matrix.NoGroup, c.To)
	}
}
