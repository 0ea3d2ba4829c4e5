package policyserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A backup becomes the content of a running database by one transaction. Rows keep their UUIDs, so
// that hosts are told what differs only, and the generation goes on. Invariant: what somebody
// commits meanwhile is not undone by it; then nothing is restored.

// ErrMeanwhile says that somebody has changed the database while it was to be restored.
var ErrMeanwhile = errors.New("somebody has changed the policy meanwhile: nothing was restored; " +
	"call it again")

// content is the rows of tables by UUID.
type content map[string]map[string]row

// keptTables are not restored: what hosts may is not policy, and ways in are the server's own.
func keptTables() []string { return []string{"Connection", "RBAC_Role", "RBAC_Permission"} }

// selects has an operation for each table of the policy database.
func selects(schema []byte) (tables []string, operations []any, err error) {
	var s struct {
		Tables map[string]any `json:"tables"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	for _, table := range slices.Sorted(maps.Keys(s.Tables)) {
		if !slices.Contains(keptTables(), table) {
			tables = append(tables, table)
			operations = append(operations, row{"op": "select", "table": table, "where": []any{}})
		}
	}
	return tables, operations, nil
}

// newContent puts the rows of answers in order.
func newContent(tables []string, answers []client.Answer) content {
	out := content{}
	for n, table := range tables {
		out[table] = map[string]row{}
		for _, one := range answers[n].Rows {
			uuid := text(one["_uuid"])
			delete(one, "_uuid")
			delete(one, "_version")
			out[table][uuid] = one
		}
	}
	return out
}

// readFile reads a file that no server has open.
func readFile(ctx context.Context, path string) (content, error) {
	schema, err := schemaOf(path)
	if err != nil {
		return nil, err
	}
	tables, operations, err := selects(schema)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(append([]any{policydb.Name}, operations...))
	if err != nil {
		return nil, err
	}
	reply, err := tool(ctx, "ovsdb-tool", "query", path, string(request))
	if err != nil {
		return nil, err
	}
	var answers []client.Answer
	if err := json.Unmarshal(reply, &answers); err != nil || len(answers) != len(tables) {
		return nil, fmt.Errorf("%s: its rows cannot be read: %w", path, err)
	}
	return newContent(tables, answers), nil
}

// generation is that of the content.
func (c content) generation() int {
	for _, global := range c["Global"] {
		return number(global["generation"])
	}
	return 0
}

// Restored says what a restoration would do, or did.
type Restored struct {
	From       int  `json:"from"`       // the generation in the backup
	Replaced   int  `json:"replaced"`   // that it took the place of
	Generation int  `json:"generation"` // that it made
	Rows       int  `json:"rows"`       // that were written
	IsPlanned  bool `json:"planned,omitempty"`

	operations []any
}

// PlanRestore reads a backup, of this schema or an older one, and the database.
func (r Remote) PlanRestore(ctx context.Context, path, by string) (Restored, error) {
	folder, err := os.MkdirTemp("", "portcullis")
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	copied := Folder(folder).path("backup")
	if err := standalone(ctx, path, copied); err != nil {
		return Restored{}, err
	}
	schema, err := r.ask(ctx, "get-schema", policydb.Name)
	if err != nil {
		return Restored{}, err
	}
	schemaFile := Folder(folder).path("schema")
	if err := os.WriteFile(schemaFile, schema, 0o600); err != nil {
		return Restored{}, err
	}
	if err := convert(ctx, copied, schemaFile, schema); err != nil {
		return Restored{}, fmt.Errorf("upgrade the database first, 'portcullis db upgrade': %w", err)
	}
	wanted, err := readFile(ctx, copied)
	if err != nil {
		return Restored{}, err
	}
	tables, operations, err := selects(schema)
	if err != nil {
		return Restored{}, err
	}
	answers, err := r.transact(ctx, operations...)
	if err != nil {
		return Restored{}, err
	}
	return plan(newContent(tables, answers), wanted, path, by), nil
}

// Restore does what was planned.
func (r Remote) Restore(ctx context.Context, plan Restored) error {
	_, err := r.transact(ctx, plan.operations...)
	refused := (*client.AnswerError)(nil)
	if errors.As(err, &refused) && refused.Operation == 0 {
		return ErrMeanwhile
	}
	return err
}

// plan compares what is there with what is wanted.
func plan(present, wanted content, path, by string) Restored {
	out := Restored{From: wanted.generation(), Replaced: present.generation()}
	out.Generation = max(out.From, out.Replaced) + 1
	now := time.Now().UnixMilli()
	wanted.continueFrom(present, out.Generation, now)
	wanted["Change"][""] = row{"generation": out.Generation, "id": rand.Text(), "at": now, "by": by,
		"from": "restore " + path, "undo": "{}",
		"summary": fmt.Sprintf("restored generation %d from a backup", out.From)}
	out.operations = []any{row{"op": "wait", "timeout": 0, "table": "Global", "where": []any{},
		"columns": []string{"generation"}, "until": "==",
		"rows": []any{row{"generation": out.Replaced}}}}
	if len(present["Global"]) == 0 {
		out.operations[0].(row)["rows"] = []any{}
	}
	changes := differences(present, wanted)
	out.Rows = len(changes)
	out.operations = append(out.operations, changes...)
	out.operations = append(out.operations, row{"op": "commit", "durable": true})
	return out
}

// continueFrom has the row of Global go on, and ends trials: nobody waits for them any more.
func (c content) continueFrom(present content, generation int, now int64) {
	global := row{}
	for _, one := range c["Global"] {
		global = one
	}
	delete(global, "connections")
	global["generation"], global["generation_at"] = generation, now
	uuid := ""
	for uuid = range present["Global"] {
	}
	c["Global"] = map[string]row{uuid: global}
	for _, change := range c["Change"] {
		if _, ok := change["confirm_by"]; ok {
			change["confirm_by"] = []any{"set", []any{}}
		}
	}
}

// differences are the operations that make one content of another. A row without UUID is new.
func differences(present, wanted content) []any {
	var out []any
	for _, table := range slices.Sorted(maps.Keys(present)) {
		for _, uuid := range slices.Sorted(maps.Keys(present[table])) {
			where := []any{[]any{"_uuid", "==", []any{"uuid", uuid}}}
			next, isWanted := wanted[table][uuid]
			if !isWanted {
				out = append(out, row{"op": "delete", "table": table, "where": where})
				continue
			}
			changed := row{}
			for column, value := range next {
				if !reflect.DeepEqual(value, present[table][uuid][column]) {
					changed[column] = value
				}
			}
			if len(changed) > 0 {
				out = append(out, row{"op": "update", "table": table, "where": where, "row": changed})
			}
		}
	}
	for _, table := range slices.Sorted(maps.Keys(wanted)) {
		for _, uuid := range slices.Sorted(maps.Keys(wanted[table])) {
			if _, isThere := present[table][uuid]; isThere {
				continue
			}
			insert := row{"op": "insert", "table": table, "row": wanted[table][uuid]}
			if uuid != "" {
				insert["uuid"] = uuid
			}
			out = append(out, insert)
		}
	}
	return out
}
