//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"

	"github.com/portcullis/portcullis/integration/testnet"
)

// This file has what differs from release to release of Open vSwitch, and is known. The container
// runs it on each (docs/verification.md). Invariant: a hole is seen where it is known, and nowhere
// else.

// warned is what status warns of on each release, word by word of each warning.
var warned = map[string][]string{
	"2.15.0": {"older than 3.1.0", "CVE-2023-1668", "CVE-2023-5366"},
	"2.17.0": {"older than 3.1.0", "CVE-2023-1668", "CVE-2023-5366"},
	"3.1.0":  {"CVE-2023-1668", "CVE-2023-5366"},
	"3.3.0":  {},
	"3.5.0":  {},
	"4.0.0":  {},
}

// Of each release that the tests run on status warns of what is known against it, and of nothing
// else.
func TestReleases_Warnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, vm("a", 11, "everything")),
		Outside: outside(), Daemon: daemon(t)})
	want, isKnown := warned[w.Switch.Release]
	require.True(t, isKnown, "what status says of %s is not known", w.Switch.Release)
	s, err := w.Status()
	require.NoError(t, err)
	require.Empty(t, s.Warnings)
	require.Len(t, s.Known, len(want), "%q", s.Known)
	for i, words := range want {
		require.Contains(t, s.Known[i], words)
	}
}

// metersBeginEmpty says whether what a meter lets through at once is none when it is made, and
// grows from then on with its rate: so it is with Open vSwitch 2.15 and not with 2.17. Of a port
// that has just come the first fragments are lost there.
func metersBeginEmpty(s *testnet.Switch) bool {
	return semver.Compare("v"+s.Release, "v2.17.0") < 0
}

// fillMeters waits where they begin empty, until they are full. Nothing shows it.
func fillMeters(s *testnet.Switch) {
	const fragments = 4 * time.Second // 100 at 25 a second
	if metersBeginEmpty(s) {
		time.Sleep(fragments)
	}
}

// What a limit lets through at once it lets through from its beginning: here a datagram of
// 25 fragments, of which the rate alone would let one through.
func TestReleases_MetersBeginFull(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, "fragments_per_second: 1")
	p := w.Opening("flooder", "target", testnet.UDP(7777), testnet.IPv4)
	p.ID = 1
	token, err := w.InjectFragments("flooder", p, 36000, 1440, orders["in order"])
	require.NoError(t, err)
	require.NoError(t, w.AwaitForwarded("flooder"))
	arrived := strings.Join(w.Saw("flooder", token), " ")
	if metersBeginEmpty(w.Switch) {
		require.Empty(t, arrived, "the known hole of %s is closed", w.Switch.Release)
		return
	}
	require.Equal(t, "target", arrived)
}

// mostFragments is of how many fragments the userspace datapath up to 3.5 sends a datagram on: as
// many as it takes in at once. They are some 46 KiB at the usual MTU. 4.0 knows no such bound.
const mostFragments = 32

// A datagram of more fragments than that arrives where the release has no such bound, and nowhere
// else: by itself, without any limit of ours.
func TestReleases_DatagramsOfManyFragments(t *testing.T) {
	t.Parallel()
	if testnet.ChosenDatapath() != testnet.Userspace {
		t.Skip("of the userspace datapath")
	}
	const size, header = 1440, 8
	w := limitedWorld(t, "")
	more := []string{"target"}
	if semver.Compare("v"+w.Switch.Release, "v4.0.0") < 0 {
		more = nil
	}
	for _, f := range families {
		for n, want := range map[int][]string{mostFragments: {"target"}, mostFragments + 1: more} {
			p := w.Opening("neighbour", "target", testnet.UDP(7777), f)
			p.ID = uint16(n)
			token, err := w.InjectFragments("neighbour", p, n*size-header, size, orders["in order"])
			require.NoError(t, err)
			require.NoError(t, w.AwaitForwarded("neighbour"))
			require.Equal(t, want, w.Saw("neighbour", token), "%d fragments, %s", n, f)
		}
	}
}
