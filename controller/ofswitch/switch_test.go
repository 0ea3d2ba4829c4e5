package ofswitch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

const bridge = "br-int"

// start runs a private switch with one bridge.
func start(t testing.TB) (*sandbox.OVS, *ofswitch.Switch) {
	t.Helper()
	vs := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	vs.Vsctl("add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=dummy",
		"fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15")
	return vs, ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge)})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func cookie(n uint64) uint64 { return uint64(flows.Owner)<<48 | n }

// program has flows of every odd kind of text.
func program() []openflow.Flow {
	return []openflow.Flow{
		{Table: 0, Priority: 0, Actions: openflow.ParseActions("drop"), Cookie: cookie(1)},
		{Table: 0, Priority: 100, Match: openflow.ParseMatch("in_port=1,vlan_tci=0x0000/0x1fff"),
			Actions: openflow.ParseActions("set_field:0x7->reg1,resubmit(,10)"), Cookie: cookie(2)},
		{Table: 0, Priority: 32768, Match: openflow.ParseMatch("in_port=LOCAL"),
			Actions: openflow.ParseActions("drop"), Cookie: cookie(3)},
		{Table: 31, Priority: 100,
			Match:   openflow.ParseMatch("ct_state=-new-inv+trk,ct_mark=0x5,ip,reg1=0x7"),
			Actions: openflow.ParseActions("resubmit(,40)"), Cookie: cookie(4)},
		{Table: 32, Priority: 300, Match: openflow.ParseMatch("ip,reg1=0x7"),
			Actions: openflow.ParseActions("conjunction(1,1/3),conjunction(2,1/3)"),
			Cookie:  cookie(5)},
		{Table: 33, Priority: 100, Match: openflow.ParseMatch("tcp,reg0=0x1/0x1,reg1=0x7"),
			Actions: openflow.ParseActions(
				"ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[],move:NXM_NX_REG3[]->NXM_NX_CT_LABEL[0..31])),resubmit(,40)"), Cookie: cookie(6)},
		{Table: 40, Priority: 100, Match: openflow.ParseMatch("dl_dst=02:00:00:00:00:11"),
			Actions: openflow.ParseActions("output:1,output:2"), Cookie: cookie(7)},
		{Table: 52, Priority: 200,
			Match:   openflow.ParseMatch("ipv6,reg1=0x7,ipv6_src=2001:db8::/64"),
			Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,set_field:0x9->reg3"),
			Cookie:  cookie(8)},
	}
}

func requireHolds(t *testing.T, sw *ofswitch.Switch, want []openflow.Flow) {
	t.Helper()
	held, err := sw.Dump(within(t))
	require.NoError(t, err)
	delta := openflow.Diff(want, held)
	require.True(t, delta.Empty(), "%+v", delta)
}

func TestWhatIsAppliedIsReadBack(t *testing.T) {
	_, sw := start(t)
	requireHolds(t, sw, nil)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	requireHolds(t, sw, want)
	changed := append([]openflow.Flow(nil), want[:5]...)
	changed[1].Actions = openflow.ParseActions("drop")
	require.NoError(t, sw.Apply(within(t), openflow.Diff(changed, want)))
	requireHolds(t, sw, changed)
}

func TestRefusedFlowIsNamedAndNothingIsChanged(t *testing.T) {
	_, sw := start(t)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	for _, c := range []struct {
		name, actions, reason string
	}{
		{"by the switch, as it makes the bundle", "meter:77", "OFPMMFC_INVALID_METER"},
		{"by the switch, as it reads the bundle", "output:5,conjunction(1,1/2)",
			"NXBAC_BAD_CONJUNCTION"},
		{"by us, who cannot write it", "group:7", "no match or action of the pipeline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			poison := openflow.Flow{Table: 60, Priority: 7, Match: openflow.ParseMatch("reg1=0x9"),
				Actions: openflow.ParseActions(c.actions), Cookie: cookie(99)}
			next := append([]openflow.Flow{poison}, want[3:]...)
			err := sw.Apply(within(t), openflow.Diff(next, want))
			var rejected *ofswitch.RejectedError
			require.ErrorAs(t, err, &rejected)
			require.Equal(t, poison, rejected.Flow)
			require.Contains(t, rejected.Reason, c.reason)
			requireHolds(t, sw, want)
		})
	}
}

// A flow that only ovs-ofctl can delete goes first, and a refused one beside it is named all the
// same.
func TestRefusedFlowBesideAForeignOne(t *testing.T) {
	vs, sw := start(t)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	vs.Ofctl("add-flow", bridge, "pkt_mark=0x5,table=40,priority=9,actions=drop")
	held, err := sw.Dump(within(t))
	require.NoError(t, err)
	refused := openflow.Parse("reg1=0x9", "meter:77")
	refused.Table, refused.Priority, refused.Cookie = 60, 7, cookie(99)
	err = sw.Apply(within(t), openflow.Diff(append([]openflow.Flow{refused}, want[3:]...), held))
	var rejected *ofswitch.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, refused, rejected.Flow)
	requireHolds(t, sw, want)
}

