//go:build integration

package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"

	"github.com/portcullis/portcullis/integration/testnet"
)

// This file has the ports of SCTP, which the userspace datapath's connection tracker reads since
// Open vSwitch 3.2, and the kernel's always has. Invariant: the hole of older releases
// (docs/operations.md) is seen where it is known, and nowhere else.

// An answer belongs to a connection of SCTP if its ports do: where they are read, one from another
// port or to another port is dropped. What a rule admits is the same on every release.
func TestReleases_SCTPPorts(t *testing.T) {
	t.Parallel()
	if testnet.ChosenDatapath() != testnet.Userspace {
		t.Skip("the kernel's tracker wants a whole handshake")
	}
	g := group{name: "g", rules: []string{in("sctp 5000", any4), in("sctp 5000", any6),
		out("udp 53", any4)}} // and so nothing else gets out by a rule
	w := newWorld(t, testnet.Spec{Policy: document([]group{g}, vm("a", 11, "g")), Outside: outside(),
		Daemon: daemon(t)})
	for _, f := range families {
		opening := w.Opening("client", "a", testnet.SCTP(5000), f)
		token, err := w.Inject("client", opening.Frame())
		require.NoError(t, err)
		require.NoError(t, w.AwaitSeen("a", token))
		denied := w.Opening("client", "a", testnet.SCTP(5001), f)
		receives(t, w, "client", denied.Frame())

		answer := opening
		answer.Src, answer.Dst, answer.From, answer.To = opening.Dst, opening.Src, opening.To, opening.From
		answer.SrcPort, answer.DstPort = opening.DstPort, opening.SrcPort
		receives(t, w, "a", answer.Frame(), testnet.Beyond)
		otherFrom, otherTo := answer, answer
		otherFrom.SrcPort++
		otherTo.DstPort++
		for _, forged := range []testnet.IP{otherFrom, otherTo} {
			if semver.Compare("v"+w.Switch.Release, "v3.2.0") < 0 {
				receives(t, w, "a", forged.Frame(), testnet.Beyond)
			} else {
				receives(t, w, "a", forged.Frame())
			}
		}
	}
}
