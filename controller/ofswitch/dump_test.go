package ofswitch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

func TestParseFlow(t *testing.T) {
	for _, c := range []struct {
		line string
		want openflow.Flow
	}{
		{" actions=drop", openflow.Flow{Priority: 32768, Actions: openflow.ParseActions("drop")}},
		{" priority=3 actions=NORMAL", openflow.Flow{Priority: 3,
			Actions: openflow.ParseActions("NORMAL")}},
		{" cookie=0x5, actions=drop", openflow.Flow{Priority: 32768, Cookie: 5,
			Actions: openflow.ParseActions("drop")}},
		{" table=4, ip actions=drop", openflow.Flow{Table: 4, Priority: 32768,
			Match: openflow.ParseMatch("ip"), Actions: openflow.ParseActions("drop")}},
		{" cookie=0x5043000000000001, table=41, priority=0 actions=output:2",
			openflow.Flow{Table: 41, Cookie: 0x5043000000000001,
				Actions: openflow.ParseActions("output:2")}},
		{" priority=100,in_port=1,vlan_tci=0x0000/0x1fff actions=resubmit(,10)",
			openflow.Flow{Priority: 100,
				Match:   openflow.ParseMatch("in_port=1,vlan_tci=0x0000/0x1fff"),
				Actions: openflow.ParseActions("resubmit(,10)")}},
		{" in_port=1,dl_src=02:00:00:00:00:01 actions=learn(table=3,priority=5,actions=drop)",
			openflow.Flow{Priority: 32768,
				Match:   openflow.ParseMatch("in_port=1,dl_src=02:00:00:00:00:01"),
				Actions: openflow.ParseActions("learn(table=3,priority=5,actions=drop)")}},
		{" cookie=0x9, table=5, idle_timeout=30, hard_timeout=70, send_flow_rem check_overlap " +
			"reset_counts importance=6, priority=7,in_port=LOCAL actions=drop",
			openflow.Flow{Table: 5, Priority: 7, Cookie: 9,
				Match: openflow.ParseMatch("in_port=LOCAL"),
				Actions: openflow.ParseActions(
					"idle_timeout=30,hard_timeout=70,send_flow_rem,check_overlap,reset_counts,importance=6 actions=drop")}},
	} {
		got, err := parseFlow(c.line)
		require.NoError(t, err, c.line)
		require.Equal(t, c.want, got, c.line)
	}
}

func TestParseFlowRefuses(t *testing.T) {
	for _, line := range []string{
		"", "OFPST_FLOW reply (OF1.5) (xid=0x2):", " cookie=0x5, table=3, priority=1", " actions=",
		" cookie=5x, actions=drop", " table=256, actions=drop", " table=-1, actions=drop",
		" priority=65536 actions=drop",
		" cookie=0x1ffffffffffffffff, actions=drop", " duration=3s, priority=1 actions=drop",
		" n_packets=0, priority=1 actions=drop",
		" priority=1,ip, nw_src=10.0.0.1 actions=drop", " table=3, priority=1,ipactions=drop",
	} {
		_, err := parseFlow(line)
		require.Error(t, err, line)
	}
}

// Foreign is what is told flow by flow of our tables, and what cannot be told so; ours is told in
// brief.
func TestForeignChanges(t *testing.T) {
	s := New(Options{})
	for _, e := range []Event{Added, Removed, Modified} {
		require.True(t, s.isForeign(Change{Event: e, Table: 40, Cookie: 2}))
		require.False(t, s.isForeign(Change{Event: e, Table: 200, Cookie: 2}), "no table of ours")
	}
	for _, e := range []Event{Paused, Resumed, 99} {
		require.True(t, s.isForeign(Change{Event: e}))
	}
	require.False(t, s.isForeign(Change{Event: Brief}))
}

// What parses is what Open vSwitch would print again.
func FuzzParseFlow(f *testing.F) {
	f.Add(" cookie=0x9, table=5, idle_timeout=30, send_flow_rem importance=6, " +
		"priority=7,in_port=LOCAL actions=drop")
	f.Add(" actions=drop")
	f.Add(" priority=100,in_port=1,vlan_tci=0x0000/0x1fff actions=resubmit(,10)")
	f.Fuzz(func(t *testing.T, line string) {
		flow, err := parseFlow(line)
		if err != nil {
			return
		}
		again, err := parseFlow(" " + flow.String())
		if strings.Contains(flow.Actions.String(), "actions=") ||
			strings.Contains(flow.Match.String(), "priority=") {
			return // extras, which are kept apart from what a program may hold
		}
		if err != nil || again != flow {
			t.Fatalf("%q: %+v, then %+v (%v)", line, flow, again, err)
		}
	})
}
