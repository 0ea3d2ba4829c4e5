package policydb

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// firstSchema is the schema 0.1.0.
func firstSchema(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/0.1.0.ovsschema")
	require.NoError(t, err)
	return text
}

// What a host reads and the first schema has not got is what a server may lack.
func TestAddedColumns(t *testing.T) {
	var schema struct {
		Tables map[string]struct {
			Columns map[string]json.RawMessage `json:"columns"`
		} `json:"tables"`
	}
	require.NoError(t, json.Unmarshal(firstSchema(t), &schema))
	var lacks []string
	for table, columns := range followed() {
		has, isThere := schema.Tables[table]
		if !isThere {
			lacks = append(lacks, table)
		}
		for _, column := range columns {
			if _, isThere := has.Columns[column]; !isThere && has.Columns != nil {
				lacks = append(lacks, table+"."+column)
			}
		}
	}
	require.ElementsMatch(t, added(), lacks)
}

// A database that lacks what every schema has had is refused in words, and what was read stays.
func TestFollower_SchemaThatDoesNotFit(t *testing.T) {
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(Name, []byte(`{"name": "Portcullis", "version": "9.0.0", "tables": {"Global": {
		"columns": {"generation": {"type": "integer"}}, "isRoot": true}}}`))
	f, _ := follow(t, FollowOptions{Endpoint: o.DB})
	_, _, err := f.Load()
	require.ErrorContains(t, err, "the database has the schema 9.0.0, which this portcullis with "+
		ownVersion(t)+" does not understand")
	require.ErrorContains(t, err, "Port")
}

func ownVersion(t testing.TB) string {
	t.Helper()
	own, err := VersionOf(Schema)
	require.NoError(t, err)
	return own
}

// What another version of the program has kept, which read other columns, is in force at the start;
// but all rows are read anew, as nobody would tell of columns that it did not read.
func TestFollower_KeptByAnotherVersion(t *testing.T) {
	o := cluster(t, 1)[0]
	c := attach(t, o.endpoint)
	p := small()
	p.Groups[0].Shared = true
	put(t, c, p)
	churn(t, c, 3) // the server remembers these
	path := t.TempDir() + "/kept"
	f, stop := follow(t, FollowOptions{Endpoint: o.endpoint, Keep: path})
	await(t, f, func() bool { got, _, err := f.Load(); return err == nil && isShared(got) })
	stop()

	k := newKeeper(path)
	m, at, err := k.recall()
	require.NoError(t, err)
	require.Equal(t, columnsOf(client.Server{}), at.Columns)
	for uuid, g := range m.groups {
		older := *g
		older.Shared = false // it did not read this
		m.groups[uuid] = &older
	}
	at.Columns = columnsOf(client.Server{Lacks: []string{rows.GroupTable + ".shared"}})
	k.note(m, at, nil)
	require.NoError(t, k.write())
	k.close()

	f, _ = follow(t, FollowOptions{Endpoint: o.endpoint, Keep: path})
	await(t, f, func() bool { got, _, err := f.Load(); return err == nil && isShared(got) })
}

func isShared(p *policy.Policy) bool {
	return slices.ContainsFunc(p.Groups, func(g *policy.Group) bool { return g.Shared })
}
