package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
)

// drawFile makes a policy file of a universe so small that files often contradict each other.
func drawFile(t *rapid.T) string {
	var b strings.Builder
	if rapid.IntRange(0, 19).Draw(t, "broken") == 0 {
		return rapid.SampledFrom([]string{"", "groups: 1", "groups: [{name: g0", "instances: [{nme: i0}]", "groups: [{name: g1}]\ninstances: [{name: 1, groups: [g9]}]"}).Draw(t, "how")
	}
	b.WriteString("groups:\n")
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		fmt.Fprintf(&b, "  - {name: g%d, rules: [{direction: ingress, protocol: any, group: %s}]}\n", drawRare(t, 200), drawGroup(t))
	}
	b.WriteString("instances:\n")
	for range rapid.IntRange(0, 3).Draw(t, "instances") {
		n := drawRare(t, 200)
		fmt.Fprintf(&b, "  - {name: i%d, %s groups: [%s], ports: [{name: p%d, mac: '02:00:00:00:00:%02x', %s}]}\n", n,
			rapid.SampledFrom([]string{"", "host: h1,", "host: h2,"}).Draw(t, "host"), drawGroup(t), drawRare(t, 200), drawRare(t, 200), drawAddresses(t))
	}
	text := b.String()
	text = strings.ReplaceAll(text, "groups:\ninstances", "groups: []\ninstances")
	return strings.TrimSuffix(text, "instances:\n")
}

// drawGroup names a group, mostly one that always is there.
func drawGroup(t *rapid.T) string {
	return rapid.SampledFrom(append(slices.Repeat([]string{"base"}, 30), "g1")).Draw(t, "group")
}

// drawRare returns a number that seldom was drawn before.
func drawRare(t *rapid.T, of int) int { return rapid.IntRange(0, of-1).Draw(t, "n") }

func drawAddresses(t *rapid.T) string {
	address := func() string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return fmt.Sprintf("10.0.0.%d/29", 8*rapid.IntRange(0, 31).Draw(t, "net"))
		case 1:
			return fmt.Sprintf("'2001:db8:%x::/48'", rapid.IntRange(0, 9).Draw(t, "net6"))
		case 2:
			return fmt.Sprintf("'fe80::ff:fe00:%x'", rapid.IntRange(0, 199).Draw(t, "local"))
		case 3:
			return fmt.Sprintf("'2001:db8:%x::1'", rapid.IntRange(0, 9).Draw(t, "v6"))
		}
		return fmt.Sprintf("10.0.%d.%d", rapid.IntRange(0, 3).Draw(t, "third"), rapid.IntRange(0, 255).Draw(t, "v4"))
	}
	out := "addresses: [" + address()
	if rapid.Bool().Draw(t, "two") {
		out += ", " + address()
	}
	out += "]"
	if rapid.Bool().Draw(t, "allowed") {
		out += ", allowed_addresses: [" + address()
		if rapid.Bool().Draw(t, "mac") {
			out += fmt.Sprintf(", {address: %s, mac: '02:00:00:00:00:%02x'}", address(), rapid.IntRange(0, 255).Draw(t, "other"))
		}
		out += ", 10.0.0.0/24]"[:rapid.SampledFrom([]int{1, 14}).Draw(t, "wide")]
		out = strings.TrimSuffix(out, ",")
		if !strings.HasSuffix(out, "]") {
			out += "]"
		}
	}
	return out
}

// TestIndexIsJoin changes files at random: what comes of the changes alone is what comes of all files read for the first time, and
// where there is no mistake, none was suspected.
func TestIndexIsJoin(t *testing.T) {
	valid, invalid, warned := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var x index
		files := map[string]*Fragment{"base.yaml": Parse(File{"base.yaml", []byte("groups: [{name: base}]")})}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				name := fmt.Sprintf("%d.yaml", rapid.IntRange(0, 5).Draw(t, "file"))
				if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
					delete(files, name)
					continue
				}
				now := Parse(File{name, []byte(drawFile(t))})
				if old := files[name]; old != nil {
					now.keep(old)
				}
				files[name] = now
			}
			var fragments []*Fragment
			for _, f := range files {
				fragments = append(fragments, f)
			}
			slices.SortFunc(fragments, func(a, b *Fragment) int { return cmp.Compare(a.file, b.file) })
			want, wantWarnings, wantErr := Join(fragments)
			got, warnings, err := x.join(slices.Clone(fragments))
			require.Equal(t, wantErr, err)
			require.Equal(t, len(wantWarnings), len(warnings))
			for i := range warnings {
				require.Equal(t, wantWarnings[i], warnings[i])
			}
			requireSamePointers(t, want, got)
			require.Equal(t, err == nil, x.policy != nil, "a mistake was suspected where there is none")
			again, _, _ := x.join(slices.Clone(fragments))
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
