//go:build integration

package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// priority3 is the tag control information of priority 3 in VLAN 0, and discardable that of what
// may be dropped first, in VLAN 0 too.
const priority3, discardable = 3 << 13, 1 << 12

// L2-1: a header of VLAN 0 carries a priority alone: what an uplink sends with one is taken as
// untagged, and answered. A header that names a VLAN, a second header, and any header of an
// instance or a trusted port is dropped. Where Open vSwitch reads two headers, its userspace
// datapath would take the two for one: there all are dropped.
func TestL2_1_PriorityTags(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("vlan-limit %d", limit), func(t *testing.T) {
			t.Parallel()
			w := layer2World(t)
			_, err := w.Switch.Run("ovs-vsctl", "set", "Open_vSwitch", ".",
				"other_config:vlan-limit="+strconv.Itoa(limit))
			require.NoError(t, err)
			_, err = w.AwaitStatus(func(s testnet.Status) bool {
				return strings.Contains(strings.Join(s.Warnings, "\n"), "vlan-limit") == (limit != 1)
			})
			require.NoError(t, err)
			require.NoError(t, w.AwaitProgrammed())
			before := programOf(t, w)
			require.NoError(t, w.Switch.RestartVswitchd(func() error { return nil }))
			awaitShape(t, w, before)
			require.NoError(t, w.AwaitProgrammed())
			for _, f := range families {
				// who listens there answers below
				require.NoError(t, w.Reaches("client", "web-1", testnet.TCP(80), f))
				if limit == 1 {
					answersTagged(t, w, f)
				}
			}
			dropsTagged(t, w, limit)
			dropsTagsFromInside(t, w)
		})
	}
}

// asked is a frame of a client to web-1 that is answered, and what matches the answer.
type asked struct {
	frame  testnet.Frame
	answer func(testnet.Frame) bool
}

// asking are such frames, of a connection and before it.
func asking(w *testnet.World, f testnet.Family) map[string]asked {
	client, server := w.Host("client"), w.Host("web-1")
	syn := w.Opening("client", "web-1", testnet.TCP(80), f)
	answer := tcp{from: server.MAC, to: client.MAC, src: server.Address(f), dst: client.Address(f),
		port: 80, isAnswers: true}
	out := map[string]asked{
		"segment": {syn.Frame(),
			func(g testnet.Frame) bool { return answer.matches(g) && answersTo(g, syn) }}}
	if f == testnet.IPv4 {
		out["ARP"] = asked{w.ARPRequest("client", "web-1").Frame(), func(g testnet.Frame) bool {
			return len(g) > 41 && g[12] == 8 && g[13] == 6 && g[21] == byte(policy.ARPReply) &&
				policy.MAC(g[6:12]) == server.MAC
		}}
		return out
	}
	out["solicitation"] = asked{w.Solicitation("client", "web-1").Frame(), func(g testnet.Frame) bool {
		return len(g) > 77 && g[12] == 0x86 && g[20] == byte(policy.ICMPv6) &&
			g[54] == policy.NeighborAdvertisement && policy.MAC(g[6:12]) == server.MAC
	}}
	return out
}

// answersTo says whether a segment goes to the port that another came from.
func answersTo(g testnet.Frame, p testnet.IP) bool {
	at := 34
	if p.From.Is6() {
		at = 54
	}
	return len(g) > at+3 && g[at+2] == byte(p.SrcPort>>8) && g[at+3] == byte(p.SrcPort)
}

// answersTagged sends what is answered, with one header of VLAN 0, and waits for the answer, which
// has none.
func answersTagged(t *testing.T, w *testnet.World, f testnet.Family) {
	t.Helper()
	for name := range asking(w, f) {
		for _, tag := range []uint16{0, priority3, discardable} {
			t.Run(fmt.Sprintf("%s over %s with tag 0x%04x", name, f, tag), func(t *testing.T) {
				ask := asking(w, f)[name] // from a port of its own
				before := seen(w, "client", ask.answer)
				receives(t, w, "client", ask.frame.Tagged(tag), "web-1")
				require.Eventually(t, func() bool { return seen(w, "client", ask.answer) > before },
					testnet.Slowed(patience), 5*time.Millisecond)
				receives(t, w, "client", asService(ask.frame.Tagged(tag)), "web-1")
				require.Zero(t, seen(w, "web-1", isTagged), "the header is taken off")
			})
		}
	}
}

// dropsTagged sends what must not pass, beside the untagged twin that must.
func dropsTagged(t *testing.T, w *testnet.World, limit int) {
	t.Helper()
	outer := func(f testnet.Frame, tags ...uint16) testnet.Frame { // the last is the outermost
		for _, tag := range tags {
			f = f.Tagged(tag)
		}
		return f
	}
	for _, f := range families {
		for name, ask := range asking(w, f) {
			honest := ask.frame
			if limit != 1 {
				for _, tag := range []uint16{0, priority3, discardable} {
					receives(t, w, "client", honest.Tagged(tag))
				}
			}
			for kind, tags := range map[string][]uint16{
				"VLAN 5": {5}, "VLAN 5 with a priority": {priority3 | 5}, "VLAN 4095": {4095},
				"VLAN 0 in VLAN 0": {0, 0},
				"VLAN 5 in VLAN 0": {5, 0}, "VLAN 0 in VLAN 5": {0, 5}, "VLAN 5 in VLAN 5": {5, 5},
				"three of VLAN 0":         {0, 0, 0},
				"VLAN 5 in two of VLAN 0": {5, 0, 0},
			} {
				t.Run(fmt.Sprintf("%s over %s, %s", name, f, kind), func(t *testing.T) {
					receives(t, w, "client", outer(honest, tags...))
					receives(t, w, "client", asService(outer(honest, tags...)))
				})
			}
			receives(t, w, "client", honest, "web-1")
		}
	}
}

// dropsTagsFromInside is dropsTagged for ports of instances, trusted ones among them.
func dropsTagsFromInside(t *testing.T, w *testnet.World) {
	t.Helper()
	for _, f := range families {
		for _, from := range []string{"db-1", "server"} {
			p := w.Opening(from, "web-1", testnet.TCP(80), f).Frame()
			for _, tag := range []uint16{0, priority3, discardable, 5} {
				receives(t, w, from, p.Tagged(tag))
				receives(t, w, from, asService(p.Tagged(tag)))
			}
			receives(t, w, from, p, "web-1")
		}
	}
}

// asService returns a tagged frame whose outermost header is that of a provider's bridge (IEEE
// 802.1ad).
func asService(f testnet.Frame) testnet.Frame {
	out := append(testnet.Frame(nil), f...)
	out[12], out[13] = 0x88, 0xa8
	return out
}

// isTagged says whether a frame begins with a header of a VLAN.
func isTagged(f testnet.Frame) bool {
	return len(f) > 14 && (f[12] == 0x81 && f[13] == 0 || f[12] == 0x88 && f[13] == 0xa8)
}
