package ofswitch_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// manyFlows is a program whose size is in the addresses of peers, as it is in a large cloud.
func manyFlows(n int) []openflow.Flow {
	out := make([]openflow.Flow, n)
	for i := range out {
		out[i] = openflow.Flow{Table: 52, Priority: 300, Cookie: cookie(uint64(i + 1)),
			Match: openflow.ParseMatch(fmt.Sprintf("ip,nw_src=10.%d.%d.%d", i>>16&255, i>>8&255,
				i&255)),
			Actions: openflow.ParseActions(fmt.Sprintf("conjunction(%d,2/3),conjunction(%d,2/3)",
				i%100+1, i%100+200))}
	}
	return out
}

// holding runs a private switch that holds n flows.
func holding(b *testing.B, n int) (*ofswitch.Switch, []openflow.Flow) {
	_, sw := start(b)
	want := manyFlows(n)
	require.NoError(b, sw.Apply(context.Background(), openflow.Delta{Add: want}))
	return sw, want
}

// The bundle of a cold start, and the largest heap while it is sent.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			sw, want := holding(b, n)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, sw.Apply(context.Background(), openflow.Delta{Add: want}))
			}
		})
	}
}

// The bundle of one change, in a switch that holds many flows: one flow goes and another comes.
func BenchmarkApplyOne(b *testing.B) {
	sw, want := holding(b, 20_000)
	other := want[7]
	other.Match, other.Cookie = openflow.ParseMatch("ip,nw_src=10.255.0.1"), cookie(1<<40)
	here, there := want[7:8], []openflow.Flow{other}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, sw.Apply(context.Background(), openflow.Delta{Delete: here, Add: there}))
		here, there = there, here
	}
}

// The read-back at a start. heap-B is what the flows occupy that it returns.
func BenchmarkDump(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			sw, want := holding(b, n)
			var held []openflow.Flow
			before := heap()
			b.ReportAllocs()
			for b.Loop() {
				var err error
				held, err = sw.Dump(context.Background())
				require.NoError(b, err)
			}
			b.ReportMetric(float64(heap()-before), "heap-B")
			require.Len(b, held, len(want))
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The meters of a cold start: five for each of 500 ports.
func BenchmarkPutMeters(b *testing.B) {
	sw, _ := holding(b, 1)
	want := make([]flows.Meter, 2500)
	for i := range want {
		want[i] = flows.Meter{ID: uint32(i + 1), Rate: 100, Burst: 100}
	}
	for b.Loop() {
		require.NoError(b, sw.PutMeters(context.Background(), flows.MeterDelta{Add: want}))
		held, err := sw.Meters(context.Background())
		require.NoError(b, err)
		require.Len(b, held, len(want))
		require.NoError(b, sw.DeleteMeters(context.Background(), want))
	}
}