// What is ours is sent without ovs-ofctl, however much it is. What is not needs it.
func TestOwnFlowsAreSentInOpenFlow(t *testing.T) {
	vs, sw := start(t)
	alone := ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge), Command: "no-such-program"})
	want := program()
	for i := range uint64(5000) {
		want = append(want, openflow.Flow{Table: 52, Priority: 300,
			Match:   openflow.ParseMatch(fmt.Sprintf("ip,nw_src=10.1.%d.%d", i>>8, i&255)),
			Actions: openflow.ParseActions("conjunction(1,2/3)"), Cookie: cookie(100 + i)})
	}
	require.NoError(t, alone.Apply(within(t), openflow.Diff(want, nil)))
	requireHolds(t, sw, want)
	require.NoError(t, alone.Apply(within(t), openflow.Diff(want[:3], want)))
	requireHolds(t, sw, want[:3])
	foreign := []openflow.Flow{{Table: 40, Match: openflow.ParseMatch("pkt_mark=0x5"),
		Actions: openflow.ParseActions("drop")}}
	require.ErrorContains(t, alone.Apply(within(t), openflow.Diff(nil, foreign)), "no-such-program")
	requireHolds(t, sw, want[:3])
}

func TestDeletesHitOneFlow(t *testing.T) {
	vs, sw := start(t)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	// Wider, narrower and other flows of the same table; one copies the cookie of a wanted flow;
	// one belongs to another table.
	vs.Ofctl("add-flow", bridge, "table=40,priority=100,actions=drop")
	vs.Ofctl("add-flow", bridge,
		"cookie=0x5043000000000007,table=40,priority=101,dl_dst=02:00:00:00:00:11,dl_src=02:00:00:00:00:12,actions=drop")
	vs.Ofctl("add-flow", bridge, "cookie=0x5043000000000007,table=200,priority=1,actions=drop")
	held, err := sw.Dump(within(t))
	require.NoError(t, err)
	delta := openflow.Diff(want, held)
	require.Len(t, delta.Delete, 2)
	require.NoError(t, sw.Apply(within(t), delta))
	requireHolds(t, sw, want)
	require.Contains(t, vs.Ofctl("dump-flows", bridge, "table=200"), "priority=1 actions=drop",
		"another table is not ours")
}

func TestFlowWithExtrasIsNotOurs(t *testing.T) {
	vs, sw := start(t)
	want := program()[:1]
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	for _, extra := range []string{"idle_timeout=30", "hard_timeout=30", "importance=3",
		"send_flow_rem", "reset_counts", "check_overlap"} {
		vs.Ofctl("add-flow", bridge,
			"cookie=0x5043000000000001,table=0,priority=0,"+strings.TrimPrefix(extra,
				"check_overlap")+",actions=drop")
		held, err := sw.Dump(within(t))
		require.NoError(t, err)
		require.Len(t, held, 1)
		delta := openflow.Diff(want, held)
		if extra == "check_overlap" {
			require.True(t, delta.Empty())
			continue
		}
		require.Len(t, delta.Add, 1, "%s: %+v", extra, held)
		require.NoError(t, sw.Apply(within(t), delta))
		requireHolds(t, sw, want)
	}
}

func TestPrepareSetsFragments(t *testing.T) {
	vs, sw := start(t)
	require.Contains(t, vs.Ofctl("get-frags", bridge), "normal")
	require.NoError(t, sw.Prepare(within(t)))
	require.Contains(t, vs.Ofctl("get-frags", bridge), "nx-match")
}

func TestSwitchThatDoesNotSpeakOurVersion(t *testing.T) {
	vs, sw := start(t)
	vs.Vsctl("set", "Bridge", bridge, "protocols=OpenFlow13")
	require.ErrorContains(t, sw.Prepare(within(t)), "OpenFlow 1.5: see protocols of the bridge")
	require.ErrorContains(t, sw.Watch(within(t), func() { t.Error("nothing to hear") }),
		"OpenFlow 1.5: see protocols of the bridge")
	require.ErrorContains(t, sw.Apply(within(t), openflow.Diff(program(), nil)),
		"OpenFlow 1.5: see protocols of the bridge")
}

func TestSwitchThatIsAwayIsAnError(t *testing.T) {
	sandbox.Require(t)
	sw := ofswitch.New(ofswitch.Options{Target: "unix:" + t.TempDir() + "/none.mgmt"})
	want := program()
	_, err := sw.Dump(within(t))
	require.ErrorContains(t, err, "o such file")
	require.ErrorContains(t, sw.Prepare(within(t)), "no such file")
	err = sw.Apply(within(t), openflow.Diff(want, nil))
	require.ErrorContains(t, err, "o such file")
	require.False(t, errors.As(err, new(*ofswitch.RejectedError)))
	require.ErrorContains(t, sw.Watch(within(t), func() { t.Error("nothing to hear") }),
		"no such file")
}

// watcher runs Watch and counts what it hears.
type watcher struct {
	heard chan struct{}
	ended chan error
	stop  context.CancelFunc
}

func watch(t *testing.T, sw *ofswitch.Switch) watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := watcher{heard: make(chan struct{}, 10000), ended: make(chan error, 1), stop: cancel}
	go func() { w.ended <- sw.Watch(ctx, func() { w.heard <- struct{}{} }) }()
	t.Cleanup(cancel)
	w.hear(t)
	return w
}

