package policyserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The database in which hosts say how far they are: a server has one of its own. It also holds by
// which ways hosts come in, and what they may write, since ovsdb-server has roles for ways in of a
// database only. Invariant: each start makes these rows anew, as server.json and this program say.

// hostRole is the role of who comes in by TLS as a host.
const hostRole = "host"

// probe is after how many milliseconds of silence a client is asked whether it is there. A server
// that is read by all hosts at one time needs more than the usual five seconds.
const probe = 60_000

// The columns of ways in: those that have the role of hosts, and those that have none.
const (
	hostsColumn  = "hosts"
	othersColumn = "others"
)

// waysOf are the ways in of a column. Sockets are none: nobody is asked there.
func (s Server) waysOf(column string) []string {
	if column == hostsColumn {
		return s.Hosts
	}
	var out []string
	for _, way := range slices.Concat(s.Listen, s.Writers) {
		if !strings.HasPrefix(way, "punix:") {
			out = append(out, way)
		}
	}
	return out
}

// rowsOf is the way in by the rows of a column, as ovsdb-server has it.
func rowsOf(column string) string { return "db:" + policydb.StatusName + ",Member," + column }

// ownerColumns are the columns whose value must be a host's name for the host to write the row.
func ownerColumns() map[string]string {
	return map[string]string{"Host_Status": "name", "Port_Status": "host"}
}

// prepareStatus makes the database of the status, or makes it fit this program.
func (f Folder) prepareStatus(ctx context.Context, s Server) error {
	file, schema := f.path(statusName), f.path(statusName+".ovsschema")
	if err := os.WriteFile(schema, policydb.StatusSchema, 0o640); err != nil {
		return err
	}
	if _, err := os.Stat(file); err != nil {
		if _, err := tool(ctx, "ovsdb-tool", "create", file, schema); err != nil {
			return err
		}
	} else if _, err := tool(ctx, "ovsdb-tool", "convert", file, schema); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o640); err != nil {
		return err
	}
	operations, err := statusRows(s)
	if err != nil {
		return err
	}
	return transactFile(ctx, file, policydb.StatusName, operations...)
}

type row = map[string]any

// statusRows are the operations that make the rows of ways in and permissions.
func statusRows(s Server) ([]any, error) {
	var out []any
	for _, table := range []string{"Member", "Connection", "RBAC_Role", "RBAC_Permission"} {
		out = append(out, row{"op": "delete", "table": table, "where": []any{}})
	}
	member := row{}
	for column, role := range map[string]string{hostsColumn: hostRole, othersColumn: ""} {
		ways := []any{}
		for n, way := range s.waysOf(column) {
			name := fmt.Sprint(column, n)
			out = append(out, row{"op": "insert", "table": "Connection", "uuid-name": name,
				"row": row{"target": way, "role": role, "inactivity_probe": probe}})
			ways = append(ways, []any{"named-uuid", name})
		}
		member[column] = []any{"set", ways}
	}
	out = append(out, row{"op": "insert", "table": "Member", "row": member})
	permissions := []any{}
	for _, table := range slices.Sorted(maps.Keys(ownerColumns())) {
		columns, err := mutable(table)
		if err != nil {
			return nil, err
		}
		out = append(out, row{"op": "insert", "table": "RBAC_Permission", "uuid-name": table,
			"row": row{"table": table, "authorization": ownerColumns()[table], "insert_delete": true,
				"update": []any{"set", columns}}})
		permissions = append(permissions, []any{table, []any{"named-uuid", table}})
	}
	return append(out, row{"op": "insert", "table": "RBAC_Role",
		"row": row{"name": hostRole, "permissions": []any{"map", permissions}}}), nil
}

// mutable are the columns of a table of the status that change.
func mutable(table string) ([]string, error) {
	var schema struct {
		Tables map[string]struct {
			Columns map[string]struct {
				Mutable *bool `json:"mutable"`
			} `json:"columns"`
		} `json:"tables"`
	}
	if err := json.Unmarshal(policydb.StatusSchema, &schema); err != nil {
		return nil, fmt.Errorf("the schema of the status: %w", err)
	}
	var out []string
	for name, column := range schema.Tables[table].Columns {
		if column.Mutable == nil || *column.Mutable {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}
