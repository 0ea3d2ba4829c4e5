package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
)

func daemon(t *testing.T, o *sandbox.OVS, bridge, name string) *Client {
	t.Helper()
	c, err := New(Options{Endpoint: o.DB, Bridge: bridge, DatapathType: "dummy", Daemon: name})
	require.NoError(t, err)
	return c
}

func TestTheSecondDaemonRefuses(t *testing.T) {
	o := database(t)
	first := attachWith(t, daemon(t, o, "br-int", "pid 1 on hv1").opts)
	await(t, first, func(Snapshot) bool { return true })
	require.NoError(t, ensure(t, first, Desired{Revision: 1}))
	require.Equal(t, `"pid 1 on hv1"`, get(o, "Bridge", "br-int", "external_ids:portcullis-daemon"))

	second := daemon(t, o, "br-int", "pid 2 on hv1")
	err := second.Run(t.Context())
	require.EqualError(t, err,
		"the bridge br-int is kept by another daemon: pid 1 on hv1; two would undo each other's flows")
	_, err = second.Snapshot()
	require.ErrorAs(t, err, new(*HeldError))
	require.ErrorAs(t, second.LastError(), new(*HeldError))
	require.ErrorAs(t, ensure(t, second, Desired{Revision: 2}), new(*HeldError))
	require.NoError(t, ensure(t, first, Desired{Revision: 3}), "the first one goes on")

	other := attachWith(t, daemon(t, o, "br_int", "pid 3 on hv1").opts)
	await(t, other, func(Snapshot) bool { return true }) // another bridge is nobody's business
}

func TestLockNames(t *testing.T) {
	for bridge, want := range map[string]string{"br0": "portcullis_br0",
		"br-int": "portcullis_br_2dint", "br_int": "portcullis_br_5fint",
		"br.ü": "portcullis_br_2e_c3_bc"} {
		require.Equal(t, want, lockName(bridge))
	}
}
