package policyfile

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// TestIndexIsJoin changes files at random: what comes of the changes alone is what comes of all files read for the first time, and
// where there is no mistake, none was suspected.
func TestIndexIsJoin(t *testing.T) {
	valid, invalid, warned := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		files := map[string]*Fragment{"base.yaml": ParseFragment(strictyaml.File{Name: "base.yaml", Data: []byte("groups: [{name: base}]")})}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				name := fmt.Sprintf("%d.yaml", rapid.IntRange(0, 5).Draw(t, "file"))
				if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
					delete(files, name)
					continue
				}
				now := ParseFragment(strictyaml.File{Name: name, Data: []byte(configtest.DrawFile(t))})
				if old := files[name]; old != nil {
					now.Keep(old)
				}
				files[name] = now
			}
			var fragments []*Fragment
			for _, f := range files {
				fragments = append(fragments, f)
			}
			slices.SortFunc(fragments, func(a, b *Fragment) int { return cmp.Compare(a.File, b.File) })
			want, wantWarnings, wantErr := Join(fragments)
			got, warnings, err := x.Join(slices.Clone(fragments))
			require.Equal(t, wantErr, err)
			require.Equal(t, len(wantWarnings), len(warnings))
			for i := range warnings {
				require.Equal(t, wantWarnings[i], warnings[i])
			}
			requireSamePointers(t, want, got)
			require.Equal(t, err == nil, x.policy != nil, "a mistake was suspected where there is none")
			again, _, _ := x.Join(slices.Clone(fragments))
			require.True(t, again == got, "nothing changed, yet the policy is another")
			switch {
			case err != nil:
				invalid++
			case len(warnings) > 0:
				warned++
			default:
				valid++
			}
		}
	})
	require.Greater(t, min(valid, invalid, warned), 10, "the universe is too large or too small: %d valid, %d invalid, %d with warnings", valid, invalid, warned)
}

func requireSamePointers(t require.TestingT, want, got *policy.Policy) {
	if want == nil {
		require.Nil(t, got)
		return
	}
	require.True(t, slices.Equal(want.Groups, got.Groups))
	require.True(t, slices.Equal(want.Instances, got.Instances))
}

func TestReplaceInSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOf(rapid.IntRange(0, 20))
		kept, removed, added := numbers.Draw(t, "kept"), numbers.Draw(t, "removed"), numbers.Draw(t, "added")
		list := slices.Sorted(slices.Values(slices.Concat(kept, removed)))
		slices.Sort(removed)
		slices.Sort(added)
		want := slices.Sorted(slices.Values(slices.Concat(kept, added)))
		slices.Sort(added)
		without, new, both := compared(removed, added, cmp.Compare)
		require.Equal(t, len(added), len(new)+len(both))
		require.False(t, slices.ContainsFunc(new, func(n int) bool { return slices.Contains(without, n) }))
		got := replace(list, without, new, cmp.Compare)
		require.True(t, slices.Equal(want, got), "%v %v", want, got)
	})
}

// TestEqualMissesNoField changes each field alone: none is forgotten where values are compared, also one that is new.
func TestEqualMissesNoField(t *testing.T) {
	for _, c := range []struct {
		value any
		equal func(changed reflect.Value) bool
	}{
		{policy.Group{}, func(v reflect.Value) bool { g := v.Interface().(policy.Group); return equalGroup(&g, &policy.Group{}) }},
		{policy.Instance{}, func(v reflect.Value) bool {
			i := v.Interface().(policy.Instance)
			return equalInstance(&i, &policy.Instance{})
		}},
		{policy.Port{}, func(v reflect.Value) bool { return equalPort(v.Interface().(policy.Port), policy.Port{}) }},
	} {
		kind := reflect.TypeOf(c.value)
		require.True(t, c.equal(reflect.ValueOf(c.value)))
		for i := range kind.NumField() {
			changed := reflect.New(kind).Elem()
			set(t, changed.Field(i))
			require.False(t, c.equal(changed), "%s.%s", kind, kind.Field(i).Name)
		}
	}
}

// set makes a value another than its zero.
func set(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Array:
		v.Index(0).SetUint(1)
	case reflect.Struct:
		set(t, v.Field(v.NumField()-1))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	default:
		t.Fatalf("%s: how is one changed?", v.Type())
	}
}

func TestLinkLocalIsAsThePortUsesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPort(t, 1, 2)
		own, ok := linkLocal(&p)
		used := false
		for _, use := range p.Uses() {
			used = used || use.MAC == p.MAC && use.Prefix.Addr() == p.MAC.LinkLocal()
		}
		require.Equal(t, used, ok)
		require.True(t, !ok || own.Addr() == p.MAC.LinkLocal())
	})
}
