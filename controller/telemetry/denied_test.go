package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/policy"
)

// knock is a packet that the rules of the port in zone 7 deny.
func knock(port uint16) ofswitch.Denied {
	return ofswitch.Denied{Table: 53, Zone: 7, Protocol: policy.TCP,
		Src: netip.MustParseAddr("198.51.100.2"), Dst: netip.MustParseAddr("203.0.113.11"),
		SrcPort: 4000, DstPort: port, TCPFlags: "syn"}
}

// written is a log of denied packets, and what it has written since the last look.
func written() (*deniedLog, func() []map[string]any) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(&logrus.JSONFormatter{DisableTimestamp: true})
	status := &agent.Snapshot{Ports: []agent.PortStatus{{Name: "tap1", Instance: "web-1", Zone: 7}}}
	read := func() (lines []map[string]any) {
		for line := range strings.Lines(out.String()) {
			fields := map[string]any{}
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				panic(err)
			}
			lines = append(lines, fields)
		}
		out.Reset()
		return lines
	}
	return newDeniedLog(logrus.NewEntry(log), func() *agent.Snapshot { return status }), read
}

func TestDeniedIsLoggedWithEverythingKnown(t *testing.T) {
	l, read := written()
	now := time.Unix(1000, 0)
	l.record(knock(22), now)
	require.Equal(t, []map[string]any{{"level": "info", "msg": "denied", "port": "tap1",
		"instance": "web-1", "direction": "ingress", "protocol": "tcp",
		"src": "198.51.100.2", "dst": "203.0.113.11", "src_port": 4000.0, "dst_port": 22.0,
		"tcp_flags": "syn", "reason": "no ingress rule admits it"}}, read())

	ping := ofswitch.Denied{Table: 33, Zone: 7, Protocol: policy.ICMPv6, ICMPType: 128,
		IsKnown: true, Src: netip.MustParseAddr("2001:db8::1"),
		Dst: netip.MustParseAddr("2001:db8::2")}
	l.record(ping, now)
	ping.IsReply, ping.Zone = true, 9
	l.record(ping, now)
	later := knock(0)
	later.IsLaterFragment, later.TCPFlags = true, ""
	l.record(later, now)
	got := read()
	require.Len(t, got, 3)
	require.Equal(t, 128.0, got[0]["icmp_type"])
	require.Equal(t, 0.0, got[0]["icmp_code"])
	require.Equal(t, "egress", got[0]["direction"])
	require.Equal(t, "its connection is one that no egress rule admits any more", got[0]["reason"])
	require.NotContains(t, got[0], "src_port")
	require.Equal(t, "it answers a connection that no ingress rule admits any more",
		got[1]["reason"])
	require.NotContains(t, got[1], "port", "a port that is gone")
	require.Equal(t, "later", got[2]["fragment"])
	require.NotContains(t, got[2], "dst_port")
}

func TestDeniedIsLoggedOnce(t *testing.T) {
	l, read := written()
	now := time.Unix(1000, 0)
	again := knock(22)
	again.SrcPort++
	l.record(knock(22), now)
	l.record(again, now.Add(time.Second))
	l.record(knock(22), now.Add(deniedAgain-1))
	require.Len(t, read(), 1)
	other := knock(22)
	other.Table = 33
	l.record(knock(23), now.Add(time.Second))
	l.record(other, now.Add(time.Second))
	require.Len(t, read(), 2)
	l.record(knock(22), now.Add(deniedAgain))
	require.Len(t, read(), 1, "after a minute it is told again")
}

// A scan of everything: the log gets as many lines as it may, and says how many it did not get; and
// no more is remembered than there is room for.
func TestDeniedLogIsBounded(t *testing.T) {
	l, read := written()
	now := time.Unix(1000, 0)
	const seconds, each = 200, 1000
	lines := 0
	for s := range seconds {
		for n := range each {
			d := knock(uint16(n))
			d.Src = netip.AddrFrom4([4]byte{10, 0, byte(s >> 8), byte(s)})
			l.record(d, now.Add(time.Duration(s)*time.Second+time.Duration(n)*time.Second/each))
			require.LessOrEqual(t, len(l.seen), deniedKept)
		}
		got := read()
		lines += len(got)
		require.LessOrEqual(t, len(got), 2*deniedLines)
	}
	require.InDelta(t, seconds*deniedLines, lines, 2*deniedLines)
	l.record(knock(9999), now.Add(time.Hour))
	require.Positive(t, read()[0]["unlogged"])
	require.Zero(t, l.unlogged)
}

// fakePacketSource is a switch that shows packets.
type fakePacketSource struct{ calls, live int }

func (f *fakePacketSource) WatchDenied(ctx context.Context, take func(ofswitch.Denied)) error {
	f.calls++
	f.live++
	defer func() { f.live-- }()
	take(knock(uint16(f.calls)))
	if f.calls < 3 {
		return errors.New("the switch is gone")
	}
	<-ctx.Done()
	return ctx.Err()
}

// The daemon listens while a port wants it, again where the switch goes away, and not otherwise.
func TestHearDeniedListensWhileItIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		witness := &fakePacketSource{}
		hub := agent.NewHub(&agent.Snapshot{})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- HearDenied(ctx, witness, hub, &Feed{}, silentLog()) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, witness.calls)
		hub.Publish(&agent.Snapshot{ShowsDenied: true})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 3, witness.calls)
		require.Equal(t, 1, witness.live)
		hub.Publish(&agent.Snapshot{})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, witness.live)
		require.Equal(t, 3, witness.calls)
		hub.Publish(&agent.Snapshot{ShowsDenied: true})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, witness.live)
		cancel()
		require.NoError(t, <-ended)
		synctest.Wait()
		require.Zero(t, witness.live)
	})
}
