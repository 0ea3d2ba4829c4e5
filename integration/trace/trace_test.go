package trace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/integration/trace"
)

// program reads "table priority match => actions" lines; "*" matches every packet.
func program(t testing.TB, text string) []openflow.Flow {
	t.Helper()
	var fs []openflow.Flow
	for _, line := range strings.Split(text, "\n") {
		var f openflow.Flow
		left, actions, _ := strings.Cut(line, " => ")
		var match string
		_, err := fmt.Sscanf(left, "%d %d %s", &f.Table, &f.Priority, &match)
		require.NoError(t, err, line)
		f.Match, f.Actions = openflow.ParseMatch(strings.Replace(match, "*", "", 1)),
			openflow.ParseActions(actions)
		fs = append(fs, f)
	}
	return fs
}

// answers are what the tracker is made to say, for the fake and for the trace.
var answers = []struct {
	known flowtest.Known
	next  string
}{
	{flowtest.Known{}, "trk,new"},
	{flowtest.Known{Side: spec.OriginalSide}, "trk,est"},
	{flowtest.Known{Side: spec.ReplySide}, "trk,est,rpl"},
	{flowtest.Known{Side: spec.RelatedReply}, "trk,rel,rpl"},
	{flowtest.Known{Side: spec.RelatedOriginal}, "trk,rel"},
	{flowtest.Known{Side: spec.Invalid}, "trk,inv"},
}

// coverage counts what a comparison met, so that it cannot become empty unnoticed.
type coverage struct{ compared, open, refused, output, conjunction, tracked int }

// The fake does what a real switch does: random tables, random packets.
func TestFakeEqualsSwitch(t *testing.T) {
	t.Parallel() // most of the time goes to starting ovs-appctl
	b, _ := trace.Start(t, 4)
	var n coverage
	rapid.Check(t, func(t *rapid.T) {
		fs := drawProgram(t)
		sw, err := flowtest.New(fs)
		if installed := b.Install(context.Background(), fs); err != nil || installed != nil {
			require.True(t, err != nil && installed != nil, "the fake says: %v\nthe switch says: %v\n%v",
				err, installed, fs)
			n.refused++
			return
		}
		have, err := b.Dump(context.Background())
		require.NoError(t, err)
		require.Equal(t, openflow.Delta{}, openflow.Diff(fs, have),
			"the switch prints what the fake takes for canonical")
		for range 6 {
			n.compare(t, b, sw, drawPacket(t), answers[uniform(t, len(answers), "tracker")].next)
		}
	})
	t.Logf("%+v", n)
	for what, share := range map[string]int{"output": n.output * 5, "conjunction": n.conjunction * 40,
		"tracked": n.tracked * 40} {
		require.Greater(t, share, n.compared, "too few packets met: %s", what)
	}
	require.Greater(t, n.compared, 4*n.open)
}

// compare holds the fake against the switch for one packet.
func (n *coverage) compare(t *rapid.T, b *trace.Bridge, sw *flowtest.Switch, p flowtest.Packet,
	ctNext string) {
	p.Known = map[uint16]flowtest.Known{}
	for zone := range uint16(4) {
		for _, a := range answers {
			if a.next == ctNext {
				p.Known[zone] = a.known
			}
		}
	}
	got, fakeErr := sw.Forward(p)
	if len(got.Ties) > 0 {
		n.open++
		return
	}
	want, err := b.Trace(context.Background(), p, slices.Repeat([]string{ctNext}, 40)...)
	n.compared++
	if errors.Is(err, ofswitch.ErrUntranslated) {
		require.Error(t, fakeErr)
		return
	}
	way := strings.Join(got.Trace, "\n")
	require.NoError(t, err)
	require.NoError(t, fakeErr, "%s\n%s", want.Text, way)
	slices.Sort(got.Outputs)
	require.Equal(t, want.Outputs, got.Outputs, "packet %s\nswitch:\n%s\nfake:\n%s", trace.Spec(p),
		want.Text, way)
	n.output += min(1, len(got.Outputs))
	n.conjunction += min(1, strings.Count(way, "conj_id="))
	n.tracked += min(1, strings.Count(want.Text, "resume conntrack"))
}
