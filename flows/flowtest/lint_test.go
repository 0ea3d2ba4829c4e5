package flowtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
)

const clean = `0 9 ip,nw_src=10.0.0.1 => conjunction(7,1/2)
	0 9 tcp,tp_dst=80 => conjunction(7,2/2)
	0 9 conj_id=7,ip => set_field:0x1->reg0,ct(table=5)
	0 1 arp => clone(resubmit(,5)),output:2
	0 0 * => drop
	5 0 * => drop`

func TestLint(t *testing.T) {
	require.NoError(t, flowtest.Lint(program(t, clean)))
	for _, c := range []struct{ name, flows, want string }{
		{"a flow that is not understood", clean + "\n0 3 ip => FLOOD", "unknown action"},
		{"two flows of one key", clean + "\n5 0 * => output:1", "two flows"},
		{"two texts of one key", clean + "\n0 9 ip,nw_src=10.0.0.1 => drop", "two flows"},
		{"no table 0", "5 0 * => drop", "table 0 has no flows"},
		{"no last flow", "0 1 * => drop", "table 0 does not end"},
		{"a last flow that matches little", "0 0 ip => drop", "table 0 does not end"},
		{"a last flow that is no drop", "0 0 * => output:2", "not in drop"},
		{"a missing table", clean + "\n0 3 ip => resubmit(,6)", "table 6 has no flows"},
		{"a missing table behind ct", clean + "\n0 3 ip => ct(table=6)", "table 6 has no flows"},
		{"a missing table in a clone", clean + "\n0 3 ip => clone(resubmit(,6))", "table 6 has no flows"},
		{"backwards", clean + "\n5 3 ip => resubmit(,0)", "table 0 is not a later table"},
		{"on the spot", clean + "\n5 3 ip => resubmit(,5)", "table 5 is not a later table"},
		{"sizes", clean + "\n0 9 udp => conjunction(7,3/3)", "sizes [2 3]"},
		{"priorities", clean + "\n0 8 udp => conjunction(7,2/2)", "priorities [8 9]"},
		{"a missing dimension", clean + "\n0 9 udp => conjunction(8,1/2)\n0 9 conj_id=8,ip => drop",
			"conjunction 8: only the dimensions [1] of [2]"},
		{"a missing accept flow",
			clean + "\n0 9 udp => conjunction(8,1/2)\n0 9 sctp => conjunction(8,2/2)",
			"conjunction 8: 0 accept flows"},
		{"two accept flows", clean + "\n0 9 conj_id=7,ipv6 => drop", "2 accept flows"},
		{"an accept flow elsewhere", clean + "\n5 9 conj_id=9 => drop",
			"table 5, conjunction 9: an accept flow without clauses"},
		{"two flows that one packet meets", clean + "\n0 3 tcp => drop\n0 3 ip,reg1=0x1 => output:2",
			"one packet may meet both"},
		{"the same by masks", clean + "\n0 3 reg0=0x4/0x6 => drop\n0 3 reg0=0x1/0x1 => output:2",
			"one packet may meet both"},
		{"another table is another conjunction", clean + "\n5 9 udp => conjunction(7,1/2)",
			"table 5, conjunction 7: only"},
	} {
		require.ErrorContains(t, flowtest.Lint(program(t, c.flows)), c.want, c.name)
	}
	base := "0 9 ip,nw_src=10.0.0.1 => conjunction(7,1/2)\n0 9 tcp,tp_dst=80 => conjunction(7,2/2)\n0 0 * => drop\n"
	require.ErrorContains(t, flowtest.Lint(program(t, base+"0 8 conj_id=7,ip => drop")), "priority 8")
	require.ErrorContains(t, flowtest.Lint(program(t, base+"0 9 conj_id=7,ip,reg1=0x1 => drop")),
		"more than the conjunction")
	require.ErrorContains(t, flowtest.Lint(program(t, base+"0 9 conj_id=7,tcp => drop")),
		"more than the conjunction")
	require.ErrorContains(t, flowtest.Lint(program(t, base+"0 9 conj_id=7,ip => conjunction(8,1/2)")),
		"is a clause")
	for _, apart := range []string{"0 3 tcp => drop\n0 3 ip,reg1=0x1 => drop",
		"0 3 tcp => drop\n0 2 ip,reg1=0x1 => output:2", "0 3 tcp => drop\n0 3 ipv6 => output:2",
		"0 3 reg0=0x4/0x6 => drop\n0 3 reg0=0x2/0x2 => output:2",
		"0 3 tcp => set_field:0x1->reg3\n0 3 ip,reg1=0x1 => set_field:0x2->reg3"} {
		require.NoError(t, flowtest.Lint(program(t, clean+"\n"+apart)), apart)
	}
	require.NoError(t, flowtest.Lint(program(t, clean+"\n5 3 ip => resubmit(,0)"),
		flowtest.Edge{From: 5, To: 0}))
	require.Error(t, flowtest.Lint(program(t, clean+"\n5 3 ip => resubmit(,0)"),
		flowtest.Edge{From: 0, To: 5}))
}
