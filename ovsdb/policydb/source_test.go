package policydb

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What hosts get: whole generations, and what was read before while there is no database, also in
// the next run.
func TestLoadKeepsWhatWasReadBefore(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	keep := filepath.Join(t.TempDir(), "state", "database")
	f, stop := follow(t, FollowOptions{Endpoint: o.DB, Keep: keep})
	_, _, err := f.Load()
	require.ErrorContains(t, err, "holds no policy yet")
	put(t, c, small())
	await(t, f, func() bool { return f.Following().Generation == 1 })
	p, warnings, err := f.Load()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, p.Groups, 2)
	require.Equal(t, Current, f.Following().Standing)
	digest := f.Digest()
	require.Contains(t, digest, "generation 1 of ")

	o.KillDB()
	await(t, f, func() bool { return f.Following().Standing == Stale })
	stale, warnings, err := f.Load()
	require.NoError(t, err)
	require.Same(t, p, stale)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0].String(), "generation 1 stays in force")
	require.Equal(t, digest, f.Digest())
	require.False(t, f.Following().StaleSince.IsZero())

	stop()
	f, _ = follow(t, FollowOptions{Endpoint: o.DB, Keep: keep})
	cold, warnings, err := f.Load()
	require.NoError(t, err)
	require.Equal(t, p, cold)
	require.Len(t, warnings, 1)
	require.Equal(t, Cold, f.Following().Standing)
	require.Equal(t, digest, f.Digest())

	o.StartDB()
	await(t, f, func() bool { return f.Following().Standing == Current })
	same, warnings, err := f.Load()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Same(t, cold, same, "what was read again is what was kept")
	require.Equal(t, digest, f.Digest())
}

// Rows that somebody else wrote are held against the same rules as files: what is wrong with a row
// is left out and named, and all else is in force. Who does not count generations is seen, too.
func TestRowsOfAStranger(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	f, _ := follow(t, FollowOptions{Endpoint: o.DB})
	p, _, err := f.Load()
	require.NoError(t, err)
	web := p.Instances[1]
	update := func(table, row, columns string) {
		t.Helper()
		out, err := transact(o, fmt.Sprintf(
			`{"op":"update","table":"%s","where":[["name","==","%s"]],"row":{%s}}`, table, row,
			columns))
		require.NoError(t, err)
		require.Contains(t, out, `"count":1`)
	}
	for _, one := range []struct {
		columns, want string
		ports         int // of web-1 that are left
		addresses     int
	}{
		{`"addresses":["set",["10.0.0.300","10.0.0.1"]]`,
			`instance "web-1" of the database: port "web-1/tap1": addresses`, 1, 1},
		{`"mac":"02:00:00:00:00:zz"`, `instance "web-1" of the database: port "web-1/tap1": mac`, 0, 0},
		{`"addresses":["set",["10.0.0.2","10.0.0.1"]]`,
			`instance "web-1" of the database: ports[0].addresses[1]: 10.0.0.2 belongs to the port`,
			1, 1},
		{`"allowed":"10.9.9.9 nonsense"`, `port "web-1/tap1": allowed: `, 1, 2},
		{`"interface":"a/b"`, "ports[0].name", 0, 0},
		{`"trusted":true,"log_denied":false`, "ports[0].log_denied", 0, 0},
		{`"host":"bad host "`, "host", 0, 0},
	} {
		update("Port", "web-1/tap1", one.columns)
		await(t, f, func() bool { return f.Following().Standing == Invalid })
		got, _, err := f.Load()
		require.ErrorContains(t, err, one.want)
		require.Same(t, p.Groups[0], got.Groups[0])
		require.Same(t, p.Instances[0], got.Instances[0], "db-1 was there before")
		if one.ports == 0 {
			require.Len(t, got.Instances, 1, one.columns)
		} else {
			require.Len(t, got.Instances[1].Ports[0].Addresses, one.addresses, one.columns)
		}
		update("Port", "web-1/tap1", `"addresses":["set",["10.0.0.1","2001:db8::1"]],"host":"hv1",`+
			`"mac":"02:00:00:00:00:01","allowed":["set",[]],"interface":"tap1","limits":["map",[]],`+
			`"trusted":false,"log_denied":["set",[]]`)
		await(t, f, func() bool { return f.Following().Standing == Current })
		got, _, err = f.Load()
		require.NoError(t, err)
		require.Equal(t, web, got.Instances[1])
	}
	digest := f.Digest()
	update("Group", "web", `"external_sources":"192.0.2.0/24"`)
	await(t, f, func() bool { return f.Digest() != digest })
	next, _, err := f.Load()
	require.NoError(t, err)
	require.Len(t, next.Groups[1].ExternalSources, 1)
}

// Of two that claim one address the one that had it keeps it, whoever is first by name, and also
// when the daemon has started anew.
func TestWhoHadAnAddressKeepsIt(t *testing.T) {
	o := server(t)
	put(t, attach(t, o.DB), small())
	opts := FollowOptions{Endpoint: o.DB, Keep: filepath.Join(t.TempDir(), "database")}
	f, stop := follow(t, opts)
	before, _, err := f.Load()
	require.NoError(t, err)
	_, err = transact(o, `{"op":"insert","table":"Port","row":{"name":"a/tap9","instance":"a",`+
		`"host":"hv1","interface":"tap9","mac":"02:00:00:00:00:09","addresses":"10.0.0.1"}}`)
	require.NoError(t, err)
	hasIt := func(f *Follower) {
		t.Helper()
		p, _, err := f.Load()
		require.ErrorContains(t, err, `instance "a" of the database: ports[0].addresses[0]: 10.0.0.1 `+
			`belongs to the port "tap1" already`)
		require.Equal(t, before.Instances[1], p.Instances[len(p.Instances)-1])
		require.Empty(t, p.Instances[0].Ports[0].Addresses)
	}
	await(t, f, func() bool { return f.Following().Standing == Invalid })
	hasIt(f)
	stop()
	o.KillDB()
	f, stop = follow(t, opts)
	hasIt(f)
	stop()
	o.StartDB()
	f, _ = follow(t, opts)
	await(t, f, func() bool { return f.Following().Standing == Invalid })
	hasIt(f)
}

// A rule that is not valid admits nothing, and a bad egress rule opens nothing.
func TestARuleOfAStranger(t *testing.T) {
	o := server(t)
	put(t, attach(t, o.DB), small())
	f, _ := follow(t, FollowOptions{Endpoint: o.DB})
	for row, want := range map[string]string{
		`"ports":"80-x"`:                        "ports: ",
		`"ports":["set",[]]`:                    "tcp needs ports",
		`"cidrs":"10.0.0.0/33"`:                 "cidrs: ",
		`"cidrs":["set",[]],"peers":["set",[]]`: "a rule needs a peer",
	} {
		_, err := transact(o, `{"op":"update","table":"Rule","where":[],"row":{`+row+`}}`)
		require.NoError(t, err)
		var p *policy.Policy
		await(t, f, func() bool {
			p, _, err = f.Load()
			return err != nil && strings.Contains(err.Error(), want)
		})
		require.ErrorContains(t, err, `group "web" of the database: `)
		for _, g := range p.Groups {
			for _, r := range g.Rules {
				require.Equal(t, policy.Egress, r.Direction)
				require.True(t, r.IsWithheld())
			}
		}
		require.Len(t, p.Groups[1].Rules, 1, "egress of web stays closed")
		require.Len(t, p.Instances, 2)
	}
}

// A member that lags behind what was read before takes nothing out of force; a restored database
// whose generation was raised is followed.
func TestADatabaseThatIsBehind(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "other"}}})
	f, _ := follow(t, FollowOptions{Endpoint: o.DB})
	p, _, err := f.Load()
	require.NoError(t, err)
	raise := func(to int) {
		_, err = transact(o, fmt.Sprintf(
			`{"op":"update","table":"Global","where":[],"row":{"generation":%d}}`, to))
		require.NoError(t, err)
	}
	raise(1)
	await(t, f, func() bool { return f.Following().Standing == Behind })
	behind, warnings, err := f.Load()
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Same(t, p, behind)
	require.Equal(t, 1, f.Following().Offered)
	require.Equal(t, 2, f.Following().Generation)
	raise(7)
	await(t, f, func() bool { return f.Following().Standing == Current })
	require.Equal(t, 7, f.Following().Generation)
	require.Zero(t, f.Following().Offered)
}

// Rows of a stranger hold up no change of anything else; what they are about is not changed before
// it is valid again, and a new contradiction is not taken for an old one.
func TestRowsOfAStrangerHoldUpNoChange(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	for _, row := range []string{
		`{"op":"update","table":"Port","where":[["name","==","db-1/tap2"]],"row":{"addresses":"10.0.0.300"}}`,
		`{"op":"update","table":"Port","where":[["name","==","db-1/tap2"]],"row":{"mac":"nonsense of 17 ch"}}`,
		`{"op":"update","table":"Port","where":[["name","==","db-1/tap2"]],"row":{"interface":"a/b"}}`,
		`{"op":"update","table":"Rule","where":[["protocol","==",6],["direction","==","ingress"],` +
			`["peers","==",["set",[]]]],"row":{"ports":["set",[]]}}`,
	} {
		_, err := transact(o, row)
		require.NoError(t, err)
	}
	f, _ := follow(t, FollowOptions{Endpoint: o.DB})
	await(t, f, func() bool { return f.Following().Standing == Invalid })
	edit := func(change func(p *policy.Policy)) error {
		_, err := c.Change(t.Context(), by("other"),
			func(p *policy.Policy) (*policy.Policy, string, error) {
				next := p.Clone()
				change(next)
				return next, "", nil
			})
		return err
	}
	require.NoError(t, edit(func(p *policy.Policy) { p.Groups[0].Rules = nil }), "a revocation")
	await(t, f, func() bool { return f.Following().Generation == 2 })
	p, _, err := f.Load()
	require.Error(t, err)
	require.Empty(t, p.Groups[0].Rules)
	var invalid *InvalidError
	require.ErrorAs(t, edit(func(p *policy.Policy) {
		p.Instances = append(p.Instances, &policy.Instance{Name: "a", Host: "hv1",
			Ports: []policy.Port{{Name: "tap9", MAC: policytest.MAC(9),
				Addresses: policytest.Nets("10.0.0.1")}}})
	}), &invalid, "10.0.0.1 is of web-1")
	require.NoError(t, edit(func(p *policy.Policy) {
		for _, i := range p.Instances {
			if i.Name == "db-1" {
				i.Ports = []policy.Port{{Name: "tap2", MAC: policytest.MAC(2),
					Addresses: policytest.Nets("10.0.0.2")}}
			}
		}
		p.Groups[1].Rules = []policy.Rule{policytest.Rule("ingress tcp 80", "0.0.0.0/0")}
	}), "it is mended")
	await(t, f, func() bool { return f.Following().Standing == Current })
}
