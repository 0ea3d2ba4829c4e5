package policydb

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// What hosts get: whole generations, and what was read before while there is no database.
func TestLoadKeepsWhatWasReadBefore(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	_, _, err := c.Load()
	require.ErrorContains(t, err, "holds no policy yet")
	put(t, c, small())
	p, warnings, err := c.Load()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, p.Groups, 2)
	digest := c.Digest()
	require.Contains(t, digest, "generation 1 of ")

	o.KillDB()
	await(t, c, func() bool { return c.LastError() != nil })
	stale, warnings, err := c.Load()
	require.NoError(t, err)
	require.Same(t, p, stale)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0].String(), "generation 1 stays in force")
	require.Equal(t, digest, c.Digest())

	o.StartDB()
	await(t, c, func() bool { _, warnings, _ := c.Load(); return len(warnings) == 0 })
	require.Equal(t, digest, c.Digest())
}

// Rows that somebody else wrote are held against the same rules as files; who does not count
// generations is seen, too.
func TestRowsOfAStranger(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	p, _, err := c.Load()
	require.NoError(t, err)
	digest := c.Digest()
	update := func(table, row, columns string) {
		t.Helper()
		out, err := transact(o, fmt.Sprintf(
			`{"op":"update","table":"%s","where":[["name","==","%s"]],"row":{%s}}`, table, row,
			columns))
		require.NoError(t, err)
		require.Contains(t, out, `"count":1`)
	}
	for columns, want := range map[string]string{
		`"addresses":"10.0.0.300"`:                                      `instance "web-1" of the database: port "web-1/tap1": addresses`,
		`"mac":"02:00:00:00:00:zz"`:                                     `port "web-1/tap1": mac`,
		`"addresses":"10.0.0.2"`:                                        `instance "web-1"`,
		`"allowed":"10.9.9.9 nonsense"`:                                 "allowed",
		`"limits":["map",[["connections",10000000]]],"interface":"a/b"`: "ports[0].name",
	} {
		update("Port", "web-1/tap1", columns)
		await(t, c, func() bool { _, _, err = c.Load(); return err != nil })
		require.ErrorContains(t, err, want)
		require.Equal(t, digest, c.Digest())
		update("Port", "web-1/tap1", `"addresses":["set",["10.0.0.1","2001:db8::1"]],`+
			`"mac":"02:00:00:00:00:01","allowed":["set",[]],"interface":"tap1","limits":["map",[]]`)
		await(t, c, func() bool { p, _, err = c.Load(); return err == nil })
	}
	update("Group", "web", `"external_sources":"192.0.2.0/24"`)
	var next *policy.Policy
	await(t, c, func() bool {
		next, _, err = c.Load()
		return err == nil && next.Groups[1] != p.Groups[1]
	})
	require.NotEqual(t, digest, c.Digest(), "a change without a generation is one")
}

// A member that lags behind what was read before takes nothing out of force.
func TestADatabaseThatIsBehind(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "other"}}})
	p, _, err := c.Load()
	require.NoError(t, err)
	_, err = transact(o, `{"op":"update","table":"Global","where":[],"row":{"generation":1}}`)
	require.NoError(t, err)
	var behind *policy.Policy
	await(t, c, func() bool {
		loaded, warnings, err := c.Load()
		behind = loaded
		return err == nil && len(warnings) > 0
	})
	require.Same(t, p, behind)
}
