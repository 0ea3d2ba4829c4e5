package bridge

import (
	"fmt"
	"slices"
	"testing"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// drawDesired is a request for some of four ports.
func drawDesired(t *rapid.T, revision uint32) Desired {
	d := Desired{Revision: revision, Prefixes: map[uint8][]string{}}
	for _, name := range portNames() {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		d.Ports = append(d.Ports, DesiredPort{
			Name: name, Type: rapid.SampledFrom([]string{"", "internal"}).Draw(t, "type"),
			Instance: rapid.SampledFrom([]string{"", "vm1", "vm2"}).Draw(t, "instance"),
			MAC: rapid.SampledFrom([]string{"", "02:00:00:00:00:01",
				"02:00:00:00:00:02"}).Draw(t, "mac"),
			Zone:  rapid.Uint16Range(1, 3).Draw(t, "zone"),
			Epoch: rapid.Uint32Range(0, 2).Draw(t, "epoch"),
		})
	}
	for _, table := range []uint8{2, 3} {
		if rapid.Bool().Draw(t, "table") {
			d.Prefixes[table] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ip_src",
				"ip_dst", "ipv6_src"}), 0, 3, rapid.ID[string]).Draw(t, "prefixes")
		}
	}
	return d
}

func portNames() []string { return []string{"tap1", "tap2", "tap3", "tap4"} }

// meddle is what an operator or libvirt does to one port; the result is the foreign keys that
// must survive, by interface.
func meddle(t *rapid.T, name string, have Snapshot, theirs map[string]string) []string {
	_, there := have.Ports[name]
	value := rapid.SampledFrom([]string{"x1", "x2"}).Draw(t, "value")
	switch action := rapid.IntRange(0, 4).Draw(t, "action"); {
	case action == 0 && there:
		delete(theirs, name)
		return []string{"del-port", name}
	case action == 1 && !there:
		theirs[name] = value
		return []string{"add-port", "br-int", name, "--", "set", "Interface", name,
			"external_ids:vm-id=" + value}
	case action == 2 && there:
		theirs[name] = value
		return []string{"set", "Interface", name, "external_ids:vm-id=" + value}
	case action == 3 && there:
		return []string{"set", "Port", name, "external_ids:portcullis-zone=junk",
			"external_ids:portcullis-epoch=-1"}
	}
	return []string{"show"}
}

// TestEnsureSettlesWhateverOthersDo holds: after Ensure the snapshot is what was desired, a
// second Ensure sends nothing, no foreign key changed, and ports of others stay.
func TestEnsureSettlesWhateverOthersDo(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy")
	c := connected(t, o)
	revision := uint32(0)
	theirs := map[string]string{} // port → the vm-id that somebody else wrote last
	rapid.Check(t, func(t *rapid.T) {
		before, err := c.Snapshot()
		require.NoError(t, err)
		o.Vsctl(meddle(t, rapid.SampledFrom(portNames()).Draw(t, "port"), before, theirs)...)
		o.Vsctl("set", "Bridge", "br-int", fmt.Sprintf("external_ids:mark=%d", revision))
		comment := libovsdb.Operation{Op: libovsdb.OperationComment, Comment: new(string)}
		// updates come before the answer
		require.NoError(t, send(t.Context(), c, []client.Operation{{Op: comment}}))
		revision++
		d := drawDesired(t, revision)
		before, err = c.Snapshot()
		require.NoError(t, err)
		require.NoError(t, c.Ensure(t.Context(), d))
		count := c.Sent()
		require.NoError(t, c.Ensure(t.Context(), d))
		require.Equal(t, count, c.Sent())
		settled(t, c, d, before, theirs)
	})
}

func settled(t *rapid.T, c *Client, d Desired, before Snapshot, theirs map[string]string) {
	after, err := c.Snapshot()
	require.NoError(t, err)
	require.Equal(t, d.Revision, after.Revision)
	for _, name := range portNames() {
		i := slices.IndexFunc(d.Ports, func(p DesiredPort) bool { return p.Name == name })
		got, there := after.Ports[name]
		was, existed := before.Ports[name]
		if i < 0 {
			require.Equal(t, existed && !was.Owned, there, "%s: only our own ports go", name)
			require.Zero(t, got.Zone)
			if !there {
				delete(theirs, name)
				continue
			}
		} else {
			require.True(t, there)
			require.Equal(t, d.Ports[i].Zone, got.Zone)
			require.Equal(t, d.Ports[i].Epoch, got.Epoch)
			require.Equal(t, !existed || was.Owned, got.Owned)
		}
		if value, foreign := theirs[name]; foreign {
			require.Equal(t, value, got.Instance, name)
		} else if i >= 0 {
			require.Equal(t, d.Ports[i].Instance, got.Instance, name)
		}
	}
}
