package agent_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
)

// While somebody watches, what is denied is shown, by one bundle; nothing is judged again, nothing
// is logged for it, and a port that forbids it is left out. Afterwards all is as it was.
func TestDeniedIsShownWhileSomebodyWatches(t *testing.T) {
	text := strings.Replace(agenttest.File("a: 80", "b: 22"), "name: b, mac",
		"name: b, log_denied: false, mac", 1)
	agenttest.RunWith(t, text, func(w *agenttest.World) { w.Meters = agenttest.NewMeterTable(w) },
		func(w *agenttest.World) {
			shows := func() (ports int) {
				held, _ := w.Sw.Holds()
				for _, f := range held {
					if strings.Contains(f.Actions.String(), "CONTROLLER") {
						ports++
					}
				}
				return ports
			}
			before, _ := w.Sw.Holds()
			a, b := w.Database.Row("a"), w.Database.Row("b")
			require.Zero(w.T, shows())
			first, second := w.Ctl.ShowDenied(), w.Ctl.ShowDenied()
			w.Settle()
			require.Equal(w.T, 2, shows(), "of port a, in both directions")
			require.True(w.T, w.Ctl.Snapshot().ShowsDenied)
			require.Empty(w.T, w.Ctl.Snapshot().LogsDenied)
			first()
			first()
			w.Settle()
			require.Equal(w.T, 2, shows(), "another one watches")
			second()
			w.InSync()
			after, _ := w.Sw.Holds()
			require.Len(w.T, after, len(before))
			require.Zero(w.T, shows())
			require.False(w.T, w.Ctl.Snapshot().ShowsDenied)
			require.Equal(w.T, a, w.Database.Row("a"))
			require.Equal(w.T, b, w.Database.Row("b"))
		})
}
