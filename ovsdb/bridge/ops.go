package bridge

import (
	"strconv"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// insert adds a row and returns the reference by which others of this transaction name it.
func (p *planner) insert(about, table string, row libovsdb.Row) libovsdb.UUID {
	name := "row" + strconv.Itoa(len(p.ops))
	p.ops = append(p.ops, client.Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationInsert, Table: table, Row: row, UUIDName: name,
	}})
	return libovsdb.UUID{GoUUID: name}
}

// update sets whole columns, which nobody else writes; no columns, no operation.
func (p *planner) update(about, table, uuid string, row libovsdb.Row) {
	if len(row) == 0 {
		return
	}
	p.ops = append(p.ops, client.Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationUpdate, Table: table, Where: byUUID(uuid), Row: row,
	}})
}

// mutate changes keys and elements of columns; no mutations, no operation.
func (p *planner) mutate(about, table, uuid string, mutations []libovsdb.Mutation) {
	if len(mutations) == 0 {
		return
	}
	p.ops = append(p.ops, client.Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationMutate, Table: table, Where: byUUID(uuid), Mutations: mutations,
	}})
}

func byUUID(uuid string) []libovsdb.Condition {
	return []libovsdb.Condition{
		libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: uuid}),
	}
}

// appendSet adds a mutation by a set of elements, if there are any.
func appendSet(to []libovsdb.Mutation, column string, how libovsdb.Mutator,
	elements []any) []libovsdb.Mutation {
	if len(elements) == 0 {
		return to
	}
	return append(to, *libovsdb.NewMutation(column, how, libovsdb.OvsSet{GoSet: elements}))
}

func anySet(elements []string) []any {
	out := make([]any, len(elements))
	for i, element := range elements {
		out[i] = element
	}
	return out
}
