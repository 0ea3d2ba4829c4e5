//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// An instance that moves from host to host while it runs, with a wire to each of them: what a
// hypervisor does when it hands a machine over is to plug another wire in.

// mover is the instance web-1 between hosts.
type mover struct {
	t      *testing.T
	lab    *fleetlab.Lab
	middle *testnet.Namespace
	bridge netlink.Link
	wires  map[string]netlink.Link // by host, at this end
}

// identity is the iface-id of the instance's interfaces; those are called otherwise at every host.
const identity = "port-of-web-1"

// newMover makes the instance, with an interface at no host yet.
func newMover(t *testing.T, l *fleetlab.Lab, hosts ...string) *mover {
	t.Helper()
	middle, err := testnet.NewNamespace()
	require.NoError(t, err)
	t.Cleanup(middle.Close)
	web := vm("web-1", 11)
	_, err = l.Add(middle, testnet.HostSpec{Name: web.name, Port: "guest", MAC: web.mac(),
		Addresses: addressesOf(web)})
	require.NoError(t, err)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "hypervisor"}}
	require.NoError(t, middle.Links.LinkAdd(bridge))
	require.NoError(t, middle.Links.LinkSetUp(bridge))
	m := &mover{t: t, lab: l, middle: middle, bridge: bridge, wires: map[string]netlink.Link{}}
	guest, err := middle.Links.LinkByName("guest")
	require.NoError(t, err)
	require.NoError(t, middle.Links.LinkSetMaster(guest, bridge))
	for _, host := range hosts {
		require.NoError(t, middle.Wire("to-"+host, l.Machine(host).Namespace, "vnet-"+host))
		m.wires[host], err = middle.Links.LinkByName("to-" + host)
		require.NoError(t, err)
	}
	return m
}

// plug has the hypervisor of a host make the instance's interface a port, as libvirt does.
func (m *mover) plug(host string) {
	m.t.Helper()
	_, err := m.lab.Machine(host).Switch.Run("ovs-vsctl", "add-port", testnet.Bridge, "vnet-"+host, "--",
		"set", "Interface", "vnet-"+host, "external_ids:iface-id="+identity,
		`external_ids:attached-mac="`+vm("web-1", 11).mac().String()+`"`)
	require.NoError(m.t, err)
}

func (m *mover) unplug(host string) {
	m.t.Helper()
	_, err := m.lab.Machine(host).Switch.Run("ovs-vsctl", "del-port", testnet.Bridge, "vnet-"+host)
	require.NoError(m.t, err)
}

// run has the instance go on at a host, and stand still at all others.
func (m *mover) run(host string) {
	m.t.Helper()
	for _, wire := range m.wires {
		require.NoError(m.t, m.middle.Links.LinkSetNoMaster(wire))
	}
	require.NoError(m.t, m.middle.Links.LinkSetMaster(m.wires[host], m.bridge))
}

// await waits until the port of the instance has a state at a host.
func (m *mover) await(host string, state agent.PortState) {
	m.t.Helper()
	require.NoError(m.t, m.lab.Machine(host).AwaitStatus("web-1 is "+string(state),
		func(s *api.Status) bool {
			for _, p := range s.Ports {
				if p.Identity == identity {
					return p.State == state
				}
			}
			return state == ""
		}))
	require.NoError(m.t, m.lab.Machine(host).Switch.EnlargeBuffers())
}

// place says in the database where the instance is.
func (m *mover) place(place string) {
	m.t.Helper()
	generation, err := m.lab.Apply(migrating(place))
	require.NoError(m.t, err)
	require.NoError(m.t, m.lab.AwaitGeneration(generation))
}

// migrating is the policy with the instance at a place, beside others that stay where they are.
func migrating(place string) string {
	text := document([]group{
		{name: "web", rules: []string{in("udp 4000-4999", "0.0.0.0/0"), in("tcp 4000-4999", "0.0.0.0/0"),
			out("any", "0.0.0.0/0")}},
		{name: "peer", rules: []string{in("udp 4000-4999", "@web"), in("tcp 4000-4999", "@web"),
			out("any", "0.0.0.0/0")}}},
		vm("web-1", 11, "web").on("hv1").with("iface_id: "+identity), vm("peer-1", 21, "peer").on("hv1"),
		vm("peer-2", 22, "peer").on("hv2"), vm("peer-3", 23, "peer").on("hv3"))
	head, rest, _ := strings.Cut(text, "  - name: web-1\n    host: hv1\n")
	return head + "  - name: web-1\n    " + place + "\n" +
		strings.Replace(rest, "name: tap-web-1, ", "", 1)
}

