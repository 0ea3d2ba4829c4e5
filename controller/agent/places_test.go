package agent_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// known is a policy of one instance whose port has an identity, beside one that is known by its
// name.
func known(place string) string {
	return fmt.Sprintf(`groups: []
instances:
  - {name: vm, %s, ports: [{iface_id: id-of-vm, mac: 02:00:00:00:00:0a, addresses: [192.0.2.10]}]}
  - {name: i-b, host: hv1, ports: [{name: b, mac: 02:00:00:00:00:02, addresses: [192.0.2.2]}]}
`, place)
}

// bind has somebody make an interface that says whose it is.
func bind(w *agenttest.World, name, id string) {
	w.Database.Edit(func(f *agenttest.Database) {
		f.Snap.Ports[name] = f.Numbered(bridge.Port{Name: name, IfaceID: id})
	})
	w.Settle()
}

func unbind(w *agenttest.World, name string) {
	w.Database.Edit(func(f *agenttest.Database) { delete(f.Snap.Ports, name) })
	w.Settle()
}

// binding is the number that a port has in the program that runs; 0 = it is in none.
func binding(w *agenttest.World, port string) uint32 {
	for _, b := range w.Ctl.Snapshot().Running.Bindings {
		if b.Port == port {
			return b.OFPort
		}
	}
	return 0
}

func TestAnInterfaceIsFoundByItsIfaceID(t *testing.T) {
	agenttest.Run(t, known("host: hv1"), func(w *agenttest.World) {
		require.Equal(t, agent.PortAbsent, w.Port("id-of-vm").State)
		require.Contains(t, w.Port("id-of-vm").Reason, `no interface of the bridge has the iface-id`)
		require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
		require.Len(t, w.Database.Wanted().Ports, 1, "whoever plugs it in makes the row")
		for _, name := range []string{"vnet7", "b9"} {
			bind(w, name, "id-of-vm")
			port := w.Port("id-of-vm")
			require.Equal(t, agent.PortApplied, port.State, port.Reason)
			require.Equal(t, name, port.Interface)
			require.Equal(t, "id-of-vm", port.Identity)
			require.Equal(t, w.Database.Row(name).OFPort, binding(w, "id-of-vm"))
			require.NotZero(t, w.Database.Row(name).Zone)
			unbind(w, name)
			require.Equal(t, agent.PortAbsent, w.Port("id-of-vm").State)
			require.Zero(t, binding(w, "id-of-vm"), "nobody is to send to a port that is not there")
		}
		require.Equal(t, "i-b/b", w.Port("b").Identity)
	})
}

// A device that is gone leaves its row, with a number: at once nobody sends to it.
func TestAPortUnbindsWhenItsDeviceGoes(t *testing.T) {
	agenttest.Run(t, known("host: hv1"), func(w *agenttest.World) {
		bind(w, "vnet7", "id-of-vm")
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["vnet7"]
			row.Absent, row.Error = true, "the device vnet7 is gone"
			f.Snap.Ports["vnet7"] = row
		})
		w.Settle()
		require.Zero(t, binding(w, "id-of-vm"))
		require.Equal(t, agent.PortAbsent, w.Port("id-of-vm").State)
		epoch := w.Database.Row("vnet7").Epoch
		w.Database.SetPresent("vnet7")
		w.Settle()
		require.NotZero(t, binding(w, "id-of-vm"))
		require.Greater(t, w.Database.Row("vnet7").Epoch, epoch,
			"what ran before is judged by the rules")
	})
}

func TestOfTwoInterfacesWithOneIfaceIDTheFirstKeepsIt(t *testing.T) {
	agenttest.Run(t, known("host: hv1"), func(w *agenttest.World) {
		bind(w, "vnet7", "id-of-vm")
		bind(w, "vnet3", "id-of-vm")
		keeps := func() {
			t.Helper()
			require.Equal(t, "vnet7", w.Port("id-of-vm").Interface)
			require.Equal(t, agent.PortApplied, w.Port("id-of-vm").State)
			require.Equal(t, agent.PortError, w.Port("vnet3").State)
			require.Contains(t, w.Port("vnet3").Reason, "is that of the port id-of-vm, which is at vnet7")
			require.Equal(t, "id-of-vm at vnet3", w.Port("vnet3").Identity)
			require.Equal(t, agent.StateDegraded, w.Ctl.Snapshot().State)
			require.Zero(t, w.Database.Row("vnet3").Zone)
		}
		keeps()
		w.Restart()
		w.Settle()
		keeps()
		unbind(w, "vnet7")
		require.Equal(t, "vnet3", w.Port("id-of-vm").Interface)
		require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
	})
}

