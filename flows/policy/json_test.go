package policy_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// values are one of each type that is no list and no mapping, other than its zero.
var values = map[reflect.Type]any{
	reflect.TypeFor[netip.Prefix]():         netip.MustParsePrefix("192.0.2.0/24"),
	reflect.TypeFor[policy.Peer]():          policy.Peer{CIDR: netip.MustParsePrefix("::/0")},
	reflect.TypeFor[netip.Addr]():           netip.MustParseAddr("2001:db8::1"),
	reflect.TypeFor[policy.MAC]():           policy.MAC{2, 0, 0, 0, 0, 1},
	reflect.TypeFor[policy.Direction]():     policy.Egress,
	reflect.TypeFor[policy.Protocol]():      policy.AnyProtocol,
	reflect.TypeFor[policy.PortRange]():     policy.PortRange{First: 80, Last: 443},
	reflect.TypeFor[policy.Choice]():        policy.No,
	reflect.TypeFor[policy.Limit]():         policy.Unlimited,
	reflect.TypeFor[policy.PortType]():      policy.InternalDevice,
	reflect.TypeFor[policy.UplinkSources](): policy.StrictSources,
	reflect.TypeFor[policy.Position]():      policy.Position{File: "a:b.yaml", Line: 3, Column: 4},
	reflect.TypeFor[int16]():                int16(0),
	reflect.TypeFor[uint16]():               uint16(0x88cc),
	reflect.TypeFor[string]():               "x: \"y\"",
	reflect.TypeFor[bool]():                 true,
}

// fill gives every field a value, also one that is new.
func fill(t *testing.T, v reflect.Value) {
	if known, ok := values[v.Type()]; ok {
		v.Set(reflect.ValueOf(known))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Struct:
		for n := range v.NumField() {
			fill(t, v.Field(n))
		}
	default:
		t.Fatalf("%s: which is one?", v.Type())
	}
}

// No field is lost or changed on its way through JSON: with all of them, and with none.
func TestJSONKeepsEveryField(t *testing.T) {
	for _, zero := range []any{policy.Policy{}, policy.Site{}, policy.Rule{}} {
		for _, isFull := range []bool{true, false} {
			want := reflect.New(reflect.TypeOf(zero))
			if isFull {
				fill(t, want.Elem())
				if p, ok := want.Interface().(*policy.Policy); ok {
					for _, g := range p.Groups { // a network has no rules: TestJSONOfLists
						g.IsNetwork = false
					}
				}
			}
			if rule, ok := want.Interface().(*policy.Rule); ok && !isFull {
				rule.Direction = policy.Ingress
			}
			text, err := json.Marshal(want.Interface())
			require.NoError(t, err)
			got := reflect.New(reflect.TypeOf(zero))
			require.NoError(t, json.Unmarshal(text, got.Interface()), "%s", text)
			require.Equal(t, want.Interface(), got.Interface(), "%s", text)
		}
	}
}

// Lists and names are written as policy files have them, a list of one as that one, which is what
// older versions read and write.
func TestJSONOfLists(t *testing.T) {
	text := `{"networks":{"lab":["10.0.0.0/8"],"offices":["192.0.2.0/24","2001:db8::/64"]},` +
		`"groups":[{"name":"a","rules":[` +
		`{"direction":"ingress","protocol":"tcp","ports":["80","8000-8999"],` +
		`"cidr":["10.0.0.0/8","offices"],"group":["a","b"]},` +
		`{"direction":"ingress","protocol":"tcp","ports":"80","cidr":"::/0"},` +
		`{"direction":"ingress","protocol":"udp","ports":"53","cidr":"lab"},` +
		`{"direction":"ingress","protocol":"any","group":"a"}]},{"name":"b"}]}`
	var p policy.Policy
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.Len(t, p.Groups, 4)
	require.True(t, p.Groups[1].IsNetwork)
	require.Equal(t, "ingress tcp 80, 8000-8999 from 10.0.0.0/8, group a, group b, "+
		"network offices", p.Groups[2].Rules[0].String())
	require.Equal(t, "ingress udp 53 from network lab", p.Groups[2].Rules[2].String())
	again, err := json.Marshal(&p)
	require.NoError(t, err)
	require.Equal(t, text, string(again))
}

func TestJSONRefuses(t *testing.T) {
	for _, text := range []string{
		`{"groups": [{"name": "a", "rules": [{"direction": "in"}]}]}`,
		`{"groups": [{"name": "a", "rules": [{"protocol": "tcpp"}]}]}`,
		`{"groups": [{"name": "a", "rules": [{"protocol": "006"}]}]}`,
		`{"groups": [{"name": "a", "rules": [{"ports": "80-"}]}]}`,
		`{"groups": [{"name": "a", "rules": [{"ports": "65536"}]}]}`,
		`{"groups": [{"name": "a", "at": "x"}]}`,
		`{"instances": [{"name": "a", "ports": [{"mac": "02:00"}]}]}`,
		`{"instances": [{"name": "a", "ports": [{"log_denied": 1}]}]}`,
		`{"instances": [{"name": "a", "ports": [{"limits": {"connections": -1}}]}]}`,
	} {
		require.Error(t, json.Unmarshal([]byte(text), &policy.Policy{}), text)
	}
}