// newMigration is a fleet of three hosts with the instance at the first.
func newMigration(t *testing.T) *mover {
	t.Helper()
	l := newFleet(t, fleetlab.Options{Members: 1, Hosts: 3, Outside: outside(), Gateways: gateways,
		Policy: document(nil, vm("peer-1", 21).on("hv1"), vm("peer-2", 22).on("hv2"),
			vm("peer-3", 23).on("hv3"))})
	m := newMover(t, l, "hv1", "hv2")
	m.place("host: hv1")
	m.plug("hv1")
	m.await("hv1", agent.PortApplied)
	m.run("hv1")
	return m
}

// streams are one for each peer and direction, which begin before the instance moves.
func (m *mover) streams() map[string]*testnet.Stream {
	m.t.Helper()
	out := map[string]*testnet.Stream{}
	for n, peer := range []string{"peer-1", "peer-2", "peer-3", "client"} {
		for d, open := range map[string]func(client, server string, f testnet.Family,
			port uint16) (*testnet.Stream, error){"to": m.lab.PushFromClient,
			"answers": m.lab.PushFromServer} {
			s, err := open(peer, "web-1", testnet.IPv4, uint16(4000+10*n+len(d)))
			require.NoError(m.t, err)
			out[peer+" "+d] = s
		}
		if peer == "client" {
			continue
		}
		s, err := m.lab.PushFromClient("web-1", peer, testnet.IPv4, uint16(4100+n))
		require.NoError(m.t, err)
		out["from web-1 to "+peer] = s
	}
	return out
}

// settled returns what each stream had sent when it was called, all of which has arrived or never
// will.
func settled(t *testing.T, streams map[string]*testnet.Stream) map[string]uint64 {
	t.Helper()
	sent := map[string]uint64{}
	for name, s := range streams {
		sent[name] = s.Sent()
	}
	for name, s := range streams {
		s.AwaitSent(20)
		require.True(t, s.Await(sent[name]+1, soon), "%s: nothing arrives any more", name)
	}
	return sent
}

// soon is how long something may take that takes no time on an idle machine.
const soon = 20 * time.Second

// whole requires that nothing was lost between two moments.
func whole(t *testing.T, streams map[string]*testnet.Stream, from, to map[string]uint64, when string) {
	t.Helper()
	for name, s := range streams {
		require.Empty(t, s.Missing(from[name]+1, to[name]), "%s, %s", name, when)
	}
}

// lost counts what was lost between two moments.
func lost(streams map[string]*testnet.Stream, from, to map[string]uint64) map[string]int {
	out := map[string]int{}
	for name, s := range streams {
		out[name] = len(s.Missing(from[name]+1, to[name]))
	}
	return out
}

