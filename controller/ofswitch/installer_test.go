package ofswitch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// limiter is a switch that takes every bundle, and notes what it is told.
type limiter struct {
	told   []string
	meters []flows.Meter
	zones  []flows.ZoneLimit
	mute   error // what it has cannot be read
	stiff  error // zones cannot be limited
}

func (l *limiter) note(format string, args ...any) {
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

func (l *limiter) Apply(context.Context, openflow.Delta) error {
	l.note("bundle")
	return nil
}

func (l *limiter) LastMeter(context.Context) (uint32, error)     { return 40, l.mute }
func (l *limiter) Meters(context.Context) ([]flows.Meter, error) { return l.meters, l.mute }
func (l *limiter) MakeRoom(context.Context) error                { return nil }
func (l *limiter) ZoneLimits(context.Context) ([]flows.ZoneLimit, error) {
	return l.zones, l.mute
}

func (l *limiter) PutMeters(_ context.Context, d flows.MeterDelta) error {
	l.note("meters +%d ~%d", len(d.Add), len(d.Change))
	return nil
}

func (l *limiter) DeleteMeters(_ context.Context, meters []flows.Meter) error {
	l.note("meters -%d", len(meters))
	return nil
}

func (l *limiter) LimitZones(_ context.Context, limits []flows.ZoneLimit,
	unlimited []uint16) error {
	l.note("zones +%v -%v", limits, unlimited)
	return l.stiff
}

// installer is one that has begun on a switch, and what it logs.
func installer(t *testing.T, l *limiter) (*ofswitch.Installer, *test.Hook) {
	log, hook := test.NewNullLogger()
	in := ofswitch.NewInstaller(l, l, logrus.NewEntry(log))
	in.Begin(within(t))
	return in, hook
}

// apply applies a program, which must succeed, and returns what the switch was told.
func apply(t *testing.T, in *ofswitch.Installer, l *limiter, p ofswitch.Program) []string {
	t.Helper()
	l.told = nil
	_, err := in.Apply(within(t), p)
	require.NoError(t, err)
	return l.told
}

// limited is a program with a flow to change, these limits of zones, and zones 1 to 3.
func limited(limits ...flows.ZoneLimit) ofswitch.Program {
	return ofswitch.Program{Delta: openflow.Delta{Add: program()[:1]},
		Limits: flows.Limits{ZoneLimits: limits}, Zones: []uint16{1, 2, 3}}
}

// What flows name and fill is there before them, what they have left goes after them, and what is
// as it should be is not told.
func TestInstallerTellsInOrderWhatChanges(t *testing.T) {
	l := &limiter{meters: []flows.Meter{ten(1), ten(2)},
		zones: []flows.ZoneLimit{{Zone: 2, Connections: 5}}}
	in, _ := installer(t, l)
	require.EqualValues(t, 40, in.LastMeter())
	p := limited(flows.ZoneLimit{Zone: 1, Connections: 9})
	p.Limits.Meters = []flows.Meter{ten(2), ten(3)}
	require.Equal(t, []string{"meters +1 ~0", "zones +[zone=1,limit=9] -[]", "bundle", "meters -1",
		"zones +[] -[2]"}, apply(t, in, l, p))
	require.Equal(t, []string{"bundle"}, apply(t, in, l, p), "it is known what is there")
	p.Delta = openflow.Delta{}
	require.Empty(t, apply(t, in, l, p))
	p.Limits.ZoneLimits = []flows.ZoneLimit{{Zone: 2, Connections: 7}}
	require.Equal(t, []string{"zones +[zone=2,limit=7] -[1]"}, apply(t, in, l, p))
	require.Empty(t, in.Warnings())
}

// What is in doubt is read again before it is used: zones that were another port's, and meters.
func TestInstallerReadsWhatIsInDoubt(t *testing.T) {
	l := &limiter{}
	in, _ := installer(t, l)
	p := limited(flows.ZoneLimit{Zone: 1, Connections: 9})
	p.Limits.Meters = []flows.Meter{ten(2)}
	apply(t, in, l, p)
	in.Invalidate()
	require.Equal(t, []string{"meters +1 ~0", "bundle"}, apply(t, in, l, p), "the meter is gone")
	p.ZonesMoved = true
	require.Equal(t, []string{"zones +[zone=1,limit=9] -[]", "bundle"}, apply(t, in, l, p))
}

// A switch that tells nothing holds up only who wants limits of packets; it has none, for all that
// is known, and only those who want some are told.
func TestInstallerOfASwitchThatIsMute(t *testing.T) {
	l := &limiter{mute: errors.New("no such command")}
	in, hook := installer(t, l)
	hook.Reset()
	apply(t, in, l, limited())
	require.NotContains(t, in.Warnings(), "connections are not limited: no such command")
	require.Equal(t, []string{"bundle"}, l.told)

	in, _ = installer(t, l)
	apply(t, in, l, limited(flows.ZoneLimit{Zone: 1, Connections: 9}))
	require.Contains(t, in.Warnings(), "connections are not limited: no such command")

	p := limited()
	p.Limits.Meters = []flows.Meter{ten(2)}
	_, err := in.Apply(within(t), p)
	require.ErrorAs(t, err, new(*ofswitch.NotBegunError))
	require.ErrorIs(t, err, l.mute)
}

// Trouble is logged when it begins, and told until it ends.
func TestInstallerLogsTroubleOnce(t *testing.T) {
	l := &limiter{}
	in, hook := installer(t, l)
	p := limited(flows.ZoneLimit{Zone: 1, Connections: 9})
	p.Delta = openflow.Delta{}
	for _, step := range []struct {
		stiff  error
		logged int
	}{{nil, 0}, {errors.New("busy"), 1}, {errors.New("busy"), 0}, {errors.New("full"), 1}, {nil, 0}} {
		hook.Reset()
		l.stiff, p.ZonesMoved = step.stiff, true
		apply(t, in, l, p)
		require.Len(t, hook.AllEntries(), step.logged)
		require.Equal(t, step.stiff != nil, len(in.Warnings()) == 1, in.Warnings())
	}
}

// Ports that have no meters are named, but not all of very many.
func TestInstallerNamesPortsWithoutMeters(t *testing.T) {
	in, _ := installer(t, &limiter{})
	for count, want := range map[int]string{2: "a, b", 5: "a, b, c, d, e",
		6: "a, b, c, d, e and another port",
		7: "a, b, c, d, e and 2 other ports"} {
		p := limited()
		p.Limits.Unmetered = []string{"a", "b", "c", "d", "e", "f", "g"}[:count]
		apply(t, in, &limiter{}, p)
		require.Equal(t, []string{"packets are not limited, and denied ones not logged: the switch has " +
			"no meters for " + want}, in.Warnings())
	}
}
