//go:build integration

package integration

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/world"
)

// A rule whose flows Open vSwitch does not take (here: its table is full) is denied and told by name, and holds up nobody; it is in force as
// soon as it is taken.
func TestRefusedRuleHoldsUpNobody(t *testing.T) {
	t.Parallel()
	before := portPolicy(portA, portB, portC)
	w := newWorld(t, world.Spec{Policy: before, Outside: outside(), Daemon: daemon(t)})
	streams := map[string]*world.Stream{}
	push(t, w, streams, "client", "a", 5000)
	flows(t, streams)
	table, err := w.Switch.Run("ovs-vsctl", "get", "Bridge", world.Bridge, "flow_tables:52")
	require.NoError(t, err)
	table = strings.TrimSpace(table)
	full := strings.Count(programOf(t, w), "table=52,")
	_, err = w.Switch.Run("ovs-vsctl", "set", "Flow_Table", table, "flow_limit="+strconv.Itoa(full))
	require.NoError(t, err)

	after := strings.Replace(before, "- name: closed\n", "- name: late\n    rules: ["+in("tcp 7777", any4)+"]\n  - name: closed\n", 1)
	after = strings.Replace(after, "groups: [closed]", "groups: [closed, late]", 1)
	after = strings.Replace(after, `"203.0.113.21"`, `"203.0.113.21", "203.0.113.29"`, 1) // somebody else's change
	require.NoError(t, w.ReplacePolicy(after))
	s, err := w.AwaitStatus(func(s world.Status) bool { return s.Error == "" && len(s.Policy.Refused) > 0 })
	require.NoError(t, err)
	t.Log(s.Policy.Refused[0])
	require.Regexp(t, `policy\.yaml:\d+:\d+: group late: ingress tcp 7777 .*OFPFMFC_TABLE_FULL`, s.Policy.Refused[0])
	require.Contains(t, programOf(t, w), "203.0.113.29", "everybody else's change is in force")
	admits(t, w, "client", "c", world.TCP(7777), world.IPv4, false)
	require.NoError(t, w.Reaches("client", "b", world.TCP(80), world.IPv4))

	_, err = w.Switch.Run("ovs-vsctl", "clear", "Flow_Table", table, "flow_limit")
	require.NoError(t, err)
	require.NoError(t, w.SetPolicy("\n"+after)) // the lines have moved: another policy
	admits(t, w, "client", "c", world.TCP(7777), world.IPv4, true)
	complete(t, streams)
	tally(t, streams)
}
