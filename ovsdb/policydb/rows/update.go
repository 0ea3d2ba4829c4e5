package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unique"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// Rows from the updates of a server (ovsdb-server(7), 4.1.14), without libovsdb's cache. Whoever
// follows a database by a [client.Stream] calls this. Invariant: a row is never altered; an update
// makes another one.

// Columns are those that a model has.
func Columns[T any]() []string {
	var out []string
	for n := range reflect.TypeFor[T]().NumField() {
		if name := reflect.TypeFor[T]().Field(n).Tag.Get("ovsdb"); name != "_uuid" {
			out = append(out, name)
		}
	}
	return out
}

// errUnknown says that a server changes what it has never told.
var errUnknown = errors.New("it is changed, and was never there")

// Updated is what an update makes of a row, nil where there was or will be none.
func Updated[T any](old *T, uuid string, u client.RowUpdate) (*T, error) {
	switch {
	case u.Delete != nil:
		return nil, nil
	case u.Modify != nil && old == nil:
		return nil, errUnknown
	case u.Modify != nil:
		next := *old
		return &next, set(&next, u.Modify, differing)
	}
	next := new(T)
	reflect.ValueOf(next).Elem().FieldByName("UUID").SetString(uuid)
	columns := u.Initial
	if columns == nil {
		columns = u.Insert
	}
	if columns == nil {
		return nil, errors.New("the update says nothing about it")
	}
	return next, set(next, columns, replaced)
}

// merge makes the value of a column of the old one and what the update has.
type merge func(old, told reflect.Value) reflect.Value

// set puts columns into a row. Those that the model has not are passed over.
func set(row any, columns json.RawMessage, merge merge) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(columns, &values); err != nil {
		return err
	}
	v := reflect.ValueOf(row).Elem()
	for n := range v.NumField() {
		column := v.Type().Field(n).Tag.Get("ovsdb")
		text, isTold := values[column]
		if !isTold || column == "_uuid" {
			continue
		}
		field := v.Field(n)
		told := reflect.New(field.Type()).Elem()
		if err := read(told, text); err != nil {
			return fmt.Errorf("%s: %w", column, err)
		}
		field.Set(merge(field, told))
	}
	return nil
}

func replaced(_, told reflect.Value) reflect.Value { return told }

// differing takes an update of kind modify: of sets and maps it has what tells old and new apart.
func differing(old, told reflect.Value) reflect.Value {
	switch told.Kind() {
	case reflect.Slice:
		return toggled(old, told)
	case reflect.Map:
		return changedMap(old, told)
	}
	return told
}

// changedMap lacks the entries that are in both maps.
func changedMap(old, told reflect.Value) reflect.Value {
	next := reflect.MakeMap(old.Type())
	for entries := old.MapRange(); entries.Next(); {
		next.SetMapIndex(entries.Key(), entries.Value())
	}
	for entries := told.MapRange(); entries.Next(); {
		value := entries.Value()
		if was := old.MapIndex(entries.Key()); was.IsValid() && was.Equal(value) {
			value = reflect.Value{}
		}
		next.SetMapIndex(entries.Key(), value)
	}
	if next.Len() == 0 {
		return reflect.Zero(old.Type())
	}
	return next
}

// toggled has the elements that are in one of two sets.
func toggled(old, told reflect.Value) reflect.Value {
	switch a := old.Interface().(type) {
	case []string:
		return reflect.ValueOf(difference(a, told.Interface().([]string)))
	case []int:
		return reflect.ValueOf(difference(a, told.Interface().([]int)))
	}
	return told // the model has no other sets
}

func difference[T interface{ string | int }](a, b []T) []T {
	var out []T
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	for _, v := range b {
		if !slices.Contains(a, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// read reads the value of a column (RFC 7047, 5.1) into a field of the model.
func read(into reflect.Value, text json.RawMessage) error {
	switch into.Kind() {
	case reflect.Slice:
		return readSet(into, text)
	case reflect.Map:
		return readMap(into, text)
	case reflect.Pointer:
		atoms, err := elements(text)
		if err != nil || len(atoms) == 0 {
			return err
		}
		if len(atoms) > 1 {
			return fmt.Errorf("%d values where one may be", len(atoms))
		}
		value := reflect.New(into.Type().Elem())
		into.Set(value)
		return atom(value.Interface(), atoms[0])
	}
	return atom(into.Addr().Interface(), text)
}

func readSet(into reflect.Value, text json.RawMessage) error {
	atoms, err := elements(text)
	if err != nil || len(atoms) == 0 {
		return err
	}
	switch into.Type().Elem().Kind() {
	case reflect.String:
		out := make([]string, len(atoms))
		for n, one := range atoms {
			if err := atom(&out[n], one); err != nil {
				return err
			}
		}
		slices.Sort(out)
		into.Set(reflect.ValueOf(out))
	default:
		out := make([]int, len(atoms))
		for n, one := range atoms {
			if err := atom(&out[n], one); err != nil {
				return err
			}
		}
		slices.Sort(out)
		into.Set(reflect.ValueOf(out))
	}
	return nil
}

// readMap reads ["map", [[key, value], ...]].
func readMap(into reflect.Value, text json.RawMessage) error {
	tag, rest, err := tagged(text)
	if err != nil {
		return err
	}
	if tag != "map" {
		return fmt.Errorf("%q where a map is to be", tag)
	}
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(rest, &pairs); err != nil {
		return err
	}
	out := reflect.MakeMap(into.Type())
	for _, pair := range pairs {
		key, value := reflect.New(into.Type().Key()), reflect.New(into.Type().Elem())
		if err := errors.Join(atom(key.Interface(), pair[0]), atom(value.Interface(),
			pair[1])); err != nil {
			return err
		}
		out.SetMapIndex(key.Elem(), value.Elem())
	}
	into.Set(out)
	return nil
}

// elements are those of a set; one that has one may be written as that.
func elements(text json.RawMessage) ([]json.RawMessage, error) {
	if len(text) == 0 || text[0] != '[' {
		return []json.RawMessage{text}, nil
	}
	tag, rest, err := tagged(text)
	if err != nil || tag != "set" {
		return []json.RawMessage{text}, err
	}
	var out []json.RawMessage
	return out, json.Unmarshal(rest, &out)
}

// tagged reads [TAG, VALUE].
func tagged(text json.RawMessage) (tag string, value json.RawMessage, err error) {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return "", nil, err
	}
	if len(pair) != 2 {
		return "", nil, fmt.Errorf("%d values where a tag and a value are to be", len(pair))
	}
	return tag, pair[1], json.Unmarshal(pair[0], &tag)
}

// atom reads one value. UUIDs are texts, of which there is one each, however many rows name it.
func atom(into any, text json.RawMessage) error {
	if len(text) == 0 || text[0] != '[' {
		if bytes.Equal(text, []byte("null")) {
			return errors.New("null where a value is to be")
		}
		return json.Unmarshal(text, into)
	}
	tag, value, err := tagged(text)
	if err != nil {
		return err
	}
	uuid, isText := into.(*string)
	if tag != "uuid" || !isText {
		return fmt.Errorf("%q where another type is to be", tag)
	}
	if err := json.Unmarshal(value, uuid); err != nil {
		return err
	}
	*uuid = unique.Make(*uuid).Value()
	return nil
}
