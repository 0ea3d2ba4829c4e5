package exoscale

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v2 "github.com/exoscale/egoscale/v2"
	"github.com/exoscale/egoscale/v2/api"
	"github.com/exoscale/egoscale/v2/oapi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGroups makes, finds, reads and removes groups by Exoscale's client, and sees them in the
// policy.
func TestGroups(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.client(c.key("--role", "editor", "--project", "acme")), t.Context()
	c.sees(ego, "lists")
	made, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web"),
		Description: to("the <front> & more")})
	require.NoError(t, err)
	assert.Equal(t, "web", *made.Name)
	assert.Equal(t, "the <front> & more", *made.Description)
	assert.Contains(t, c.exported(), `name: "acme/web"`)
	c.sees(ego, "lists", "web")

	found, err := ego.FindSecurityGroup(ctx, zone, "web")
	require.NoError(t, err)
	assert.Equal(t, made, found)
	_, err = ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web")})
	require.ErrorIs(t, err, api.ErrInvalidRequest)
	assert.ErrorContains(t, err, `there is a group "web" already`)
	_, err = ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("other/web")})
	assert.ErrorContains(t, err, "has no slash")
	_, err = ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("")})
	require.ErrorIs(t, err, api.ErrInvalidRequest)

	require.NoError(t, ego.DeleteSecurityGroup(ctx, zone, made))
	c.sees(ego, "lists")
	assert.NotContains(t, c.exported(), "acme/web")
	c.nextSecond()
	require.ErrorIs(t, ego.DeleteSecurityGroup(ctx, zone, made), api.ErrNotFound)
	_, err = ego.GetSecurityGroup(ctx, zone, *made.ID)
	require.ErrorIs(t, err, api.ErrNotFound)
	_, err = ego.FindSecurityGroup(ctx, zone, "web")
	require.ErrorIs(t, err, api.ErrNotFound)
}

// rules are one of each kind that a client can send.
func rules(peer string) []*v2.SecurityGroupRule {
	one := func(direction, protocol string) *v2.SecurityGroupRule {
		return &v2.SecurityGroupRule{FlowDirection: &direction, Protocol: &protocol}
	}
	nets := func(text string) *net.IPNet { _, n, _ := net.ParseCIDR(text); return n }
	var out []*v2.SecurityGroupRule
	for _, protocol := range []string{"tcp", "udp"} {
		r := one("ingress", protocol)
		r.StartPort, r.EndPort, r.Network = to(uint16(8000)), to(uint16(8999)), nets("0.0.0.0/0")
		r.Description = to("web")
		out = append(out, r)
	}
	for _, protocol := range []string{"ah", "esp", "gre", "ipip"} {
		r := one("egress", protocol)
		r.Network = nets("::/0")
		if protocol == "ah" {
			r.Network = nets("192.0.2.0/24")
		}
		out = append(out, r)
	}
	echo, any4, any6 := one("ingress", "icmp"), one("ingress", "icmp"), one("egress", "icmpv6")
	echo.ICMPType, echo.ICMPCode, echo.Network = to(int64(8)), to(int64(0)), nets("192.0.2.0/24")
	any4.ICMPType, any4.ICMPCode, any4.Network = to(int64(-1)), to(int64(-1)), nets("192.0.2.0/24")
	any6.ICMPType, any6.ICMPCode, any6.SecurityGroupID = to(int64(128)), to(int64(-1)), &peer
	byName := one("ingress", "tcp")
	byName.StartPort, byName.EndPort = to(uint16(443)), to(uint16(443))
	byName.SecurityGroupName, byName.Visibility = to("globex/balancers"), to("public")
	network := one("ingress", "tcp")
	network.StartPort, network.EndPort = to(uint16(22)), to(uint16(22))
	network.SecurityGroupName, network.Visibility = to("offices"), to("public")
	return append(out, echo, any4, any6, byName, network)
}

