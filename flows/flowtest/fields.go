package flowtest

import (
	"fmt"
	"net/netip"
	"reflect"
)

// Variants returns, for each field of the struct T and of those within it, the zero T with this one
// field set to something else, by the field's name. What is made of T can so be held to leave no
// field out, also none that is added later. It panics at a field of a kind that it does not know.
func Variants[T any]() map[string]T {
	out := map[string]T{}
	var zero T
	eachField(reflect.TypeOf(zero), "", func(name string, index [][]int) {
		var changed T
		v := reflect.ValueOf(&changed).Elem()
		for _, step := range index {
			v = v.FieldByIndex(step)
		}
		v.Set(other(v.Type()))
		out[name] = changed
	})
	return out
}

func eachField(t reflect.Type, prefix string, do func(name string, index [][]int)) {
	for _, f := range reflect.VisibleFields(t) {
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[netip.Addr]() {
			eachField(f.Type, prefix+f.Name+".",
				func(name string, index [][]int) { do(name, append([][]int{f.Index}, index...)) })
			continue
		}
		do(prefix+f.Name, [][]int{f.Index})
	}
}

// other returns a value that is not the zero value.
func other(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("other")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
	case reflect.Slice:
		v.Set(reflect.Append(v, other(t.Elem())))
	case reflect.Struct:
		if t == reflect.TypeFor[netip.Addr]() {
			return reflect.ValueOf(netip.MustParseAddr("192.0.2.1"))
		}
		v.Field(0).Set(other(t.Field(0).Type))
	default:
		panic(fmt.Sprintf("flowtest: no value of %s is known", t))
	}
	return v
}
