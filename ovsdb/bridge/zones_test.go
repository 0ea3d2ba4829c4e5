package bridge

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZonesOfOtherBridges(t *testing.T) {
	f := newFixture() // of br-int, beside br-ex
	f.port(f.bridge, "tap1", ids{KeyZone: "7"}, nil)
	f.port(f.other, "tap2", ids{KeyZone: "8"}, nil)
	f.port(f.other, "tap3", ids{KeyZone: "7"}, nil)
	f.port(f.other, "tap4", ids{KeyZone: "junk"}, nil)
	f.other.ExternalIDs = ids{KeyRevision: "44", "ct-zone-lp1": "9", "ct-zone-x_snat": "70000"}
	f.bridge.ExternalIDs["ct-zone-lp2"] = "10"
	f.rows.roots["R"].ExternalIDs = ids{KeyLastZone: "12"}
	neighbours := func(bridge string) Neighbours {
		v, err := newView(f.rows.all(), bridge)
		require.NoError(t, err)
		require.Equal(t, uint16(12), newSnapshot(v).LastZone)
		return newSnapshot(v).Neighbours
	}
	require.Equal(t, Neighbours{Revision: 44, Zones: map[uint16]ZoneClaim{
		// br-ex is before br-int
		7: {"port tap3 of bridge br-ex", true}, 8: {"port tap2 of bridge br-ex", true},
		9: {"OVN on bridge br-ex", true}, 10: {"OVN on bridge br-int", true},
	}}, neighbours("br-int"))
	require.Equal(t, ZoneClaim{"port tap1 of bridge br-int", false}, neighbours("br-ex").Zones[7])

	f.other.DatapathType = "netdev"
	require.Equal(t, Neighbours{Zones: map[uint16]ZoneClaim{10: {"OVN on bridge br-int", true}}},
		neighbours("br-int"), "another datapath has its own zones")
	f.bridge.DatapathType, f.other.DatapathType = "system", ""
	require.Contains(t, neighbours("br-int").Zones, uint16(8), "two names of one datapath")
}

func TestAZoneOfAnotherBridgeIsNotTaken(t *testing.T) {
	f := newFixture()
	f.ours("tap1")
	f.port(f.other, "tap2", ids{KeyZone: "8"}, nil)
	want := desiredPort("tap1")
	want.Zone = 8
	ops, err := f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{want}})
	require.ErrorIs(t, err, ErrZonesTaken)
	require.Empty(t, ops)
	// A zone that the port has, and shares, is not given out: who must give way is decided
	// elsewhere.
	want.Zone = 7
	f.port(f.other, "tap3", ids{KeyZone: "7"}, nil)
	_, err = f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{want}})
	require.NoError(t, err)
}

// Two daemons that give out zones at the same time never give out the same one, although neither
// saw the other's rows.
func TestZonesAreGivenOutOneAfterTheOther(t *testing.T) {
	o := database(t)
	var clients []*Client
	for i := range 3 {
		bridge := fmt.Sprintf("br%d", i)
		clients = append(clients, attachWith(t, Options{Endpoint: o.DB, Bridge: bridge,
			DatapathType: "dummy", Daemon: bridge}))
	}
	var both sync.WaitGroup
	for i, c := range clients {
		await(t, c, func(Snapshot) bool { return true })
		both.Go(func() {
			d := Desired{Revision: 1}
			for n := 0; n < 30; {
				s, err := c.Snapshot()
				if err != nil {
					continue
				}
				want := desiredPort(fmt.Sprintf("tap%d-%d", i, n))
				want.Zone = s.LastZone + 1 // as if nobody else were there
				next := d
				next.LastZone, next.Ports = want.Zone, append(append([]DesiredPort(nil),
					d.Ports...), want)
				if ensure(t, c, next) == nil {
					d = next
					n++
				}
			}
		})
	}
	both.Wait()
	seen := map[uint16]string{}
	for i, c := range clients {
		s, err := c.Snapshot()
		require.NoError(t, err)
		require.Len(t, s.Ports, 31)
		for name, p := range s.Ports {
			if name == fmt.Sprintf("br%d", i) {
				continue
			}
			require.NotContains(t, seen, p.Zone, "%s has the zone of %s", name, seen[p.Zone])
			require.NotZero(t, p.Zone)
			seen[p.Zone] = name
		}
	}
}

func TestUnflushedIsKeptUntilItIsTakenAway(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	want := desiredPort("tap1")
	want.Unflushed = 3
	require.NoError(t, ensure(t, c, Desired{Revision: 3, Ports: []DesiredPort{want}}))
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.Equal(t, uint32(3), s.Ports["tap1"].Unflushed)
	want.Unflushed = 0
	require.NoError(t, ensure(t, c, Desired{Revision: 3, Ports: []DesiredPort{want}}))
	require.NotContains(t, get(o, "Port", "tap1", "external_ids"), KeyUnflushed)
	o.Vsctl("add-port", "br-int", "tap2")
	await(t, c, func(s Snapshot) bool { _, there := s.Ports["tap2"]; return there })
	foreign := desiredPort("tap2")
	foreign.Zone, foreign.Unflushed = 9, 4
	require.NoError(t, ensure(t, c, Desired{Revision: 4, LastZone: 9,
		Ports: []DesiredPort{want, foreign}}))
	require.Contains(t, get(o, "Port", "tap2", "external_ids"), `portcullis-unflushed="4"`)
	require.Equal(t, `"9"`, get(o, "Open_vSwitch", ".", "external_ids:portcullis-last-zone"))
	require.NoError(t, ensure(t, c, Desired{Revision: 4, Ports: []DesiredPort{want}}))
	require.Equal(t, "{}", get(o, "Port", "tap2", "external_ids"))
}
