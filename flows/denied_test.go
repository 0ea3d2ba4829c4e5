package flows_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

// showing is the seed's world where every port shows what it denies.
func showing() flows.Input {
	in := flowtest.Seed()
	in.Site.LogDenied, in.LastMeter = true, flows.MaxMeter
	return in
}

// shownIn returns the zones whose verdict flows show packets, each with its table.
func shownIn(p *flows.Program) (out []string) {
	for _, f := range p.Flows {
		if strings.Contains(f.Actions.String(), "CONTROLLER") {
			out = append(out, f.Match.String())
		}
	}
	return out
}

func TestShowsDenied(t *testing.T) {
	p := policy.Port{}
	for _, c := range []struct {
		Site, trusted, want bool
		own                 policy.Choice
	}{
		{want: false}, {Site: true, want: true}, {own: policy.Yes, want: true},
		{Site: true, own: policy.No, want: false},
		{Site: true, own: policy.Yes, want: true}, {own: policy.No, want: false},
		{Site: true, trusted: true, want: false},
		{trusted: true, own: policy.Yes, want: false},
	} {
		p.Trusted, p.LogDenied = c.trusted, c.own
		require.Equal(t, c.want, flows.ShowsDenied(p, policy.Site{LogDenied: c.Site}), c)
	}
}

// What is denied is shown behind a meter, in both directions, at the ports that ask for it, and
// nothing else changes.
func TestDeniedIsShownBehindAMeter(t *testing.T) {
	var c flows.Compiler
	_, err := c.Update(showing())
	require.NoError(t, err)
	off, on := mustCompile(t, flowtest.Seed()), c.Program()
	require.Empty(t, shownIn(off))
	d := openflow.Diff(on.Flows, off.Flows)
	require.NotEmpty(t, d.Add)
	for _, f := range d.Add {
		require.Contains(t, []uint8{33, 53}, f.Table)
		require.Equal(t, uint16(50), f.Priority)
		require.Regexp(t, `^meter:(\d+),CONTROLLER:128$`, f.Actions.String())
		of, known := c.Origin(f)
		require.True(t, known)
		require.Equal(t, flows.VerdictDenied, of.Verdict)
		require.NotEmpty(t, of.CounterSubject.Port)
	}
	require.Empty(t, d.Delete, "each takes the place of a drop")
	require.Len(t, on.Meters, len(d.Add)/2, "one for both directions of a port")
	for _, m := range on.Meters {
		require.GreaterOrEqual(t, m.ID, flows.FirstDeniedMeter)
		require.Less(t, m.ID, flows.OutsideFragmentsMeter)
		require.Equal(t, m.Rate, m.Burst)
	}
	// Without meters nothing is shown, and that is told.
	in := showing()
	in.LastMeter = flows.FirstDeniedMeter - 1
	unable := mustCompile(t, in)
	require.Equal(t, off.Flows, unable.Flows)
	require.Len(t, unable.Unmetered, len(on.Meters))
}

func TestDeniedMetersAreShared(t *testing.T) {
	in := showing()
	in.Bindings[0].Zone, in.Bindings[1].Zone = 7, 7+256
	p := mustCompile(t, in)
	ids := map[uint32]bool{}
	for _, m := range p.Meters {
		require.False(t, ids[m.ID], "a meter is in the program once")
		ids[m.ID] = true
	}
	require.Len(t, p.Meters, len(shownIn(p))/2-1)
}

// To show packets changes nothing of what passes, whether or not the meters let them be shown: what
// one port denies may be another's.
func TestShowingAdmitsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		in.LastMeter = flows.MaxMeter
		plain, err := flowtest.New(compile(t, in).Flows)
		require.NoError(t, err)
		in.Site.LogDenied = true
		loud := compile(t, in)
		require.NoError(t, flowtest.Lint(loud.Flows, oppositeRules...))
		sw, err := flowtest.New(loud.Flows)
		require.NoError(t, err)
		var exhausted []uint32
		for _, m := range loud.Meters {
			if m.ID >= flows.FirstDeniedMeter && rapid.Bool().Draw(t, "exhausted") {
				exhausted = append(exhausted, m.ID)
			}
		}
		sw.Exhaust(exhausted...)
		for range 20 {
			p := flowtest.FromPolicy(policytest.DrawPacket(t, w), in)
			want, err := plain.Forward(p)
			require.NoError(t, err)
			got, err := sw.Forward(p)
			require.NoError(t, err)
			require.Equal(t, want.Outputs, got.Outputs, "%s", strings.Join(got.Trace, "\n"))
			require.Equal(t, want.Commits, got.Commits)
			require.Zero(t, want.Shown)
		}
	})
}

// A denied packet is shown once, by the port that denies it, as long as its meter lets it; an
// admitted one is not.
func TestWhatIsShown(t *testing.T) {
	in := showing()
	in.Policy.Instances[2].Ports[0].LogDenied = policy.No // db-1
	sw, err := flowtest.New(mustCompile(t, in).Flows)
	require.NoError(t, err)
	web, db, db2, mgmt := endOf(in, "web-1"), endOf(in, "db-1"), endOf(in, "db-2"), endOf(in, "mgmt-1")
	shown := func(from, to end, port uint16) int {
		r := forward(t, sw, udp(from, to, 4000, port))
		require.False(t, r.Shown > 0 && len(r.Outputs) > 0)
		return r.Shown
	}
	require.Zero(t, shown(db, db2, 53), "admitted")
	require.Equal(t, 1, shown(mgmt, web, 23), "denied at ingress")
	require.Equal(t, 1, shown(db2, web, 6000), "denied at egress")
	require.Zero(t, shown(db, web, 6000), "db-1 does not want it")
	zone := in.Bindings[0].Zone
	sw.Exhaust(flows.FirstDeniedMeter + uint32(zone)%256)
	require.Zero(t, shown(mgmt, web, 23), "the meter is exhausted")
	require.Equal(t, 1, shown(db2, web, 6000), "that of another port is not")
}

// A change of nothing but the log is a change: of the settings, and of one port.
func TestShowingIsAChange(t *testing.T) {
	off := showing()
	off.Site.LogDenied = false
	quiet, one := flowtest.Seed(), flowtest.Seed()
	one.Policy.Instances[0].Ports[0].LogDenied = policy.Yes
	single := off
	single.Policy = one.Policy
	back := off
	back.Policy = quiet.Policy
	var c flows.Compiler
	for n, in := range []flows.Input{off, showing(), off, single, back} {
		_, err := c.Update(in)
		require.NoError(t, err)
		require.Equal(t, mustCompile(t, in).String(), c.Program().String(), n)
	}
	require.False(t, policy.Changed(quiet.Policy, one.Policy).Empty())
}
