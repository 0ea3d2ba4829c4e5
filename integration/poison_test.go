//go:build integration

package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// A rule whose flows Open vSwitch does not take (here: its table is full) is denied and told by
// name, and holds up nobody; it is in force as soon as it is taken.
func TestRefusedRuleHoldsUpNobody(t *testing.T) {
	t.Parallel()
	before := portPolicy(portA, portB, portC)
	w := newWorld(t, testnet.Spec{Policy: before, Outside: outside(), Daemon: daemon(t)})
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	flows(t, streams)
	table, err := w.Switch.Run("ovs-vsctl", "get", "Bridge", testnet.Bridge, "flow_tables:52")
	require.NoError(t, err)
	table = strings.TrimSpace(table)
	full := strings.Count(programOf(t, w), "table=52,")
	_, err = w.Switch.Run("ovs-vsctl", "set", "Flow_Table", table, "flow_limit="+strconv.Itoa(full))
	require.NoError(t, err)

	after := strings.Replace(before, "- name: closed\n",
		"- name: late\n    rules: ["+in("tcp 7777", any4)+"]\n  - name: closed\n", 1)
	after = strings.Replace(after, "groups: [closed]", "groups: [closed, late]", 1)
	// somebody else's change
	after = strings.Replace(after, `"203.0.113.21"`, `"203.0.113.21", "203.0.113.29"`, 1)
	require.NoError(t, w.ReplacePolicy(after))
	s, err := w.AwaitStatus(func(s testnet.Status) bool {
		return s.Error == "" && len(s.Policy.Refused) > 0
	})
	require.NoError(t, err)
	t.Log(s.Policy.Refused[0])
	require.Regexp(t, `policy\.yaml:\d+:\d+: group late: ingress tcp 7777 .*OFPFMFC_TABLE_FULL`,
		s.Policy.Refused[0])
	require.Contains(t, programOf(t, w), "203.0.113.29", "everybody else's change is in force")
	admits(t, w, "client", "c", testnet.TCP(7777), testnet.IPv4, false)
	require.NoError(t, w.Reaches("client", "b", testnet.TCP(80), testnet.IPv4))

	_, err = w.Switch.Run("ovs-vsctl", "clear", "Flow_Table", table, "flow_limit")
	require.NoError(t, err)
	require.NoError(t, w.SetPolicy("\n"+after)) // the lines have moved: another policy
	admits(t, w, "client", "c", testnet.TCP(7777), testnet.IPv4, true)
	complete(t, streams)
	logReceived(t, streams)
}

// A table that is full but for two flows, and one change that adds sixty rules to one instance and
// takes rules of another: what is taken stops as soon as ever, what is still admitted loses
// nothing, and each rule that does not fit is named. So it is when the daemon was away meanwhile;
// and what is known to be refused holds up no later change.
func TestFullTableHoldsUpNoRevocation(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"while it runs": false, "while it is away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both := func(service string) []string { return []string{in(service, any4), in(service, any6)} }
			policyOf := func(rulesOfA int, serviceOfB string, rulesOfB ...string) string {
				rules := both("udp 5002-5003")
				for n := range rulesOfA {
					rules = append(rules, in("tcp "+strconv.Itoa(7000+n), any4))
				}
				return document([]group{{name: "ga", rules: rules},
					{name: "gb", rules: slices.Concat(both(serviceOfB), rulesOfB)}}, vm("a", 11, "ga"),
					vm("b", 21, "gb"))
			}
			before := policyOf(0, "udp 5004-5005", both("udp 5000-5001")...)
			w := newWorld(t, testnet.Spec{Policy: before, Outside: outside(), Daemon: daemon(t)})
			lost, kept := map[string]*testnet.Stream{}, map[string]*testnet.Stream{}
			push(t, w, lost, "client", "b", 5000)
			push(t, w, kept, "client", "a", 5002)
			more := map[string]*testnet.Stream{}
			push(t, w, more, "client", "b", 5004)
			for _, streams := range []map[string]*testnet.Stream{lost, kept, more} {
				flows(t, streams)
			}
			fill(t, w, 2)
			if restart {
				require.NoError(t, w.StopDaemon())
			}
			require.NoError(t, w.ReplacePolicy(policyOf(60, "udp 5004-5005")))
			if restart {
				require.NoError(t, w.StartDaemon())
			}
			s, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.Error == "" && len(s.Policy.Refused) > 0
			})
			require.NoError(t, err)
			cut(t, w, lost, "client", "b")
			complete(t, kept)
			complete(t, more)
			room := 60 - len(s.Policy.Refused)
			require.InDelta(t, 4, room, 1, "two fit, and as many as were taken")
			for _, line := range s.Policy.Refused {
				require.Regexp(t, `policy\.yaml:\d+:\d+: group ga: ingress tcp 70\d\d .*: left out: .*OFPFMFC_TABLE_FULL`, line)
			}

			// The next change knows all that.
			require.NoError(t, w.ReplacePolicy(policyOf(60, "udp 9")))
			_, err = w.AwaitStatus(func(n testnet.Status) bool {
				return n.Policy.Digest != s.Policy.Digest && n.Error == ""
			})
			require.NoError(t, err)
			cut(t, w, more, "client", "b")
			complete(t, kept)
			logReceived(t, kept)
		})
	}
}

// fill lets the table of ingress rules take no more flows than it holds and some more.
func fill(t *testing.T, w *testnet.World, more int) {
	t.Helper()
	table, err := w.Switch.Run("ovs-vsctl", "get", "Bridge", testnet.Bridge, "flow_tables:52")
	require.NoError(t, err)
	limit := strings.Count(programOf(t, w), "table=52,") + more
	_, err = w.Switch.Run("ovs-vsctl", "set", "Flow_Table", strings.TrimSpace(table),
		"flow_limit="+strconv.Itoa(limit), "overflow_policy=refuse")
	require.NoError(t, err)
}
