package ofswitch

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

func TestParseCount(t *testing.T) {
	for _, c := range []struct {
		line string
		want FlowCount
	}{
		{" cookie=0x5, duration=4.512s, table=41, n_packets=3, n_bytes=318, idle_age=1, " +
			"priority=7,in_port=LOCAL actions=drop",
			FlowCount{openflow.Flow{Table: 41, Priority: 7, Cookie: 5,
				Match:   openflow.ParseMatch("in_port=LOCAL"),
				Actions: openflow.ParseActions("drop")}, 3, 318, 4512 * time.Millisecond}},
		{" cookie=0x0, duration=70000.1s, table=0, n_packets=18446744073709551615, n_bytes=0, " +
			"idle_timeout=3, hard_timeout=9, reset_counts importance=6, idle_age=1, " +
			"hard_age=65534, priority=0 actions=drop",
			FlowCount{openflow.Flow{
				Actions: openflow.ParseActions(
					"idle_timeout=3,hard_timeout=9,reset_counts,importance=6 actions=drop")}, 18446744073709551615,
				0, 70000100 * time.Millisecond}},
		{" actions=drop", FlowCount{Flow: openflow.Flow{Priority: 32768,
			Actions: openflow.ParseActions("drop")}}},
	} {
		got, err := parseCount(c.line)
		require.NoError(t, err, c.line)
		require.Equal(t, c.want, got)
	}
	for _, line := range []string{"", " n_packets=-1, actions=drop", " n_bytes=q, actions=drop",
		" duration=4, actions=drop", " idle_age=, actions=drop",
		" cookie=q, actions=drop", " table=300, n_packets=3, actions=drop",
		" n_packets=3, n_bytes=3", " n_packets=3, priority=1,ip, n_bytes=3 actions=drop"} {
		_, err := parseCount(line)
		require.Error(t, err, line)
	}
}

func TestEachCountKeepsOurTables(t *testing.T) {
	s := New(Options{})
	var took []uint64
	take := func(c FlowCount) { took = append(took, c.Packets) }
	require.NoError(t, s.eachCount(strings.NewReader("OFPST_FLOW reply (OF1.5) (xid=0x2):\n "+
		"cookie=0x1, n_packets=1, priority=1 actions=drop\n"+
		"OFPST_FLOW reply (OF1.5) (xid=0x2):\n table=200, n_packets=2, actions=drop\n table=40, "+
		"n_packets=3, ip actions=drop"), take))
	require.Equal(t, []uint64{1, 3}, took)
	require.ErrorContains(t, s.eachCount(strings.NewReader("OFPT_ERROR (OF1.5)\n"), take),
		"OFPT_ERROR")
	require.ErrorIs(t, s.eachCount(broken{}, take), errBroken)
}

// What is read with counters is the flow that is read without.
func FuzzParseCount(f *testing.F) {
	f.Add(" cookie=0x5, table=41, idle_timeout=30, priority=7,in_port=LOCAL actions=drop")
	f.Add(" priority=100,in_port=1 actions=resubmit(,10)")
	f.Fuzz(func(t *testing.T, line string) {
		want, err := parseFlow(line)
		if err != nil || strings.Contains(line, "_age=") || strings.Contains(line, "duration=") ||
			strings.Contains(line, "n_") {
			return
		}
		got, err := parseCount(" n_packets=7, duration=1s, n_bytes=9, " + strings.TrimLeft(line,
			" "))
		require.NoError(t, err)
		require.Equal(t, FlowCount{want, 7, 9, time.Second}, got)
	})
}

var errBroken = errors.New("broken pipe")

// broken is a reader that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }
