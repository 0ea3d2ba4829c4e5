package agent

import (
	"math"
	"testing"
	"time"

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

// A number that is not believed is none: nothing is left of it, nor of what was counted by it. What
// may be ours stays, and so does what no number was ever given for.
func TestNumberThatIsNotBelievedIsNone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ours, far := uint32(now.Add(time.Hour).Unix()), uint32(1<<31)
	for name, c := range map[string]struct {
		highest, row, want, wantRevision uint32
	}{
		"it may be ours":               {row: ours, want: ours, wantRevision: ours},
		"it was given in this run":     {highest: far, row: far, want: far, wantRevision: far},
		"nobody can have counted so":   {highest: 9, row: math.MaxUint32, wantRevision: 9},
		"and nothing was given so far": {row: math.MaxUint32},
		"there is none":                {highest: 9, wantRevision: 9},
	} {
		t.Run(name, func(t *testing.T) {
			e := &epochs{highest: c.highest}
			found := e.believed(bridge.Snapshot{Revision: c.row,
				Neighbours: bridge.Neighbours{Revision: math.MaxUint32},
				Ports:      map[string]bridge.Port{"a": {Epoch: c.row, Unflushed: c.row}}}, now)
			require.Equal(t, bridge.Snapshot{Revision: c.wantRevision,
				Ports: map[string]bridge.Port{"a": {Epoch: c.want, Unflushed: c.want}}}, found)
		})
	}
}
