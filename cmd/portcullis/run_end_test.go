package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soon is how long a daemon may take to end, whatever it is about.
const soon = 5 * time.Second

// A daemon ends soon while it finds out who gains and who loses by a change that takes it long:
// half of 20,000 rules admit everything from a network each, and the others are replaced, each for
// a port and a network of its own.
func TestTheEndDoesNotWaitForWhatIsToBeTold(t *testing.T) {
	d := newDaemon(t)
	d.writePolicy(manyRules(172))
	d.ready()
	d.settled()
	d.writePolicy(manyRules(173))
	d.settled()
	kept := func() bool { return call(t, "history", "2", "--config", d.settings).code == 0 }
	require.Eventually(t, kept, generous, 10*time.Millisecond)
	require.NotContains(t, d.said(), `"gained":10000`, "it is being told")

	began := time.Now()
	d.stop(syscall.SIGTERM)
	require.Less(t, time.Since(began), soon)
	require.Contains(t, d.said(), "the daemon ends before it has told who gained and lost access")
}

// manyRules is a policy whose one member is elsewhere, so that the change makes no flows.
func manyRules(network int) string {
	var b strings.Builder
	b.WriteString("groups:\n- name: many\n  rules:\n")
	for n := range 10_000 {
		fmt.Fprintf(&b, "  - {direction: ingress, protocol: any, cidr: 171.%d.%d.%d/28}\n", n>>12,
			n>>4&255, n<<4&255)
		fmt.Fprintf(&b, "  - {direction: ingress, protocol: tcp, ports: %d, cidr: %d.%d.%d.%d/28}\n",
			n+1, network, n>>12, n>>4&255, n<<4&255)
	}
	b.WriteString("instances:\n- {name: web, host: elsewhere, groups: [many], ports: [{name: tap1, " +
		"mac: '02:00:00:00:00:01', addresses: [10.0.0.1]}]}\n")
	return b.String()
}
