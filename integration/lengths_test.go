//go:build integration

package integration

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// What happens with datagrams whose header lies about their length. Of one that claims to be longer
// than its frame, ovs-vswitchd reads neither addresses nor protocol; of one that claims to be
// shorter, no ports. The kernel's datapath reads all of them, and keeps what ovs-vswitchd decides
// for whatever looks alike to the kernel. (The userspace datapath reads as ovs-vswitchd does.)

// claiming returns a datagram of p that says to be this long: its header and this many bytes.
func claiming(p testnet.IP, payload uint16) testnet.Frame {
	f := bytes.Clone(p.Frame())
	ip := f[14:]
	if p.From.Is6() {
		binary.BigEndian.PutUint16(ip[4:], payload)
		return f
	}
	binary.BigEndian.PutUint16(ip[2:], 20+payload)
	binary.BigEndian.PutUint16(ip[10:], 0)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	return f
}

// tooLong is more than any frame of these tests has; tooShort leaves no room for ports.
const tooLong, tooShort = 1000, 0

// lengthsWorld has a switch that forgets no datapath flow while a test looks.
func lengthsWorld(t *testing.T) *testnet.World {
	t.Helper()
	w := pairWorld(t)
	_, err := w.Switch.Run("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=300000")
	require.NoError(t, err)
	return w
}

func ofUDP(w *testnet.World, from, to string, src, dst uint16, f testnet.Family) testnet.IP {
	p := w.Opening(from, to, testnet.UDP(dst), f)
	p.SrcPort, p.Body = src, make([]byte, 64)
	return p
}

// lie sends a datagram that lies about its length, and nobody is to hear of it.
func lie(t *testing.T, w *testnet.World, from string, p testnet.IP, payload uint16) {
	t.Helper()
	require.NoError(t, w.Host(from).Send(claiming(p, payload)))
	require.NoError(t, w.AwaitForwarded("late"))
}

func hears(t *testing.T, w *testnet.World, from string, p testnet.IP) []string {
	t.Helper()
	got, err := w.Receivers(from, p.Frame())
	require.NoError(t, err)
	return got
}

// Who lies cuts off nobody but itself.
func TestLengths_OthersArrive(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			w := lengthsWorld(t)
			// what is denied makes the datapath's flow toward b's rules, but none of b's open ports
			require.Empty(t, hears(t, w, "attacker", ofUDP(w, "attacker", "b", 5000, 6000, f)))
			lie(t, w, "attacker", ofUDP(w, "attacker", "b", 5002, 5001, f), tooLong)
			require.Equal(t, []string{"b"}, hears(t, w, "client", ofUDP(w, "client", "b", 5001, 5001, f)))
			require.Equal(t, []string{"a"},
				hears(t, w, "attacker", ofUDP(w, "attacker", "a", 5001, 5001, f)))
		})
	}
}

// No lie opens the way for a DHCP answer of an instance.
func TestLengths_NoDHCPAnswer(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			w := lengthsWorld(t)
			server, client := uint16(67), uint16(68)
			if f == testnet.IPv6 {
				server, client = 547, 546
			}
			beside := server - 1 // a port that may send, and looks alike where ports are not read
			lie(t, w, "a", ofUDP(w, "a", "client", beside, client, f), tooShort)
			lie(t, w, "a", ofUDP(w, "a", "client", beside, client, f), tooLong)
			require.Empty(t, hears(t, w, "a", ofUDP(w, "a", "client", server, client, f)))
			require.Equal(t, []string{testnet.Beyond},
				hears(t, w, "a", ofUDP(w, "a", "attacker", beside, client, f)))
		})
	}
}

// On the kernel's datapath the liar cuts itself off: from one receiver, in one protocol, until the
// datapath forgets it. (Where this fails, Open vSwitch has been mended: see docs/operations.md.)
func TestLengths_OfTheLiar(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			w := lengthsWorld(t)
			lie(t, w, "a", ofUDP(w, "a", "b", 5002, 5001, f), tooLong)
			isHeard := len(hears(t, w, "a", ofUDP(w, "a", "b", 5003, 5003, f))) > 0
			require.Equal(t, testnet.ChosenDatapath() == testnet.Userspace, isHeard)
			require.Equal(t, []string{"a"}, hears(t, w, "b", ofUDP(w, "b", "a", 5003, 5003, f)))
			require.Equal(t, []string{"b"}, hears(t, w, "client", ofUDP(w, "client", "b", 5003, 5003, f)))
			require.NoError(t, w.Reaches("a", "b", testnet.TCP(5000), f))
		})
	}
}
