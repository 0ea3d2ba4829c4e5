//go:build integration

package integration

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/ofswitch"
	compiler "github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/testnet"
)

// requireCompiled asserts that the bridge holds exactly what the policy's file compiles to for the
// ports as they are, and returns how many flows that are.
func requireCompiled(t *testing.T, w *testnet.World) int {
	t.Helper()
	require.NoError(t, w.AwaitProgrammed())
	delta, held := compiledDelta(t, w)
	require.Empty(t, delta.Add, "missing on the bridge")
	require.Empty(t, delta.Delete, "on the bridge, and not in the program")
	return held
}

// awaitCompiled waits until requireCompiled holds. It is for flows that were changed by hand: the
// status says "in sync" until the daemon has heard of each of them.
func awaitCompiled(t *testing.T, w *testnet.World) (held int) {
	t.Helper()
	isCompiled := func(string) bool {
		require.NoError(t, w.AwaitProgrammed())
		var delta openflow.Delta
		delta, held = compiledDelta(t, w)
		return delta.Empty()
	}
	if w.Switch.Until(isCompiled, "true") != nil {
		return requireCompiled(t, w) // says what differs
	}
	return held
}

// compiledDelta is what the bridge lacks of what the policy's file compiles to, and what it has
// beyond; and how many flows it holds.
func compiledDelta(t *testing.T, w *testnet.World) (openflow.Delta, int) {
	t.Helper()
	settings, err := config.LoadSettings(filepath.Join(w.Dir, "portcullis.yaml"))
	require.NoError(t, err)
	pol, _, err := policydir.Load(settings.Policy)
	require.NoError(t, err)
	status, err := w.Status()
	require.NoError(t, err)
	sw := ofswitch.New(ofswitch.Options{Target: w.Switch.Management(testnet.Bridge)})
	last, err := sw.LastMeter(t.Context())
	require.NoError(t, err)
	in := compiler.Input{Policy: pol, Site: settings.Site(), LastMeter: last}
	for _, p := range status.Ports {
		if p.State == "applied" {
			in.Bindings = append(in.Bindings,
				compiler.Binding{Port: p.Name, OFPort: p.OFPort, Zone: p.Zone, Epoch: p.Epoch})
		}
	}
	for _, u := range status.Uplinks {
		if u.OFPort != 0 {
			in.Uplinks = append(in.Uplinks, compiler.Uplink{Name: u.Name, OFPort: u.OFPort})
		}
	}
	program, err := compiler.Compile(in)
	require.NoError(t, err)
	held, err := sw.Dump(context.Background())
	require.NoError(t, err)
	return openflow.Diff(program.Flows, held), len(held)
}
