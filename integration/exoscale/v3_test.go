package exoscale

import (
	"context"
	"testing"

	v3 "github.com/exoscale/egoscale/v3"
	"github.com/exoscale/egoscale/v3/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Egoscale v3 is what exo, the Terraform provider and new programs are made of.

// third is a client of v3, which goes where the list of zones leads, as exo does.
type third struct {
	*v3.Client
	t *testing.T
}

func (c *cloud) third(p pair) third {
	c.t.Helper()
	client, err := v3.NewClient(credentials.NewStaticCredentials(p.Key, p.Secret),
		v3.ClientOptWithEndpoint(v3.Endpoint(c.url+"/v2")))
	require.NoError(c.t, err)
	zones, err := client.ListZones(c.t.Context())
	require.NoError(c.t, err)
	found, err := zones.FindZone(zone)
	require.NoError(c.t, err)
	return third{client.WithEndpoint(found.APIEndpoint), c.t}
}

// done waits for an operation, and returns what it is about.
func (c third) done(op *v3.Operation, err error) v3.UUID {
	c.t.Helper()
	require.NoError(c.t, err)
	op, err = c.Wait(c.t.Context(), op, v3.OperationStateSuccess)
	require.NoError(c.t, err)
	return op.Reference.ID
}

// words are what a refusal says, which exo prints behind the name of its status.
func words(t *testing.T, err error) string {
	t.Helper()
	refused := new(v3.APIError)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, refused.Message, refused.Detail)
	return refused.Message
}

// group finds a group as exo does: by its name, in the list.
func (c third) group(name string) v3.SecurityGroup {
	c.t.Helper()
	list, err := c.ListSecurityGroups(c.t.Context())
	require.NoError(c.t, err)
	found, err := list.FindSecurityGroup(name)
	require.NoError(c.t, err)
	return found
}

// TestV3Groups makes a group with a rule of each kind by version 3 of the client, reads every rule
// back as it was sent, and takes all of it away.
func TestV3Groups(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.third(c.key("--role", "editor", "--project", "acme")), t.Context()
	web := ego.done(ego.CreateSecurityGroup(ctx, v3.CreateSecurityGroupRequest{Name: "web",
		Description: "the front"}))
	assert.Equal(t, web, ego.group("web").ID)
	assert.Contains(t, c.exported(), `name: "acme/web"`)
	const open = "0.0.0.0/0"
	sent := []v3.AddRuleToSecurityGroupRequest{
		{FlowDirection: "ingress", Protocol: "tcp", StartPort: 80, EndPort: 80, Network: open,
			Description: "web"},
		{FlowDirection: "ingress", Protocol: "udp", StartPort: 8000, EndPort: 8999,
			SecurityGroup: &v3.SecurityGroupResource{ID: web}},
		{FlowDirection: "ingress", Protocol: "icmp", Network: "192.0.2.0/24",
			ICMP: &v3.AddRuleToSecurityGroupRequestICMP{Type: to(int64(8)), Code: to(int64(0))}},
		{FlowDirection: "egress", Protocol: "icmpv6", Network: "::/0",
			ICMP: &v3.AddRuleToSecurityGroupRequestICMP{Type: to(int64(128)), Code: to(int64(-1))}},
		{FlowDirection: "egress", Protocol: "esp", Network: "::/0"},
		{FlowDirection: "ingress", Protocol: "tcp", StartPort: 443, EndPort: 443,
			SecurityGroup: &v3.SecurityGroupResource{Name: "globex/balancers", Visibility: "public"}},
	}
	for n, rule := range sent {
		assert.Equal(t, web, ego.done(ego.AddRuleToSecurityGroup(ctx, web, rule)), "the group's ID")
		group, err := ego.GetSecurityGroup(ctx, web)
		require.NoError(t, err)
		require.Len(t, group.Rules, n+1)
		assert.Equal(t, 1, ego.found(group.Rules, rule), "%+v in %+v", rule, group.Rules)
	}
	for _, rule := range ego.group("web").Rules {
		ego.done(ego.DeleteRuleFromSecurityGroup(ctx, web, rule.ID))
	}
	assert.Empty(t, ego.group("web").Rules)
	ego.done(ego.DeleteSecurityGroup(ctx, web))
	_, err := ego.GetSecurityGroup(ctx, web)
	assert.ErrorIs(t, err, v3.ErrNotFound)
}

