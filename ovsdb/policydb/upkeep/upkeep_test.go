package upkeep

import (
	"context"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// patience bounds every wait for a state in these tests.
const patience = time.Minute

func server(t *testing.T) *sandbox.OVS {
	t.Helper()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, policydb.Schema)
	return o
}

func attach(t *testing.T, o *sandbox.OVS) *policydb.Client {
	t.Helper()
	c, err := policydb.New(policydb.Options{Endpoint: o.DB})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, func() bool { return c.LastError() == nil }, patience, time.Millisecond)
	return c
}

// keep runs an upkeep until the test ends, or stop is called.
func keep(t *testing.T, o *sandbox.OVS) (log *logtest.Hook, stop func()) {
	t.Helper()
	c := attach(t, o)
	logger, hook := logtest.NewNullLogger()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c, logrus.NewEntry(logger)) }()
	return hook, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

// add is a change that adds a group.
func add(name string, trial time.Duration) (policydb.Change, policydb.Edit) {
	return policydb.Change{ID: name, At: time.Now(), By: "somebody", Trial: trial},
		func(p *policy.Policy) (*policy.Policy, string, error) {
			next := *p
			next.Groups = append([]*policy.Group{{Name: name}}, p.Groups...)
			return &next, "one more group", nil
		}
}

func groups(t *testing.T, c *policydb.Client) int {
	t.Helper()
	p, _, err := c.Policy()
	require.NoError(t, err)
	return len(p.Groups)
}

// A trial that nobody confirms ends with the policy before it, once, however many members keep the
// database and whichever of them die; one that is confirmed stays.
func TestUpkeepTakesBackWhatNobodyConfirms(t *testing.T) {
	o := server(t)
	c := attach(t, o)
	change, edit := add("first", 0)
	_, err := c.Change(t.Context(), change, edit)
	require.NoError(t, err)
	_, stopFirst := keep(t, o)
	for range 2 {
		_, stop := keep(t, o)
		defer stop()
	}
	change, edit = add("kept", time.Second)
	_, err = c.Change(t.Context(), change, edit)
	require.NoError(t, err)
	_, err = c.Confirm(t.Context(), 2)
	require.NoError(t, err)
	began := time.Now()
	change, edit = add("lost", time.Second)
	_, err = c.Change(t.Context(), change, edit)
	require.NoError(t, err)
	stopFirst()
	require.Eventually(t, func() bool { return groups(t, c) == 2 }, patience, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	history, err := c.History()
	require.NoError(t, err)
	require.Len(t, history, 4)
	require.Equal(t, "not confirmed within 1s: back to generation 2", history[0].Summary)
}

// What a trial that had begun before is worth: what clocks say, within its window, and it is said.
func TestUpkeepComesLater(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		made, want time.Duration // before now; from now
		isLooking  bool
		said       int
	}{
		"live, whatever the clock of the writer says": {made: -time.Hour, want: time.Minute,
			isLooking: true},
		"live, and the writer's clock is behind": {made: time.Hour, want: time.Minute,
			isLooking: true},
		"found, half of it over": {made: 30 * time.Second, want: 30 * time.Second},
		"found, all of it over":  {made: time.Hour, want: 0},
		"found, made in future":  {made: -time.Hour, want: time.Minute, said: 1},
	} {
		t.Run(name, func(t *testing.T) {
			log, hook := logtest.NewNullLogger()
			u := &upkeep{log: logrus.NewEntry(log), now: func() time.Time { return now },
				isLooking: c.isLooking}
			at := now.Add(-c.made)
			got := u.begin(policydb.Trial{At: at, Until: at.Add(time.Minute)})
			require.Equal(t, c.want, got.ends.Sub(now))
			require.Len(t, hook.AllEntries(), c.said)
			require.Equal(t, c.isLooking, got.why() == "not confirmed within 1m0s")
		})
	}
}

// An upkeep that starts after the time was over takes the change back at once.
func TestUpkeepAfterAFullStop(t *testing.T) {
	o := server(t)
	c := attach(t, o)
	for name, trial := range map[string]time.Duration{"lost": time.Millisecond} {
		change, edit := add(name, trial)
		_, err := c.Change(t.Context(), change, edit)
		require.NoError(t, err)
	}
	log, stop := keep(t, o)
	defer stop()
	require.Eventually(t, func() bool { return groups(t, c) == 0 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return len(log.AllEntries()) > 0 }, patience,
		time.Millisecond)
	require.Contains(t, log.LastEntry().Message, "taken back")
}

// The beat moves when nothing else does, once for all members, and never back.
func TestBeat(t *testing.T) {
	o := server(t)
	c := attach(t, o)
	require.NoError(t, c.Beat(t.Context(), policydb.Pulse{}, time.Now()), "an empty database has none")
	change, edit := add("first", 0)
	_, err := c.Change(t.Context(), change, edit)
	require.NoError(t, err)
	u := &upkeep{client: c, log: logrus.NewEntry(logrus.New()), now: time.Now}
	require.Greater(t, u.runDue(t.Context()), 25*time.Second)
	seen, err := c.Pulse()
	require.NoError(t, err)
	require.Zero(t, seen.Beat)
	for range 2 { // the second member has seen the same
		u.now = func() time.Time { return time.Now().Add(beatAfter + spread) }
		u.runDue(t.Context())
	}
	first, err := c.Pulse()
	require.NoError(t, err)
	require.Greater(t, first.Beat, 1_700_000_000_000)
	require.NoError(t, c.Beat(t.Context(), seen, time.Now()))
	require.NoError(t, c.Beat(t.Context(), first, time.UnixMilli(5)))
	second, err := c.Pulse()
	require.NoError(t, err)
	require.Equal(t, first.Beat+1, second.Beat, "a clock that was set back")
	require.Equal(t, 1, second.Generation)
}
