package client

import (
	"reflect"
	"strconv"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// Operations are those of a transaction that is being planned, in their order. Packages bridge and
// policydb plan with it.
type Operations []Operation

// Insert adds a row and returns the reference by which others of this transaction name it.
func (o *Operations) Insert(about, table string, row libovsdb.Row) libovsdb.UUID {
	return o.InsertAs("row"+strconv.Itoa(len(*o)), about, table, row)
}

// InsertAs is Insert with the name of the reference, by which operations before it name it, too.
// Insert gives names such as row7.
func (o *Operations) InsertAs(name, about, table string, row libovsdb.Row) libovsdb.UUID {
	*o = append(*o, Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationInsert, Table: table, Row: row, UUIDName: name,
	}})
	return libovsdb.UUID{GoUUID: name}
}

// Update sets whole columns, which nobody else writes; no columns, no operation.
func (o *Operations) Update(about, table, uuid string, row libovsdb.Row) {
	if len(row) == 0 {
		return
	}
	*o = append(*o, Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationUpdate, Table: table, Where: ByUUID(uuid), Row: row,
	}})
}

// Mutate changes keys and elements of columns; no mutations, no operation.
func (o *Operations) Mutate(about, table, uuid string, mutations []libovsdb.Mutation) {
	if len(mutations) == 0 {
		return
	}
	*o = append(*o, Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationMutate, Table: table, Where: ByUUID(uuid), Mutations: mutations,
	}})
}

// Delete takes a row of a root table away.
func (o *Operations) Delete(about, table, uuid string) {
	*o = append(*o, Operation{About: about, Op: libovsdb.Operation{
		Op: libovsdb.OperationDelete, Table: table, Where: ByUUID(uuid),
	}})
}

// Differing leaves out the columns of a row that are so already.
func Differing(want, have libovsdb.Row) libovsdb.Row {
	out := libovsdb.Row{}
	for column, value := range want {
		if !reflect.DeepEqual(value, have[column]) {
			out[column] = value
		}
	}
	return out
}

// ByUUID is the condition of one row. Any other one has the server look at the whole table.
func ByUUID(uuid string) []libovsdb.Condition {
	return []libovsdb.Condition{
		libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: uuid}),
	}
}

// Set is a set of elements, as a row of an operation has it.
func Set[T any](elements []T) libovsdb.OvsSet {
	set := libovsdb.OvsSet{GoSet: make([]any, len(elements))}
	for i, element := range elements {
		set.GoSet[i] = element
	}
	return set
}
