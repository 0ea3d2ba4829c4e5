package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

func TestViewHoldsOnlyOurBridge(t *testing.T) {
	f := newFixture()
	f.port(f.bridge, "tap1", ids{KeyZone: "7"}, nil)
	f.port(f.other, "tap2", ids{KeyZone: "8"}, nil)
	v, err := newView(f.rows.all(), "br-int")
	require.NoError(t, err)
	s := newSnapshot(v)
	require.True(t, s.Bridge)
	require.Len(t, s.Ports, 2)
	require.Equal(t, uint16(7), s.Ports["tap1"].Zone)
	require.NotContains(t, s.Ports, "tap2")

	v, err = newView(f.rows.all(), "br-none")
	require.NoError(t, err)
	s = newSnapshot(v)
	s.Neighbours = Neighbours{}
	require.Equal(t, Snapshot{Ports: map[string]Port{}}, s)
}

// What is not certainly one header is taken for more.
func TestInnerTags(t *testing.T) {
	for limit, want := range map[string]bool{"": false, "1": false, "0": true, "2": true,
		"-1": true, "one": true} {
		f := newFixture()
		for _, root := range f.rows.roots {
			if root.OtherConfig = map[string]string{}; limit != "" {
				root.OtherConfig["vlan-limit"] = limit
			}
		}
		v, err := newView(f.rows.all(), "br-int")
		require.NoError(t, err)
		require.Equal(t, want, newSnapshot(v).InnerTags, "vlan-limit=%q", limit)
	}
}

func TestOffload(t *testing.T) {
	for set, want := range map[string]bool{"true": true, "false": false, "": false, "yes": false} {
		f := newFixture()
		for _, root := range f.rows.roots {
			root.OtherConfig = map[string]string{"hw-offload": set}
		}
		v, err := newView(f.rows.all(), "br-int")
		require.NoError(t, err)
		require.Equal(t, want, newSnapshot(v).Offload, "hw-offload=%q", set)
	}
}

func TestViewRefusesReferencesIntoTheVoid(t *testing.T) {
	for name, damage := range map[string]func(*fixture){
		"port":         func(f *fixture) { delete(f.rows.ports, "P-tap1") },
		"interface":    func(f *fixture) { delete(f.rows.interfaces, "I-tap1") },
		"flow table":   func(f *fixture) { f.bridge.FlowTables[3] = "T9" },
		"other bridge": func(f *fixture) { f.other.Ports = append(f.other.Ports, "P9") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			f.port(f.bridge, "tap1", nil, nil)
			_, err := newView(f.rows.all(), "br-int")
			require.NoError(t, err)
			damage(f)
			_, err = newView(f.rows.all(), "br-int")
			require.ErrorContains(t, err, "is not in the cache")
		})
	}
}

func TestOFPort(t *testing.T) {
	number := func(n int) *int { return &n }
	reason := "could not open network device tap1 (No such device)"
	address := "02:00:00:00:00:01"
	for name, c := range map[string]struct {
		iface vswitch.Interface
		want  uint32
		text  string
	}{
		"not yet":            {vswitch.Interface{}, 0, ""},
		"not yet, with text": {vswitch.Interface{Error: &reason}, 0, reason},
		"ready":              {vswitch.Interface{Ofport: number(1)}, 1, ""},
		"ready, stale text": {vswitch.Interface{Ofport: number(0xfeff), Error: &reason}, 0xfeff,
			""},
		"device": {vswitch.Interface{Ofport: number(1), Ifindex: number(7),
			MACInUse: &address}, 1, ""},
		"device without MAC": {vswitch.Interface{Ofport: number(1), Ifindex: number(7)}, 1, ""},
		"tunnel": {vswitch.Interface{Ofport: number(1), Ifindex: number(0),
			MACInUse: &address}, 1, ""},
		"device gone": {vswitch.Interface{Name: "tap1", Ofport: number(1),
			Ifindex: number(0)}, 1, "the device tap1 is gone"},
		"own port": {vswitch.Interface{Ofport: number(0xfffe)}, 0xfffe, ""},
		"failed":   {vswitch.Interface{Ofport: number(-1), Error: &reason}, 0, reason},
		"failed without text": {vswitch.Interface{Ofport: number(-1)}, 0,
			"Open vSwitch gave the port number -1"},
		"zero": {vswitch.Interface{Ofport: number(0)}, 0, "Open vSwitch gave the port number 0"},
		"reserved": {vswitch.Interface{Ofport: number(0xff00)}, 0,
			"Open vSwitch gave the port number 65280"},
	} {
		t.Run(name, func(t *testing.T) {
			got, text := ofport(&c.iface)
			require.Equal(t, c.want, got)
			require.Equal(t, c.text, text)
		})
	}
}

// Absent is a device of the system that is not there: it never was, or it is gone. A device that
// cannot be opened, or that Open vSwitch makes itself, is not absent.
func TestAbsentDevices(t *testing.T) {
	number := func(n int) *int { return &n }
	none := "could not open network device tap1 (No such device)"
	busy := "could not open network device tap1 (Device or resource busy)"
	for name, c := range map[string]struct {
		iface vswitch.Interface
		want  bool
	}{
		"never there":  {vswitch.Interface{Ofport: number(-1), Error: &none}, true},
		"gone":         {vswitch.Interface{Ofport: number(3), Ifindex: number(0)}, true},
		"system":       {vswitch.Interface{Type: "system", Ofport: number(-1), Error: &none}, true},
		"busy":         {vswitch.Interface{Ofport: number(-1), Error: &busy}, false},
		"without text": {vswitch.Interface{Ofport: number(-1)}, false},
		"not yet":      {vswitch.Interface{}, false},
		"there, stale text": {vswitch.Interface{Ofport: number(3), Ifindex: number(7),
			Error: &none}, false},
		"made by Open vSwitch": {vswitch.Interface{Type: "internal", Ofport: number(-1),
			Error: &none}, false},
	} {
		c.iface.Name = "tap1"
		got := newPort(port{row: &vswitch.Port{Name: "tap1"},
			interfaces: []*vswitch.Interface{&c.iface}})
		require.Equal(t, c.want, got.Absent, name)
	}
}

// Down is a device of the system that is there and set down, of which Open vSwitch says nothing
// else: one that is gone or that Open vSwitch makes itself is not told of.
func TestDevicesThatAreSetDown(t *testing.T) {
	number := func(n int) *int { return &n }
	up, down, none := "up", "down", "could not open network device tap1 (No such device)"
	for name, c := range map[string]struct {
		iface vswitch.Interface
		want  bool
	}{
		"down":    {vswitch.Interface{Ofport: number(3), Ifindex: number(7), AdminState: &down}, true},
		"up":      {vswitch.Interface{Ofport: number(3), Ifindex: number(7), AdminState: &up}, false},
		"not yet": {vswitch.Interface{Ofport: number(3), Ifindex: number(7)}, false},
		"gone":    {vswitch.Interface{Ofport: number(3), Ifindex: number(0), AdminState: &down}, false},
		"never there": {vswitch.Interface{Ofport: number(-1), Error: &none, AdminState: &down},
			false},
		"made by Open vSwitch": {vswitch.Interface{Type: "internal", Ofport: number(3),
			Ifindex: number(7), AdminState: &down}, false},
	} {
		c.iface.Name = "tap1"
		got := newPort(port{row: &vswitch.Port{Name: "tap1"},
			interfaces: []*vswitch.Interface{&c.iface}})
		require.Equal(t, c.want, got.Down, name)
	}
}
