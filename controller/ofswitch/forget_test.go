package ofswitch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// opener is a switch that opens a connection in zone 3 for each datagram to port 3, and in zone 4
// for each to port 4.
type opener struct {
	*ofswitch.Switch
	t      *testing.T
	vs     *sandbox.OVS
	opened int
}

func newOpener(t *testing.T) *opener {
	vs, _ := start(t)
	vs.Vsctl("add-port", bridge, "p1", "--", "set", "Interface", "p1", "type=dummy",
		"ofport_request=1")
	for _, zone := range []int{3, 4} {
		vs.Ofctl("add-flow", bridge,
			fmt.Sprintf("udp,tp_dst=%d,actions=ct(commit,zone=%d)", zone, zone))
	}
	return &opener{ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge), DatapathType: "dummy"}),
		t, vs, 0}
}

// open opens connections in a zone, and waits until they are all known.
func (o *opener) open(zone, n int) {
	o.t.Helper()
	for range n {
		o.opened++
		_, err := o.Control(within(o.t), "netdev-dummy/receive", "p1", fmt.Sprintf("in_port(1),"+
			"eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),"+
			"ipv4(src=192.0.2.1,dst=192.0.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=%d,dst=%d)",
			o.opened, zone))
		require.NoError(o.t, err)
	}
	require.Eventually(o.t, func() bool {
		e, err := o.Entries(within(o.t))
		return err == nil && e.Known == uint64(o.opened)
	}, 2*time.Minute, 10*time.Millisecond)
}

// count counts the connections of a zone.
func (o *opener) count(zone uint16) (n int) {
	o.t.Helper()
	require.NoError(o.t, o.Connections(within(o.t), zone, func(c ofswitch.Connection) bool {
		n++
		require.True(o.t, zone == 0 || c.Zone == zone, c)
		return true
	}))
	return n
}

func TestForgetZone(t *testing.T) {
	o := newOpener(t)
	o.open(3, 2)
	o.open(4, 3)
	require.Equal(t, 5, o.count(0))
	require.NoError(t, o.ForgetZone(within(t), 3))
	require.Zero(t, o.count(3))
	require.Equal(t, 3, o.count(4))
	require.Error(t, o.ForgetZone(within(t), 0), "the host's own")
	require.Equal(t, 3, o.count(0))

	var one ofswitch.Connection
	require.NoError(t, o.Connections(within(t), 4, func(c ofswitch.Connection) bool {
		one = c
		return false
	}))
	require.NoError(t, o.Forget(within(t), one))
	require.Equal(t, 2, o.count(4))

	gone := ofswitch.New(ofswitch.Options{Target: "unix:" + t.TempDir() + "/none.mgmt",
		DatapathType: "dummy"})
	require.ErrorContains(t, gone.ForgetZone(within(t), 4), "forget the connections of zone 4")
	require.ErrorContains(t, gone.Connections(within(t), 4, nil), "list connections")
}

// More connections than are held at once are listed one by one, and so is only the beginning of
// them.
func TestManyConnections(t *testing.T) {
	const many = 10_001
	o := newOpener(t)
	o.open(3, 1)
	o.open(4, many-1)
	require.Equal(t, many, o.count(0))
	require.Equal(t, many-1, o.count(4))
	require.Equal(t, 1, o.count(3))
	n := 0
	require.NoError(t, o.Connections(within(t), 0, func(ofswitch.Connection) bool {
		n++
		return n < 7
	}))
	require.Equal(t, 7, n)
}
