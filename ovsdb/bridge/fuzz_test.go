package bridge

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// readIDs makes external_ids of "key=value" lines.
func readIDs(text string) ids {
	out := ids{}
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			out[key] = value
		}
	}
	return out
}

// Whatever external_ids hold, numbers are read as they would be written or not at all, and a change
// of shared keys touches no other key and, made twice, changes nothing the second time.
func FuzzExternalIDs(f *testing.F) {
	f.Add("portcullis-zone=7\nportcullis-epoch=9\nportcullis-owner=portcullis\nvm-id=a", "vm-id",
		"b")
	f.Add("portcullis-zone=65536\nportcullis-epoch=-1\nportcullis-revision=01", "iface-id", "")
	f.Add("vm-id=x\nportcullis-vm-id=x", "vm-id", "y")
	f.Add("=\n==\n\x00=\xff", "attached-mac", "\n")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		have := readIDs(text)
		for bits, number := range map[int]uint64{16: uint64(parseZone(have)),
			32: uint64(parseEpoch(have))} {
			written := have[map[int]string{16: KeyZone, 32: KeyEpoch}[bits]]
			require.True(t, number == 0 || decimal(uint32(number)) == written, "%q is read as %d",
				written, number)
			require.Less(t, number, uint64(1)<<bits)
		}
		if strings.HasPrefix(key, shadowPrefix) {
			return // keys of Portcullis alone are not shared
		}
		change := newIDChange()
		change.share(have, key, value)
		after := applied(have, change)
		again := newIDChange()
		again.share(after, key, value)
		require.Equal(t, after, applied(after, again))
		for _, m := range []ids{have, after} {
			maps.DeleteFunc(m, func(k, _ string) bool { return k == key || k == shadowPrefix+key })
		}
		require.Equal(t, have, after)
	})
}

// Whatever rows say of themselves and of each other: a view is refused or is a snapshot of ports
// with sound numbers, and what is planned for it does not depend on anything but it.
func FuzzRows(f *testing.F) {
	f.Add("tap1", "portcullis-zone=7", "vm-id=a", 3, "internal", "", byte(0))
	f.Add("br-int", "portcullis-owner=portcullis", "", -1, "system", "no such device", byte(1))
	f.Add("", "portcullis-zone=99999", "attached-mac=\x00", 65280, "dummy", "\n", byte(6))
	f.Fuzz(func(t *testing.T, name, portIDs, interfaceIDs string, number int, kind, reason string,
		damage byte) {
		fx := newFixture()
		fx.port(fx.bridge, "tap0", nil, nil)
		fx.port(fx.bridge, name, readIDs(portIDs), readIDs(interfaceIDs))
		for _, i := range fx.rows.interfaces {
			i.Type = kind
			if damage&1 == 0 {
				i.Ofport = &number
			}
			if damage&2 == 0 {
				i.Error = &reason
			}
		}
		if damage&4 != 0 {
			fx.bridge.Ports = append(fx.bridge.Ports, name)
		}
		if damage&8 != 0 {
			fx.bridge.FlowTables = map[int]string{number: name}
		}
		if damage&16 != 0 {
			fx.rows.roots = map[string]*vswitch.OpenvSwitch{}
		}
		v, err := newView(fx.rows.all(), "br-int")
		if err != nil {
			return
		}
		for _, p := range newSnapshot(v).Ports {
			require.True(t, p.OFPort <= maxOFPort || p.OFPort == localOFPort)
			require.True(t, p.OFPort == 0 || p.Error == "", "a port that is ready has no error")
		}
		want := Desired{Revision: 1, Ports: []DesiredPort{{Name: "tap0", Zone: 1, Epoch: 1},
			{Name: name, Type: kind, Instance: reason, MAC: portIDs, Zone: 2, Epoch: 1}}}
		first, firstErr := plan(v, Options{Bridge: "br-int"}, want)
		second, secondErr := plan(v, Options{Bridge: "br-int"}, want)
		require.Equal(t, first, second)
		require.Equal(t, firstErr == nil, secondErr == nil)
	})
}
