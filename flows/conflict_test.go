package flows

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Of two units with different flows of one key the later in order is left out, whichever is written
// first, and all of the other is in the program. That two ports have one zone stands for a mistake
// of the compiler: bindings that say so are found before.
func TestUnitsInConflict(t *testing.T) {
	p := &policy.Policy{}
	in := Input{Policy: p, Site: policy.Site{Host: "h"}}
	for n, name := range []string{"a", "b"} {
		p.Instances = append(p.Instances,
			&policy.Instance{Name: name, Ports: []policy.Port{{Name: name, MAC: policy.MAC{2, byte(n)},
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}),
					32)}}}})
		in.Bindings = append(in.Bindings,
			Binding{Port: name, OFPort: uint32(n + 1), Zone: uint16(n + 1), Epoch: 1})
	}
	alone := in
	alone.Bindings = in.Bindings[:1]
	want, err := Compile(alone)
	require.NoError(t, err)
	for _, first := range []string{"a", "b"} {
		x := newIndex(in, hashes{}.orDefault(), capacity{}.orDefault())
		x.ports["b"].Zone = x.ports["a"].Zone
		x.ports[first].touched = false // it is written first
		x.touched = append([]unit{x.ports[first]}, x.touched...)
		for n, u := range x.touched {
			if n > 0 && u == unit(x.ports[first]) {
				x.touched = append(x.touched[:n], x.touched[n+1:]...)
				break
			}
		}
		var made program
		delta, err := made.write(x)
		require.NoError(t, err)
		left := x.out.list(in)
		require.Len(t, left, 1)
		require.Equal(t, "b", left[0].Port)
		require.Contains(t, left[0].Reason, "two flows of one key")
		require.True(t, openflow.Diff(want.Flows, delta.Add).Empty(), "%v",
			openflow.Diff(want.Flows, delta.Add))
	}
}