// TestRules makes a rule of every kind, reads each back as it was sent, and removes them one by
// one.
func TestRules(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.client(c.key("--role", "editor", "--project", "acme")), t.Context()
	web, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web")})
	require.NoError(t, err)
	db, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("db")})
	require.NoError(t, err)
	var made []*v2.SecurityGroupRule
	for _, want := range rules(*db.ID) {
		got, err := ego.CreateSecurityGroupRule(ctx, zone, web, want)
		require.NoError(t, err, *want.Protocol)
		made = append(made, got)
		id := got.ID
		same := *got
		same.ID = nil
		if want.ICMPType == nil {
			assert.Nil(t, got.ICMPType)
		}
		assert.Equal(t, want, &same)
		assert.NotEmpty(t, id)
	}
	exported := c.exported()
	for _, words := range []string{"ports: 8000-8999", "protocol: ipip", "icmp_type: 8",
		`group: "acme/db"`, `group: "globex/balancers"`, "cidr: offices"} {
		assert.Contains(t, exported, words)
	}
	assert.ErrorContains(t, ego.DeleteSecurityGroup(ctx, zone, db), `needed by group "web"`)
	for n, rule := range made {
		require.NoError(t, ego.DeleteSecurityGroupRule(ctx, zone, web, rule))
		if n == 0 {
			c.nextSecond()
			require.ErrorIs(t, ego.DeleteSecurityGroupRule(ctx, zone, web, rule), api.ErrNotFound)
		}
		now, err := ego.GetSecurityGroup(ctx, zone, *web.ID)
		require.NoError(t, err)
		assert.ElementsMatch(t, made[n+1:], now.Rules)
	}
	require.NoError(t, ego.DeleteSecurityGroup(ctx, zone, db))
}

// TestRulesOfTheSameWords have two IDs, and the one that is meant goes.
func TestRulesOfTheSameWords(t *testing.T) {
	c := newCloud(t)
	key := c.key("--role", "editor", "--project", "acme")
	ego, ctx := c.client(key), t.Context()
	web, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web")})
	require.NoError(t, err)
	const body = `{"flow-direction":"ingress","protocol":"esp","network":"0.0.0.0/0"}`
	for range 2 {
		got := c.send(key, http.MethodPost, "/v2/security-group/"+*web.ID+"/rules", body)
		require.Equal(t, 200, got.status, got.text)
		assert.Contains(t, got.text, `"reference":{"id":"`+*web.ID+`"`, "the group's, not the rule's")
		assert.Contains(t, got.text, `"state":"success"`)
	}
	now, err := ego.GetSecurityGroup(ctx, zone, *web.ID)
	require.NoError(t, err)
	require.Len(t, now.Rules, 2)
	assert.NotEqual(t, *now.Rules[0].ID, *now.Rules[1].ID)
	require.NoError(t, ego.DeleteSecurityGroupRule(ctx, zone, web, now.Rules[0]))
	left, err := ego.GetSecurityGroup(ctx, zone, *web.ID)
	require.NoError(t, err)
	assert.Equal(t, now.Rules[1:], left.Rules)
}

// TestSourcesAndMembers adds and removes them, twice each: a client may repeat what it has sent.
func TestSourcesAndMembers(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.client(c.key("--role", "editor", "--project", "acme")), t.Context()
	web, err := ego.CreateSecurityGroup(ctx, zone, &v2.SecurityGroup{Name: to("web")})
	require.NoError(t, err)
	app := c.instances(ego)["app-1"]
	require.NotNil(t, app)
	for range 2 {
		for _, cidr := range []string{"198.51.100.0/24", "2001:db8::/32"} {
			require.NoError(t, ego.AddExternalSourceToSecurityGroup(ctx, zone, web, cidr))
		}
		require.NoError(t, ego.AttachInstanceToSecurityGroup(ctx, zone, app, web))
		c.nextSecond()
	}
	now, err := ego.GetSecurityGroup(ctx, zone, *web.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"198.51.100.0/24", "2001:db8::/32"}, *now.ExternalSources)
	app, err = ego.GetInstance(ctx, zone, *app.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{*web.ID}, *app.SecurityGroupIDs)
	assert.ErrorContains(t, ego.DeleteSecurityGroup(ctx, zone, web), `needed by instance "app-1"`)
	assert.ErrorContains(t, ego.AddExternalSourceToSecurityGroup(ctx, zone, web, "198.51.100.7/24"),
		"write 198.51.100.0/24")
	for range 2 {
		require.NoError(t, ego.RemoveExternalSourceFromSecurityGroup(ctx, zone, web, "2001:db8::/32"))
		require.NoError(t, ego.DetachInstanceFromSecurityGroup(ctx, zone, app, web))
		c.nextSecond()
	}
	now, err = ego.GetSecurityGroup(ctx, zone, *web.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"198.51.100.0/24"}, *now.ExternalSources)
	assert.Nil(t, c.instances(ego)["app-1"].SecurityGroupIDs)
	require.NoError(t, ego.DeleteSecurityGroup(ctx, zone, web))
	require.ErrorIs(t, ego.AttachInstanceToSecurityGroup(ctx, zone, app, web), api.ErrNotFound)
}

