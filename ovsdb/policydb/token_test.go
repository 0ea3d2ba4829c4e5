package policydb

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// TestTokens makes, uses and revokes tokens, and sees that another client has them, and that no
// generation is made by it.
func TestTokens(t *testing.T) {
	o := server(t)
	c, other := attach(t, o.DB), attach(t, o.DB)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at := time.UnixMilli(1_700_000_000_000)
	want := []Token{{ID: "a", Kind: BearerToken, Secret: "d1", Role: "viewer", Project: "acme",
		Description: "CI", At: at, By: "root", Expires: at.Add(time.Hour)},
		{ID: "b", Kind: ExoscaleKey, Secret: "sealed", Role: "operator", At: at.Add(time.Second),
			By: "root"}}
	for _, token := range want {
		require.NoError(t, c.AddToken(ctx, token))
	}
	require.NoError(t, c.AddToken(ctx, want[0]), "the answer was lost, and it is asked again")
	await(t, other, func() bool { list, err := other.Tokens(); return err == nil && len(list) == 2 })
	list, err := other.Tokens()
	require.NoError(t, err)
	assert.Equal(t, want, list)
	_, generation, err := c.Policy()
	require.NoError(t, err)
	assert.Zero(t, generation)

	require.NoError(t, c.NoteUse(ctx, "a", at.Add(time.Minute)))
	require.NoError(t, c.NoteUse(ctx, "a", at), "an older use is no news")
	require.NoError(t, c.NoteUse(ctx, "none", at))
	used, err := c.Token("a")
	require.NoError(t, err)
	assert.Equal(t, at.Add(time.Minute), used.Used)
	assert.False(t, used.IsExpired(at))
	assert.True(t, used.IsExpired(at.Add(time.Hour)))
	assert.False(t, want[1].IsExpired(at.Add(1000*time.Hour)))

	require.NoError(t, c.RemoveToken(ctx, "a"))
	require.ErrorIs(t, c.RemoveToken(ctx, "a"), ErrNoToken)
	await(t, other, func() bool { _, err := other.Token("a"); return err != nil })
}

// TestViewHasIDs sees that groups, rules and ports have IDs that stay while others change.
func TestViewHasIDs(t *testing.T) {
	c := attach(t, server(t).DB)
	web := &policy.Group{Name: "web", Rules: []policy.Rule{rule80(), rule443()}}
	put(t, c, &policy.Policy{Groups: []*policy.Group{web}})
	before, err := c.View()
	require.NoError(t, err)
	require.Len(t, before.Rules["web"], 2)
	assert.NotEqual(t, before.Rules["web"][0], before.Rules["web"][1])
	id, kept := before.Groups["web"], before.Rules["web"][1]
	assert.Regexp(t, "^[0-9a-f-]{36}$", id)
	shown := before.Policy.Groups[0].Rules[1]

	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "web", Rules: []policy.Rule{shown}},
		{Name: "db"}}})
	after, err := c.View()
	require.NoError(t, err)
	assert.Equal(t, before.Generation+1, after.Generation)
	assert.Equal(t, id, after.Groups["web"])
	assert.Equal(t, []string{kept}, after.Rules["web"])
	assert.NotEqual(t, id, after.Groups["db"])
	assert.Empty(t, after.Rules["db"])
}

func rule80() policy.Rule  { return tcpRule(80) }
func rule443() policy.Rule { return tcpRule(443) }

func tcpRule(port uint16) policy.Rule {
	return policy.Rule{Direction: policy.Ingress, Protocol: policy.TCP, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP, Ports: []policy.PortRange{{First: port, Last: port}},
		Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}}
}

// TestIDsBesideARuleOfAStranger sees that the rules of a group keep their IDs while one beside them
// cannot be read.
func TestIDsBesideARuleOfAStranger(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	out := rule80()
	out.Direction = policy.Egress
	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "web",
		Rules: []policy.Rule{out, rule443()}}}})
	before, err := c.View()
	require.NoError(t, err)
	at := func(v View) int {
		return slices.IndexFunc(v.Policy.Groups[0].Rules, func(r policy.Rule) bool {
			return r.Direction == policy.Ingress
		})
	}
	id := before.Rules["web"][at(before)]
	_, err = transact(o, `{"op":"update","table":"Rule","where":[["direction","==","egress"]],`+
		`"row":{"cidrs":"10.0.0.0/33"}}`)
	require.NoError(t, err)
	await(t, c, func() bool { _, _, err := c.Policy(); return err != nil })
	_, err = c.ChangeView(t.Context(), by("a test"), func(v View) (Edited, error) {
		require.Len(t, v.Policy.Groups[0].Rules, 2)
		require.Len(t, v.Rules["web"], 2)
		assert.Equal(t, id, v.Rules["web"][at(v)])
		return Edited{Policy: v.Policy}, nil
	})
	require.NoError(t, err)
}