// found counts the rules that say what was sent, as the Terraform provider compares them.
func (c third) found(list []v3.SecurityGroupRule, want v3.AddRuleToSecurityGroupRequest) (n int) {
	for _, r := range list {
		isSame := string(r.FlowDirection) == string(want.FlowDirection) &&
			string(r.Protocol) == string(want.Protocol) && r.StartPort == want.StartPort &&
			r.EndPort == want.EndPort && r.Network == want.Network && r.Description == want.Description
		isICMP := (r.ICMP == nil) == (want.ICMP == nil)
		if isICMP && r.ICMP != nil {
			isICMP = r.ICMP.Type == *want.ICMP.Type && r.ICMP.Code == *want.ICMP.Code
		}
		isPeer := (r.SecurityGroup == nil) == (want.SecurityGroup == nil)
		if isPeer && r.SecurityGroup != nil && want.SecurityGroup.ID != "" {
			isPeer = r.SecurityGroup.ID == want.SecurityGroup.ID
		}
		if isSame && isICMP && isPeer {
			n++
		}
	}
	return n
}

// TestV3Members adds sources and members by version 3, and lists instances with their groups.
func TestV3Members(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.third(c.key("--role", "editor", "--project", "acme")), t.Context()
	web := ego.done(ego.CreateSecurityGroup(ctx, v3.CreateSecurityGroupRequest{Name: "web"}))
	ego.done(ego.AddExternalSourceToSecurityGroup(ctx, web,
		v3.AddExternalSourceToSecurityGroupRequest{Cidr: "198.51.100.0/24"}))
	assert.Equal(t, []string{"198.51.100.0/24"}, ego.group("web").ExternalSources)
	list, err := ego.ListInstances(ctx)
	require.NoError(t, err)
	app, err := list.FindListInstancesResponseInstances("app-1")
	require.NoError(t, err)
	ego.done(ego.AttachInstanceToSecurityGroup(ctx, web, v3.AttachInstanceToSecurityGroupRequest{
		Instance: &v3.Instance{ID: app.ID}}))
	one, err := ego.GetInstance(ctx, app.ID)
	require.NoError(t, err)
	require.Len(t, one.SecurityGroups, 1)
	assert.Equal(t, web, one.SecurityGroups[0].ID)
	_, err = ego.DeleteSecurityGroup(ctx, web)
	require.ErrorIs(t, err, v3.ErrConflict)
	assert.Contains(t, words(t, err), `needed by instance "app-1"`)
	c.nextSecond()
	ego.done(ego.DetachInstanceFromSecurityGroup(ctx, web, v3.DetachInstanceFromSecurityGroupRequest{
		Instance: &v3.Instance{ID: app.ID}}))
	ego.done(ego.RemoveExternalSourceFromSecurityGroup(ctx, web,
		v3.RemoveExternalSourceFromSecurityGroupRequest{Cidr: "198.51.100.0/24"}))
	ego.done(ego.DeleteSecurityGroup(ctx, web))
}

// TestV3Refusals are told in words, by the errors that exo prints.
func TestV3Refusals(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.third(c.key("--role", "editor", "--project", "acme")), t.Context()
	ego.done(ego.CreateSecurityGroup(ctx, v3.CreateSecurityGroupRequest{Name: "web"}))
	_, err := ego.CreateSecurityGroup(ctx, v3.CreateSecurityGroupRequest{Name: "web",
		Description: "again"})
	require.ErrorIs(t, err, v3.ErrConflict)
	assert.Contains(t, words(t, err), `there is a group "web" already`)
	globex := c.third(c.key("--role", "editor", "--project", "globex")).group("secret")
	_, err = ego.GetSecurityGroup(ctx, globex.ID)
	require.ErrorIs(t, err, v3.ErrNotFound, "it is another project's")
	viewer := c.third(c.key("--role", "viewer", "--project", "acme"))
	_, err = viewer.CreateSecurityGroup(ctx, v3.CreateSecurityGroupRequest{Name: "db"})
	require.ErrorIs(t, err, v3.ErrForbidden)
	forged, err := v3.NewClient(credentials.NewStaticCredentials("EXOnobody", "secret"),
		v3.ClientOptWithEndpoint(v3.Endpoint(c.url+"/v2")))
	require.NoError(t, err)
	_, err = forged.ListSecurityGroups(context.WithoutCancel(ctx))
	require.Error(t, err)
	_, err = ego.ListSSHKeys(ctx)
	require.ErrorIs(t, err, v3.ErrNotImplemented)
	assert.Contains(t, words(t, err), "Portcullis serves security groups only")
}