// nextSecond waits for the clock: a request that is signed in the same second is the same request.
func (c *cloud) nextSecond() {
	began := time.Now().Unix()
	c.eventually(func() bool { return time.Now().Unix() > began })
}

func (c *cloud) instances(ego *v2.Client) map[string]*v2.Instance {
	c.t.Helper()
	list, err := ego.ListInstances(c.t.Context(), zone)
	require.NoError(c.t, err)
	out := map[string]*v2.Instance{}
	for _, i := range list {
		out[*i.Name] = i
	}
	return out
}

// TestInstances reads instances, and what clients ask of them beside.
func TestInstances(t *testing.T) {
	c := newCloud(t)
	key := c.key("--role", "viewer", "--project", "acme")
	ego, ctx := c.client(key), t.Context()
	list := c.instances(ego)
	require.Len(t, list, 2)
	app := list["app-1"]
	assert.Equal(t, "running", *app.State)
	assert.Equal(t, "stopped", *list["app-2"].State)
	assert.Equal(t, "203.0.113.11", app.PublicIPAddress.String())
	assert.Equal(t, "2001:db8:9::11", app.IPv6Address.String())
	assert.Nil(t, list["app-2"].PublicIPAddress)
	one, err := ego.GetInstance(ctx, zone, *app.ID)
	require.NoError(t, err)
	assert.Equal(t, app, one)
	kind, err := ego.GetInstanceType(ctx, zone, *app.InstanceTypeID)
	require.NoError(t, err)
	assert.Equal(t, "portcullis", *kind.Family)
	_, err = ego.GetTemplate(ctx, zone, *app.TemplateID)
	require.NoError(t, err)
	for _, path := range []string{"instance/x", "template/x", "instance-type/x",
		"reverse-dns/instance/" + *app.ID} {
		assert.Equal(t, 404, c.send(key, http.MethodGet, "/v2/"+path, "").status, path)
	}
	got := c.send(key, http.MethodGet, "/v2/instance/"+*app.ID, "")
	for _, key := range []string{`"secureboot-enabled":false`, `"tpm-enabled":false`,
		`"instance-type":{"id":"`, `"template":{"id":"`, `"mac-address":"02:00:00:00:00:11"`} {
		assert.Contains(t, got.text, key)
	}
	found, err := ego.ListInstances(ctx, zone, v2.ListInstancesByIpAddress("203.0.113.12"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, app.ID, found[0].ID)
	found, err = ego.ListInstances(ctx, zone, v2.ListInstancesByIpAddress("203.0.113.21"))
	require.NoError(t, err)
	assert.Empty(t, found, "it is another project's")
	found, err = ego.ListInstances(ctx, zone, v2.ListInstancesByManagerType("instance-pool"))
	require.NoError(t, err)
	assert.Empty(t, found)
}

// TestListsAreShownInParts: what a rule of files says that this API has no words for is shown all
// the same, and cannot be removed in parts.
func TestListsAreShownInParts(t *testing.T) {
	c := newCloud(t)
	ego, ctx := c.client(c.key("--role", "editor", "--project", "acme")), t.Context()
	group, err := ego.FindSecurityGroup(ctx, zone, "lists")
	require.NoError(t, err)
	ids := map[string]bool{}
	var words []string
	var part, all *v2.SecurityGroupRule
	for _, r := range group.Rules {
		ids[*r.ID] = true
		word := *r.Protocol
		if r.StartPort != nil {
			word += " " + r.Network.String()
			part = r
		}
		if word == "any" {
			all = r
		}
		words = append(words, word)
	}
	assert.Len(t, ids, len(words))
	assert.ElementsMatch(t, []string{"any", "gre", "sctp 0.0.0.0/0", "tcp 192.0.2.0/24",
		"tcp 192.0.2.0/24", "tcp 2001:db8::/32", "tcp 2001:db8::/32"}, words)
	for _, r := range group.Rules {
		if *r.Protocol == "tcp" {
			part = r
		}
	}
	assert.ErrorContains(t, ego.DeleteSecurityGroupRule(ctx, zone, group, part), "part of the rule")
	require.NoError(t, ego.DeleteSecurityGroupRule(ctx, zone, group, all))
	require.NoError(t, ego.DeleteSecurityGroup(ctx, zone, group))
}

// TestProjects: a key of a project has its own, and knows of others what is public alone.
func TestProjects(t *testing.T) {
	c := newCloud(t)
	acme := c.client(c.key("--role", "operator", "--project", "acme"))
	globex := c.client(c.key("--role", "editor", "--project", "globex"))
	everybody := c.client(c.key("--role", "operator"))
	ctx := t.Context()
	c.sees(acme, "lists")
	c.sees(globex, "balancers", "secret")
	c.sees(everybody, append(inProject("globex", "balancers", "secret"), "acme/lists")...)
	visible := func(ego *v2.Client) (names []string) {
		public := oapi.ListSecurityGroupsParamsVisibility("public")
		list, err := ego.FindSecurityGroups(ctx, zone, &oapi.ListSecurityGroupsParams{
			Visibility: &public})
		require.NoError(t, err)
		for _, g := range list {
			names = append(names, *g.Name)
			if strings.HasSuffix(*g.Name, "balancers") {
				assert.Empty(t, g.Rules)
				assert.Nil(t, g.Description)
			}
		}
		slices.Sort(names)
		return names
	}
	assert.Equal(t, []string{"globex/balancers", "offices"}, visible(acme))
	assert.Equal(t, []string{"offices"}, visible(globex))
	assert.Equal(t, []string{"offices"}, visible(everybody))

	secret, err := globex.FindSecurityGroup(ctx, zone, "secret")
	require.NoError(t, err)
	db := c.instances(globex)["db-1"]
	lists, err := acme.FindSecurityGroup(ctx, zone, "lists")
	require.NoError(t, err)
	none := &v2.SecurityGroup{ID: to("00000000-0000-4000-8000-000000000000")}
	for _, foreign := range []*v2.SecurityGroup{secret, none} {
		_, err = acme.GetSecurityGroup(ctx, zone, *foreign.ID)
		require.ErrorIs(t, err, api.ErrNotFound)
		require.ErrorIs(t, acme.DeleteSecurityGroup(ctx, zone, foreign), api.ErrNotFound)
		require.ErrorIs(t, acme.AddExternalSourceToSecurityGroup(ctx, zone, foreign, "192.0.2.0/24"),
			api.ErrNotFound)
		require.ErrorIs(t, acme.AttachInstanceToSecurityGroup(ctx, zone, c.instances(acme)["app-1"],
			foreign), api.ErrNotFound)
	}
	require.ErrorIs(t, acme.AttachInstanceToSecurityGroup(ctx, zone, db, lists), api.ErrNotFound)
	balancers, err := globex.FindSecurityGroup(ctx, zone, "balancers")
	require.NoError(t, err)
	assert.ErrorContains(t, acme.DeleteSecurityGroup(ctx, zone, balancers), "another project's")
	require.NoError(t, everybody.AttachInstanceToSecurityGroup(ctx, zone, db, balancers))
}
