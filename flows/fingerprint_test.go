package flows_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// Flows that differ in one bit of table, priority or cookie, in their match or in their actions have
// different fingerprints.
func TestFingerprintIsOfAllOfAFlow(t *testing.T) {
	first := openflow.Flow{Table: 40, Priority: 200, Cookie: 0x5043_0000_0000_0001,
		Match:   openflow.ParseMatch("ip,nw_src=10.0.0.1"),
		Actions: openflow.ParseActions("resubmit(,41)")}
	met := map[flows.Fingerprint]string{}
	tell := func(f openflow.Flow, what string) {
		fingerprint := flows.FingerprintOf([]openflow.Flow{f})
		require.Empty(t, met[fingerprint], what)
		met[fingerprint] = what
	}
	changed := func(what string, change func(*openflow.Flow)) {
		f := first
		change(&f)
		tell(f, what)
	}
	tell(first, "the first")
	for n := range 64 {
		bit := uint64(1) << n
		if n < 8 {
			changed(fmt.Sprintf("table, bit %d", n), func(f *openflow.Flow) { f.Table ^= uint8(bit) })
		}
		if n < 16 {
			changed(fmt.Sprintf("priority, bit %d", n), func(f *openflow.Flow) { f.Priority ^= uint16(bit) })
		}
		changed(fmt.Sprintf("cookie, bit %d", n), func(f *openflow.Flow) { f.Cookie ^= bit })
	}
	changed("match", func(f *openflow.Flow) { f.Match = openflow.ParseMatch("ip,nw_src=10.0.0.2") })
	changed("no match", func(f *openflow.Flow) { f.Match = openflow.Match{} })
	changed("actions", func(f *openflow.Flow) { f.Actions = openflow.ParseActions("resubmit(,43)") })
	changed("no actions", func(f *openflow.Flow) { f.Actions = openflow.Actions{} })
}
