package policydb

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A port is found by the name of its row, or by its interface: each way of naming it is the same
// port after it was written and read, and another name is an update of the row that is there.
func TestPortsKeepTheirNames(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	names := func() string {
		out, err := transact(o, `{"op":"select","table":"Port","where":[["mac","==",`+
			`"02:00:00:00:00:01"]],"columns":["_uuid","name","interface","host","migrating_to"]}`)
		require.NoError(t, err)
		return out
	}
	uuid := ""
	for n, c1 := range []struct {
		name, id, to string
		want         []string
	}{
		{"tap1", "", "", []string{`"web-1/tap1"`, `"interface":"tap1"`, `"migrating_to":["set",[]]`}},
		{"tap1", "port of web", "hv2", []string{`"name":"port of web"`, `"migrating_to":"hv2"`}},
		{"port of web", "port of web", "", []string{`"interface":["set",[]]`}},
		{"tap1", "tap1", "", []string{`"name":"tap1"`, `"interface":["set",[]]`}},
		{"tap9", "", "", []string{`"web-1/tap9"`}},
	} {
		p := small()
		web := p.Instances[1]
		web.MigratingTo, web.Ports[0].Name, web.Ports[0].IfaceID = c1.to, c1.name, c1.id
		put(t, c, p)
		got, _, err := c.Policy()
		require.NoError(t, err)
		require.Equal(t, web.Ports, got.Instances[1].Ports)
		require.Equal(t, web.MigratingTo, got.Instances[1].MigratingTo)
		for _, part := range c1.want {
			require.Contains(t, names(), part)
		}
		_, rest, _ := strings.Cut(names(), `"_uuid"`)
		rest, _, _ = strings.Cut(rest, "]")
		if n == 1 || n == 2 { // the others have neither name nor interface of the one before
			require.Equal(t, uuid, rest)
		}
		uuid = rest
	}
}