func (w watcher) hear(t *testing.T) {
	t.Helper()
	select {
	case <-w.heard:
	case err := <-w.ended:
		t.Fatalf("watch ended: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing heard")
	}
}

func (w watcher) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatal("watch does not end")
		return nil
	}
}

func TestWatchHearsOthersAndNotUs(t *testing.T) {
	vs, sw := start(t)
	w := watch(t, sw)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	changed := append([]openflow.Flow(nil), want[2:]...)
	changed[0].Actions = openflow.ParseActions("resubmit(,10)")
	require.NoError(t, sw.Apply(within(t), openflow.Diff(changed, want)))
	vs.Ofctl("add-flow", bridge, "table=200,actions=drop")
	// What somebody else does comes after what we did, so one notice proves that ours were not
	// reported.
	vs.Ofctl("del-flows", bridge, "table=40")
	w.hear(t)
	require.Empty(t, w.heard)
	vs.Ofctl("mod-flows", bridge, "table=31,actions=resubmit(,41)")
	w.hear(t)
	require.Empty(t, w.heard)
	w.stop()
	require.ErrorIs(t, w.end(t), context.Canceled)
}

// From the moment on that a watcher is told that it listens, it hears everything: what is changed
// at once, too.
func TestWatchHearsFromTheBeginning(t *testing.T) {
	vs, sw := start(t)
	other := ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge)})
	for n := range uint64(20) {
		ctx, cancel := context.WithCancel(within(t))
		calls := 0
		err := sw.Watch(ctx, func() {
			if calls++; calls == 1 {
				require.NoError(t, other.Apply(within(t),
					openflow.Delta{Add: []openflow.Flow{{Table: 40, Priority: 1,
						Actions: openflow.ParseActions("drop"), Cookie: cookie(n)}}}))
				return
			}
			cancel()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 2, calls)
	}
}

func TestWatchEndsWithTheSwitch(t *testing.T) {
	vs, sw := start(t)
	w := watch(t, sw)
	vs.KillVswitchd()
	require.Error(t, w.end(t))
	vs.StartVswitchd()
	w = watch(t, sw)
	vs.Vsctl("del-br", bridge)
	require.Error(t, w.end(t))
}

func TestCancelEndsTheChild(t *testing.T) {
	vs, sw := start(t)
	vs.Appctl("version")
	w := watch(t, sw)
	w.stop()
	require.ErrorIs(t, w.end(t), context.Canceled)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := sw.Dump(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, sw.Prepare(ctx), context.Canceled)
}

// What we change while we listen goes over the connection on which we do, also after the switch, or
// we, refused something of it, and does not end it.
func TestBundlesOnTheConnectionThatListens(t *testing.T) {
	vs, sw := start(t)
	w := watch(t, sw)
	want := program()
	bad := func(match, actions string) openflow.Delta {
		return openflow.Delta{Add: append(slices.Clone(want[:3]), openflow.Flow{Table: 40,
			Match: openflow.ParseMatch(match), Actions: openflow.ParseActions(actions),
			Cookie: cookie(99)})}
	}
	for round := range 3 {
		rejected := new(ofswitch.RejectedError)
		err := sw.Apply(within(t), bad("", "meter:77,output:1"))
		require.ErrorAs(t, err, &rejected)
		require.True(t, rejected.IsOfMeter(), err)
		require.Equal(t, cookie(99), rejected.Flow.Cookie)
		requireHolds(t, sw, want[:round])
		err = sw.Apply(within(t), bad("pkt_mark=0x5", "drop"))
		require.ErrorAs(t, err, &rejected, "it cannot be written")
		requireHolds(t, sw, want[:round])
		require.NoError(t, sw.Apply(within(t), openflow.Diff(want[:round+1], want[:round])))
		requireHolds(t, sw, want[:round+1])
	}
	require.Empty(t, w.heard, "all of it was ours")
	vs.Ofctl("del-flows", bridge, "table=40")
	vs.Ofctl("add-flow", bridge, "table=40,actions=drop")
	w.hear(t)
	require.Empty(t, w.ended)
	w.stop()
	require.ErrorIs(t, w.end(t), context.Canceled)
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Add: want}), "by a connection of its own")
	requireHolds(t, sw, append(slices.Clone(want),
		openflow.Flow{Table: 40, Actions: openflow.ParseActions("drop"), Priority: 32768}))
}

// A bundle that takes too long ends the conversation, so that nothing of it is left to commit; who
// listens is told, and does it anew.
func TestBundleThatIsNotAnsweredEndsTheConversation(t *testing.T) {
	vs, sw := start(t)
	w := watch(t, sw)
	require.NoError(t, syscall.Kill(vs.VswitchdPID(), syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sw.Apply(ctx, openflow.Delta{Add: program()}), context.DeadlineExceeded)
	require.Error(t, w.end(t))
	require.NoError(t, syscall.Kill(vs.VswitchdPID(), syscall.SIGCONT))
	requireHolds(t, sw, nil)
}
