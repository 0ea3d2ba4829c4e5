package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
)

func TestSummaryIsOneLine(t *testing.T) {
	got := summary(&agent.Snapshot{State: agent.StateDegraded, Error: "this\nand that", Revision: 7,
		Flows: 3,
		Ports: []agent.PortStatus{{State: agent.PortApplied}, {State: agent.PortError}}})
	require.Equal(t, "degraded: 1 of 2 ports programmed, 3 flows, revision 7; this; and that", got)
}
