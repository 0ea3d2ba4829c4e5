package ofswitch

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

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

func TestParseDumpKeepsOurTables(t *testing.T) {
	s := New(Options{})
	held, err := collect(s.parseDump(strings.NewReader(" cookie=0x1, priority=1 actions=drop\n " +
		"table=200, actions=drop\n table=40, ip actions=drop")))
	require.NoError(t, err)
	require.Len(t, held, 2)
	_, err = collect(s.parseDump(strings.NewReader(" cookie=0x1, priority=1 " +
		"actions=drop\nbroken\n")))
	require.ErrorContains(t, err, "broken")
}

// What is held is small, whatever else the lines hold: programs share their actions.
func TestDumpKeepsActionsOnce(t *testing.T) {
	actions := " actions=" + strings.Repeat("conjunction(1,2/3),", 50) + "conjunction(2,2/3)\n"
	held, err := collect(New(Options{}).parseDump(strings.NewReader(" table=52, ip,reg1=0x1" +
		actions + " table=52, ip,reg1=0x2" + actions)))
	require.NoError(t, err)
	require.Len(t, held, 2)
	require.Equal(t, held[0].Actions, held[1].Actions)
	require.Same(t, unsafe.StringData(held[0].Actions.Compact()),
		unsafe.StringData(held[1].Actions.Compact()))
}

// What the daemon itself does of a read-back.
func BenchmarkParseDump(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, " cookie=0x50430000%08x, table=52, priority=300,ip,nw_src=10.0.%d.%d "+
			"actions=conjunction(%d,2/3),conjunction(%d,2/3)\n",
			i, i>>8, i&255, i%100, i%100+200)
	}
	s := New(Options{})
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		held, err := collect(s.parseDump(strings.NewReader(text.String())))
		require.NoError(b, err)
		require.Len(b, held, 10_000)
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
