package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// An epoch that the database has not taken is given again, but only with the zone that it was given with: in another, somebody else's
// connections may carry it.
func TestUnseenEpochBelongsToItsZone(t *testing.T) {
	for name, c := range map[string]struct {
		unseen grant
		stored grant // in the row
		zone   uint16
		want   uint32
	}{
		"not taken yet":                  {unseen: grant{1, 9}, stored: grant{1, 5}, zone: 1, want: 9},
		"not taken yet, nor its zone":    {unseen: grant{1, 9}, stored: grant{}, zone: 1, want: 9},
		"given with another zone":        {unseen: grant{1, 9}, stored: grant{2, 5}, zone: 2, want: 13},
		"the row is set to a later one":  {unseen: grant{1, 9}, stored: grant{1, 11}, zone: 1, want: 13},
		"the row is set to the same one": {unseen: grant{1, 9}, stored: grant{1, 9}, zone: 1, want: 13},
		"never given one":                {stored: grant{1, 5}, zone: 1, want: 13},
	} {
		t.Run(name, func(t *testing.T) {
			e := &epochs{highest: 12, unseen: map[string]grant{"a": c.unseen}}
			p := &plan{ports: []plannedPort{{Port: policy.Port{Name: "a"}, zone: c.zone, epoch: c.stored.epoch,
				row: bridge.Port{Name: "a", OFPort: 3, Zone: c.stored.zone, Epoch: c.stored.epoch}}}}
			e.assign(p, func(string, grant) bool { return false })
			require.Equal(t, c.want, p.ports[0].epoch)
			require.Equal(t, c.want, p.revision)
			require.Equal(t, map[string]grant{"a": {c.zone, c.want}}, e.unseen)
		})
	}
}
