package ofswitch_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

func ten(id uint32) flows.Meter { return flows.Meter{ID: id, Rate: 10, Burst: 20} }

func TestMetersAreReadBack(t *testing.T) {
	vs, sw := start(t)
	last, err := sw.LastMeter(within(t))
	require.NoError(t, err)
	require.Equal(t, flows.MaxMeter, last)
	held := func() []flows.Meter {
		ms, err := sw.Meters(within(t))
		require.NoError(t, err)
		return ms
	}
	require.Empty(t, held())
	want := []flows.Meter{ten(7), {ID: flows.MaxMeter, Rate: 10_000_000, Burst: 10_000_000}}
	require.NoError(t, sw.PutMeters(within(t), flows.MeterDelta{Add: want}))
	require.ElementsMatch(t, want, held())

	changed := flows.Meter{ID: 7, Rate: 11, Burst: 11}
	require.NoError(t, sw.PutMeters(within(t), flows.MeterDelta{Change: []flows.Meter{changed}}))
	require.Contains(t, held(), changed)

	// By hand: it is equal to no meter of ours.
	vs.Ofctl("mod-meter", bridge, "meter=7,pktps,bands=type=drop,rate=11")
	vs.Ofctl("add-meter", bridge,
		"meter=8,kbps,burst,stats,bands=type=drop,rate=5,burst_size=6,type=drop,rate=7,burst_size=8")
	require.Contains(t, held(), flows.Meter{ID: 7})
	require.Contains(t, held(), flows.Meter{ID: 8})
	require.Len(t, flows.DiffMeters([]flows.Meter{changed}, held()).Change, 1)

	require.NoError(t, sw.DeleteMeters(within(t), held()))
	require.Empty(t, held())
}

// A bundle needs its meters beforehand, and a deleted meter takes its flows along: hence the order.
func TestMetersComeBeforeFlowsAndGoAfter(t *testing.T) {
	_, sw := start(t)
	metered := []openflow.Flow{{Table: 10, Priority: 200,
		Match:   openflow.ParseMatch("arp,reg1=0x7"),
		Actions: openflow.ParseActions("meter:7,resubmit(,20)"), Cookie: cookie(1)}}
	err := sw.Apply(within(t), openflow.Delta{Add: metered})
	var rejected *ofswitch.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Contains(t, rejected.Reason, "OFPMMFC_INVALID_METER")

	require.NoError(t, sw.PutMeters(within(t), flows.MeterDelta{Add: []flows.Meter{ten(7)}}))
	held, err := sw.Dump(within(t))
	require.NoError(t, err)
	require.NoError(t, sw.Apply(within(t), openflow.Diff(metered, held)))
	requireHolds(t, sw, metered)
	require.NoError(t, sw.PutMeters(within(t), flows.MeterDelta{Change: []flows.Meter{{ID: 7,
		Rate: 1, Burst: 1}}}))
	requireHolds(t, sw, metered)
	require.NoError(t, sw.DeleteMeters(within(t), []flows.Meter{ten(7)}))
	requireHolds(t, sw, nil)
}

func TestMeterErrors(t *testing.T) {
	vs, sw := start(t)
	require.NoError(t, sw.PutMeters(within(t), flows.MeterDelta{Add: []flows.Meter{ten(7)}}))
	var refused *ofswitch.MeterError
	tooHigh := ten(0xffff0001) // above OFPM_MAX
	err := sw.PutMeters(within(t), flows.MeterDelta{Add: []flows.Meter{ten(9), tooHigh,
		ten(tooHigh.ID + 1), ten(10)}})
	require.ErrorAs(t, err, &refused)
	require.Equal(t, tooHigh, refused.Meter, "the first one")
	require.Equal(t, "OFPMMFC_INVALID_METER", refused.Reason)
	held, err := sw.Meters(within(t))
	require.NoError(t, err)
	require.Subset(t, held, []flows.Meter{ten(7), ten(9)}, "of those behind it nothing is known")

	// What was thought of the switch is not so: no refusal, but a reason to look again.
	for _, d := range []flows.MeterDelta{{Add: []flows.Meter{ten(7)}},
		{Change: []flows.Meter{ten(8)}}} {
		err = sw.PutMeters(within(t), d)
		require.Error(t, err)
		require.NotErrorAs(t, err, &refused)
		require.Contains(t, err.Error(), "METER", "it names the reason and the meter")
	}
	vs.StopVswitchd()
	for _, err := range []error{
		sw.PutMeters(within(t), flows.MeterDelta{Add: []flows.Meter{ten(9)}}),
		sw.DeleteMeters(within(t), []flows.Meter{ten(7)}),
	} {
		require.Error(t, err)
		require.NotErrorAs(t, err, &refused)
	}
	_, err = sw.Meters(within(t))
	require.Error(t, err)
	_, err = sw.LastMeter(within(t))
	require.Error(t, err)
}

func TestZoneLimits(t *testing.T) {
	vs, _ := start(t)
	sw := ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge), DatapathType: "dummy"})
	held := func() []flows.ZoneLimit {
		ls, err := sw.ZoneLimits(within(t))
		require.NoError(t, err)
		return ls
	}
	require.Empty(t, held())
	many := make([]flows.ZoneLimit, 2500)
	for i := range many {
		many[i] = flows.ZoneLimit{Zone: uint16(i + 1), Connections: 10_000_000}
	}
	require.NoError(t, sw.LimitZones(within(t), many, nil))
	require.ElementsMatch(t, many, held())
	var gone []uint16
	for _, l := range many[1:] {
		gone = append(gone, l.Zone)
	}
	require.NoError(t, sw.LimitZones(within(t), []flows.ZoneLimit{{Zone: 1, Connections: 5},
		{Zone: 65535, Connections: 6}}, gone))
	require.ElementsMatch(t, []flows.ZoneLimit{{Zone: 1, Connections: 5},
		{Zone: 65535, Connections: 6}}, held())
	vs.Appctl("dpctl/ct-set-limits", "zone=1,limit=0") // by hand: none
	require.Equal(t, []flows.ZoneLimit{{Zone: 65535, Connections: 6}}, held())
}

func TestZoneLimitsRefused(t *testing.T) {
	vs, _ := start(t)
	for name, o := range map[string]ofswitch.Options{
		"another datapath":   {Target: vs.Mgmt(bridge), DatapathType: "netdev"},
		"no unix socket":     {Target: "tcp:127.0.0.1:1"},
		"no daemon":          {Target: "unix:" + t.TempDir() + "/br-int.mgmt"},
		"the kernel's is ''": {Target: vs.Mgmt(bridge)},
	} {
		t.Run(name, func(t *testing.T) {
			sw := ofswitch.New(o)
			_, err := sw.ZoneLimits(within(t))
			require.Error(t, err)
			t.Log(err)
			require.NotContains(t, err.Error(), "server returned an error", "it says nothing")
			require.False(t, strings.Contains(err.Error(), "\n"))
			require.Error(t, sw.LimitZones(within(t), []flows.ZoneLimit{{Zone: 1, Connections: 5}},
				nil))
			require.Error(t, sw.LimitZones(within(t), nil, []uint16{1}))
		})
	}
}
