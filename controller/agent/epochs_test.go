package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// An epoch that the database has not taken is given again, but only with the zone that it was given
// with: in another, somebody else's connections may carry it.
func TestUnseenEpochBelongsToItsZone(t *testing.T) {
	for name, c := range map[string]struct {
		issued zoneEpoch
		stored zoneEpoch // in the row
		zone   uint16
		want   uint32
	}{
		"not taken yet": {issued: zoneEpoch{1, 9}, stored: zoneEpoch{1, 5}, zone: 1, want: 9},
		"not taken yet, nor its zone": {issued: zoneEpoch{1, 9}, stored: zoneEpoch{}, zone: 1,
			want: 9},
		"given with another zone": {issued: zoneEpoch{1, 9}, stored: zoneEpoch{2, 5},
			zone: 2, want: 13},
		"the row is set to a later one": {issued: zoneEpoch{1, 9}, stored: zoneEpoch{1, 11},
			zone: 1, want: 13},
		"the row is set to the same one": {issued: zoneEpoch{1, 9}, stored: zoneEpoch{1, 9},
			zone: 1, want: 13},
		"never given one": {stored: zoneEpoch{1, 5}, zone: 1, want: 13},
	} {
		t.Run(name, func(t *testing.T) {
			e := &epochs{highest: 12, issued: map[string]zoneEpoch{"a": c.issued}}
			p := &plan{ports: []plannedPort{{Port: policy.Port{Name: "a"}, zone: c.zone,
				epoch: c.stored.epoch,
				row: bridge.Port{Name: "a", OFPort: 3, Zone: c.stored.zone,
					Epoch: c.stored.epoch}}}}
			e.assign(p, func(string, zoneEpoch) bool { return false })
			require.Equal(t, c.want, p.ports[0].epoch)
			require.Equal(t, c.want, p.revision)
			require.Equal(t, map[string]zoneEpoch{"a": {c.zone, c.want}}, e.issued)
		})
	}
}
