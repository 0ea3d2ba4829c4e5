//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// On a plain learning switch everything leaks. If these tests did not see it, the others would
// prove nothing.
func TestHarnessSeesWhatLeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: document(nil, vm("web-1", 11), vm("db-1", 21),
		vm("bystander", 99)), Outside: outside()})
	web, db := w.Host("web-1"), w.Host("db-1")

	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			for _, s := range []testnet.Service{testnet.TCP(80), testnet.UDP(53), testnet.Ping(f)} {
				require.NoError(t, w.Reaches("web-1", "db-1", s, f))
				require.NoError(t, w.Reaches("client", "db-1", s, f))
				admitted, err := w.Admits("web-1", "db-1", s, f)
				require.NoError(t, err)
				require.True(t, admitted, "the first packet of %s", s)
			}
			require.NoError(t, w.ReachesWith("web-1", "db-1", testnet.UDP(53), f, 4000))
			require.NoError(t, w.ReachesWith("client", "db-1", testnet.Ping(f), f, 4000))
		})
	}
	t.Run("forged source", func(t *testing.T) {
		forged := w.Opening("web-1", "db-1", testnet.TCP(80), testnet.IPv4)
		forged.From = w.Host("bystander").Address(testnet.IPv4)
		receives(t, w, "web-1", forged.Frame(), "db-1")
	})
	t.Run("unknown unicast is flooded to promiscuous neighbours", func(t *testing.T) {
		frame := w.Opening("web-1", "db-1", testnet.TCP(80), testnet.IPv4)
		frame.Dst = policy.MAC{2, 0, 0, 0xde, 0xad, 1}
		receives(t, w, "web-1", frame.Frame(), "bystander", "db-1", testnet.Beyond)
	})
	t.Run("broadcast and other EtherTypes", func(t *testing.T) {
		receives(t, w, "web-1",
			testnet.Ether{Src: web.MAC, Dst: policy.BroadcastMAC, Type: 0x88b5,
				Payload: []byte("experiment")}.Frame(), "bystander", "db-1", testnet.Beyond)
	})
	t.Run("tagged", func(t *testing.T) {
		frame := testnet.Ether{Src: web.MAC, Dst: db.MAC, Type: 0x88b5,
			Payload: []byte("experiment")}.Frame().Tagged(7)
		// nobody has learned where db-1 is in VLAN 7
		receives(t, w, "web-1", frame, "bystander", "db-1", testnet.Beyond)
		all := db.Capture.All(func(f testnet.Frame) bool {
			return len(f) > 14 && string(f[:18]) == string(frame[:18])
		})
		require.Len(t, all, 1, "the capture shows the tag where it was")
	})
	t.Run("stream", func(t *testing.T) {
		s, err := w.PushFromServer("client", "web-1", testnet.IPv4, 5000)
		require.NoError(t, err)
		last := s.AwaitSent(200)
		require.True(t, s.Await(last, testnet.Slowed(5*time.Second)))
		require.Empty(t, s.Missing(1, last))
	})
}

// A switch without flows passes nothing: not even the questions that the harness settles with.
func TestHarnessSeesSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: document(nil, vm("web-1", 11), vm("db-1", 21)),
		Outside: outside()})
	_, err := w.Switch.Run("ovs-ofctl", "del-flows", testnet.Bridge)
	require.NoError(t, err)
	require.Error(t, w.AwaitForwarded("web-1"))
}