// The policy says where a port is; an interface claims nothing.
func TestAnInterfaceOfAPortThatIsElsewhere(t *testing.T) {
	agenttest.Run(t, known("host: hv2"), func(w *agenttest.World) {
		bind(w, "vnet7", "id-of-vm")
		port := w.Port("vnet7")
		require.Equal(t, agent.PortError, port.State)
		require.Equal(t, "id-of-vm", port.Identity)
		require.Contains(t, port.Reason, "the policy places it on hv2, not here")
		require.Zero(t, binding(w, "id-of-vm"))
		require.Equal(t, agent.StateDegraded, w.Ctl.Snapshot().State)
		w.Policy.Set(known("host: hv1"))
		w.Settle()
		require.Equal(t, agent.PortApplied, w.Port("id-of-vm").State)
		w.Policy.Set(known("host: hv2"))
		w.Settle()
		require.Equal(t, agent.PortElsewhere, w.Port("vnet7").State, "it was here a moment ago")
		require.Empty(t, w.Ctl.Snapshot().Error)
		require.Zero(t, binding(w, "id-of-vm"))
		require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
		unbind(w, "vnet7")
		require.Len(t, w.Ctl.Snapshot().Ports, 1)
		bind(w, "vnet7", "id-of-vm")
		require.Equal(t, agent.PortError, w.Port("vnet7").State, "it came back though it has moved")
	})
}

// While an instance moves it is local on both hosts: on the one that it moves to before it is
// there, on the other one until its interface goes.
func TestWhileAnInstanceMoves(t *testing.T) {
	const leaving, coming = "host: hv1, migrating_to: hv2", "host: hv2, migrating_to: hv1"
	agenttest.Run(t, known(coming), func(w *agenttest.World) {
		require.Equal(t, agent.PortStandby, w.Port("id-of-vm").State)
		require.Contains(t, w.Port("id-of-vm").Reason, "it is about to move here from hv2")
		require.Equal(t, "in sync (1 of 1 port in force, 1 absent)", w.Ctl.Snapshot().Summary)
		bind(w, "vnet7", "id-of-vm")
		require.Equal(t, agent.PortApplied, w.Port("id-of-vm").State)
		w.Journal.Take()
		for _, place := range []string{"host: hv1", leaving} {
			before := w.Database.Row("vnet7")
			w.Policy.Set(known(place))
			w.Settle()
			require.Equal(t, agent.PortApplied, w.Port("id-of-vm").State)
			require.Len(t, w.Journal.Take(), 1, "one bundle: its connections stay judged as they are")
			require.Equal(t, before, w.Database.Row("vnet7"))
		}
		unbind(w, "vnet7")
		require.Equal(t, agent.PortElsewhere, w.Port("id-of-vm").State)
		require.Zero(t, binding(w, "id-of-vm"))
		require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
	})
}

// What cannot be an instance's is none, whatever its iface-id says; and an interface of the name of
// one port may be another's.
func TestIfaceIDsThatAreNotObeyed(t *testing.T) {
	agenttest.Run(t, known("host: hv1"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["eth1"] = bridge.Port{Name: "eth1", OFPort: 77, IfaceID: "id-of-vm"}
		})
		w.Settle()
		require.Equal(t, agent.PortError, w.Port("id-of-vm").State)
		require.Contains(t, w.Port("id-of-vm").Reason, "eth1 has its iface-id, and is an uplink")
		require.Equal(t, uint32(77), w.Ctl.Snapshot().Uplinks[0].OFPort)
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["eth1"] = bridge.Port{Name: "eth1", OFPort: 77}
			row := f.Snap.Ports["b"]
			row.IfaceID = "id-of-vm"
			f.Snap.Ports["b"] = row
		})
		w.Settle()
		require.Equal(t, agent.PortApplied, w.Port("id-of-vm").State)
		require.Equal(t, "b", w.Port("id-of-vm").Interface)
		require.Equal(t, agent.PortError, w.Port("b").State)
		require.Contains(t, w.Port("b").Reason, "the interface b is that of the port id-of-vm of vm")
		require.Zero(t, binding(w, "b"))
	})
}

// A port with a name and an identity takes the interface of its name only if that says nothing
// else.
func TestAnIdentityGoesBeforeTheName(t *testing.T) {
	const text = `groups: []
instances: [{name: vm, host: hv1, ports: [{name: a, iface_id: one, mac: 02:00:00:00:00:01}]}]
`
	agenttest.Run(t, text, func(w *agenttest.World) {
		require.Equal(t, agent.PortAbsent, w.Port("a").State)
		bind(w, "a", "")
		require.Equal(t, agent.PortApplied, w.Port("a").State)
		bind(w, "a", "two")
		require.Equal(t, agent.PortError, w.Port("a").State)
		require.Contains(t, w.Port("a").Reason, `the iface-id of the interface a is "two", not "one"`)
		bind(w, "z", "one")
		require.Equal(t, agent.PortApplied, w.Port("a").State)
		require.Equal(t, "z", w.Port("a").Interface)
		require.Equal(t, w.Database.Row("z").OFPort, binding(w, "a"))
	})
}
