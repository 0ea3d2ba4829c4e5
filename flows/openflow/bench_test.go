package openflow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// What the daemon itself does of a bundle: of each kind of flow, and of a peer's address, of which
// there are most.
func BenchmarkFlowMods(b *testing.B) {
	peers := make([]openflow.Flow, 10_000)
	for i := range peers {
		peers[i] = openflow.Flow{Table: 52, Priority: 300, Cookie: uint64(i),
			Match: openflow.ParseMatch(fmt.Sprintf("ip,nw_src=10.0.%d.%d", i>>8, i&255)),
			Actions: openflow.ParseActions(fmt.Sprintf("conjunction(%d,2/3),conjunction(%d,2/3)", i%100+1,
				i%100+200))}
	}
	for name, list := range map[string][]openflow.Flow{"kinds": compiled(b), "peers": peers} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var pending []byte
			for b.Loop() {
				pending = pending[:0]
				for n, f := range list {
					var err error
					if pending, err = openflow.AppendFlowMod(pending, uint32(n), openflow.Add, f); err != nil {
						require.NoError(b, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(list)), "ns/flow")
		})
	}
}