// flows is the program of a host, without its counters.
func (m *mover) flows(host string) string {
	m.t.Helper()
	out, err := m.lab.Machine(host).Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats",
		"dump-flows", testnet.Bridge)
	require.NoError(m.t, err)
	lines := strings.Split(out, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// An instance moves while numbered streams run in both directions to instances of both hosts, of a
// third one, and to somebody outside. Nothing is lost but what is sent while it stands still; TCP
// goes on; no flow changes at the third host; the hypervisor's RARP and the instance's announcement
// reach whoever must hear them.
func TestFleet_LiveMigration(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	streams := m.streams()
	poured := map[string]*testnet.Stream{}
	for name, fromServer := range map[string]bool{"to web-1": false, "from web-1": true} {
		s, err := m.lab.FloodTCP("client", "web-1", testnet.IPv4, uint16(4200+len(name)), fromServer)
		require.NoError(t, err)
		poured[name] = s
	}
	third := m.flows("hv3")
	began := settled(t, streams)

	m.place("host: hv1\n    migrating_to: hv2")
	m.await("hv2", agent.PortStandby)
	m.plug("hv2")
	m.await("hv2", agent.PortApplied)
	before := settled(t, streams)
	whole(t, streams, began, before, "while it is about to move")
	require.Equal(t, third, m.flows("hv3"))

	for name, s := range streams {
		before[name] = s.Sent()
	}
	stopped := time.Now()
	m.run("hv2")
	still := time.Since(stopped)
	after := map[string]uint64{}
	for name, s := range streams {
		after[name] = s.Sent() + 10 // what was on its way
	}
	seen, err := m.lab.Receivers("web-1", rarpOf(vm("web-1", 11).mac(), vm("web-1", 11).mac()).Frame())
	require.NoError(t, err)
	require.Equal(t, []string{testnet.Beyond}, seen, "the RARP goes to the network, and to no instance")
	said := announcement(addressesOf(vm("web-1", 11))[0], vm("web-1", 11).mac())
	seen, err = m.lab.Receivers("web-1", said)
	require.NoError(t, err)
	require.Contains(t, seen, testnet.Beyond, "what the guest says of its address reaches the network")
	now := settled(t, streams)
	whole(t, streams, after, now, "after it has moved")
	t.Logf("it stood still for %s; lost: %v", still, lost(streams, before, after))

	m.unplug("hv1")
	m.await("hv1", agent.PortElsewhere)
	gone := settled(t, streams)
	whole(t, streams, now, gone, "while its interface at the first host goes")
	m.place("host: hv2")
	m.await("hv1", "")
	m.await("hv2", agent.PortApplied)
	end := settled(t, streams)
	whole(t, streams, gone, end, "when the database says that it has moved")
	require.Equal(t, third, m.flows("hv3"), "the third host has not changed a flow")
	for name, s := range poured {
		require.True(t, s.Await(s.Sent(), soon), "TCP %s goes on", name)
		require.Empty(t, s.Missing(1, s.Sent()-100))
	}
	require.NoError(t, m.lab.Reaches("peer-1", "web-1", testnet.TCP(4900), testnet.IPv4))
	passes, err := m.lab.Admits("peer-1", "web-1", testnet.TCP(22), testnet.IPv4)
	require.NoError(t, err)
	require.False(t, passes, "the target enforces the same rules")
}

// A move is given up: nothing is lost, and the target keeps nothing.
func TestFleet_MigrationIsGivenUp(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	without := m.flows("hv2")
	streams := m.streams()
	began := settled(t, streams)
	m.place("host: hv1\n    migrating_to: hv2")
	m.plug("hv2")
	m.await("hv2", agent.PortApplied)
	m.place("host: hv1")
	m.await("hv2", agent.PortElsewhere)
	m.unplug("hv2")
	m.await("hv2", "")
	m.await("hv1", agent.PortApplied)
	whole(t, streams, began, settled(t, streams), "over a move that is given up")
	require.Equal(t, without, m.flows("hv2"))
}

// Either host dies in the middle: before the instance has moved that of the target costs nothing,
// and afterwards that of the source; the database says the rest.
func TestFleet_AHostDiesInAMigration(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	streams := m.streams()
	for name := range streams {
		if strings.Contains(name, "peer-2") {
			require.NoError(t, streams[name].Close())
			delete(streams, name)
		}
	}
	began := settled(t, streams)
	m.place("host: hv1\n    migrating_to: hv2")
	m.plug("hv2")
	m.await("hv2", agent.PortApplied)
	require.NoError(t, m.lab.Machine("hv2").KillDaemon())
	require.NoError(t, m.lab.Machine("hv1").KillDaemon())
	before := settled(t, streams)
	whole(t, streams, began, before, "while the daemons of both hosts are dead")
	m.run("hv2")
	after := map[string]uint64{}
	for name, s := range streams {
		after[name] = s.Sent() + 10
	}
	now := settled(t, streams)
	whole(t, streams, after, now, "it moves without any daemon")
	require.NoError(t, m.lab.Machine("hv2").StartDaemon())
	m.await("hv2", agent.PortApplied)
	m.unplug("hv1") // by nobody that is alive
	generation, err := m.lab.Apply(migrating("host: hv2"))
	require.NoError(t, err)
	require.NoError(t, m.lab.Machine("hv2").AwaitGeneration(generation))
	require.NoError(t, m.lab.Machine("hv1").StartDaemon())
	require.NoError(t, m.lab.AwaitGeneration(generation))
	end := settled(t, streams)
	m.await("hv1", "")
	require.NoError(t, m.lab.Reaches("peer-1", "web-1", testnet.TCP(4900), testnet.IPv4))
	delays := fmt.Sprint(lost(streams, now, end))
	t.Log("lost while the dead source's flows stood: ", delays)
	for name, n := range lost(streams, now, end) {
		require.Zero(t, n, name)
	}
}

// A reply that reaches the target before the instance has spoken there is judged as the first
// packet of a connection: it passes where a rule admits it in its own direction, and else as soon
// as the instance has spoken.
func TestFleet_RepliesAfterAMigration(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	answers, err := m.lab.PushFromServer("web-1", "client", testnet.IPv4, 5353)
	require.NoError(t, err)
	pings, err := m.lab.Echoes("web-1", "client", testnet.IPv4, 5354)
	require.NoError(t, err)
	require.True(t, answers.Await(answers.AwaitSent(5), soon))
	m.place("host: hv1\n    migrating_to: hv2")
	m.plug("hv2")
	m.await("hv2", agent.PortApplied)
	m.run("hv2")
	moved := answers.Sent() + 10
	last := answers.AwaitSent(200)
	require.Len(t, answers.Missing(moved, last), int(last-moved)+1,
		"the instance only listens: its peer would have to be admitted")
	spoken := pings.AwaitSent(20)
	require.True(t, pings.Await(spoken, soon), "where it asks, it is answered")
}

// addressesOf are the addresses of a machine.
func addressesOf(m machine) (out []netip.Addr) {
	for _, a := range m.addresses {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}
