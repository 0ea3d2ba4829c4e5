package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

func badNight() *api.Status {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &api.Status{
		Version: "v1", State: agent.StateDegraded, Error: "the switch: gone",
		Summary: "degraded (1 of 3 ports in force): the switch: gone", Bridge: "br-int",
		Host: "hv1", OVS: "3.1.0", Revision: 7, Flows: 229,
		OVSWarnings: []string{"Open vSwitch 3.1.0 has a hole"},
		Warnings:    []string{"packets are not limited"},
		Policy: api.PolicyStatus{Source: "/etc/policy.yaml", Digest: "454c5049866dcb09",
			LoadedAt: at, ReadAt: at.Add(time.Hour), Groups: 1, Instances: 2,
			Errors:  []string{"policy.yaml:3:1: what?", "policy.yaml:9:1: who?"},
			Refused: []string{"web: tcp 80"}, Warnings: []string{"host bits"}},
		Ports: []api.PortStatus{
			{Name: "tap1", Instance: "a", State: agent.PortApplied, OFPort: 1, Zone: 1, Epoch: 7,
				Addresses: []string{"203.0.113.11"}, Groups: []string{"web"}, Since: at.Add(time.Hour)},
			{Name: "tap2", Instance: "b", State: agent.PortPending, Zone: 2, Epoch: 7,
				Reason: "not yet"},
			{Name: "tap3", Instance: "c", State: agent.PortError, Zone: 3, Epoch: 7,
				Reason: "No such device\nreally"},
			{Name: "tap0", Instance: "d", State: agent.PortAbsent},
		},
		Uplinks: []api.UplinkStatus{{Name: "eth1", OFPort: 9},
			{Name: "eth2", Reason: "it is not a port of the bridge"}},
		Apply: api.ApplyStatus{At: at, Adds: 3, Deletes: 2, Seconds: 0.5, Error: "rejected"},
		Counters: api.Counters{Reloads: 4, ReloadsFailed: 5, Applies: 6, AppliesFailed: 8,
			DriftRepaired: 9},
	}
}

// shownNight is the bad night as it is shown an hour and a minute later, on a pipe.
func shownNight(verbose bool) string { return nightSheet(badNight(), verbose).Text() }

func nightSheet(s *api.Status, verbose bool) term.Sheet {
	rate := 2.25
	counts := &api.Counts{Counts: telemetry.Counts{Ports: []telemetry.PortCount{{Port: "tap1",
		DeniedPerSecond: &rate, Zone: &telemetry.ConnectionFill{Known: 12}}}}}
	return statusText{places: places{[]string{"/etc/"}}, verbose: verbose}.sheet(
		&standing{s, counts}, time.Date(2026, 1, 2, 4, 5, 5, 0, time.UTC))
}

// inOrder requires that a text has all parts, one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	last := -1
	for _, part := range parts {
		at := strings.Index(text, part)
		require.Greater(t, at, last, "%q in\n%s", part, text)
		last = at
	}
}

func TestStatusTellsEverythingTroubleFirst(t *testing.T) {
	inOrder(t, shownNight(false), "state:      degraded (1 of 3 ports in force): the switch: gone\n",
		"not connected to the switch: systemctl", "not connected to OVSDB: systemctl",
		"not valid:  policy.yaml:3:1: what?", "not valid:  policy.yaml:9:1: who?",
		"left out:   web: tcp 80", "warning:    packets are not limited",
		"warnings:   1 about the files: portcullis check lists them",
		"warnings:   1 known fault of Open vSwitch 3.1.0: -v lists it",
		"bridge:     br-int on hv1, Open vSwitch 3.1.0\n",
		"policy:     policy.yaml (1 group, 2 instances), in force since 1 h ago (",
		"last read:  1 min ago (", "not valid (2 mistakes, above); the policy in force stays",
		"repaired:   9 flows that somebody else had changed", "eth1  OpenFlow port 9",
		"eth2  it is not a port",
		"PORT  INSTANCE  STATE    ADDRESSES     GROUPS  CONNECTIONS  DENIED/S  SINCE      REASON\n",
		"tap3  c         error                                                            No such "+
			"device;really\n", "tap2  b         pending", "not yet\n",
		"tap1  a         applied  203.0.113.11  web              12       2.2  1 min ago\n",
		"tap0  d         absent", "the machine is off: there is no device tap0\n")
	for _, jargon := range []string{"EPOCH", "ZONE", "OFPORT", "digest", "revision", "host bits",
		"has a hole", "\x1b"} {
		require.NotContains(t, shownNight(false), jargon)
	}
	inOrder(t, shownNight(true), "warning:      Open vSwitch 3.1.0 has a hole",
		"warning:      host bits", "digest:       454c5049866dcb09", "revision:     7",
		"flows:        229", "3 flows added, 2 deleted in 0.500 s, failed: rejected",
		"the files were read 9 times, 5 of them not valid; 14 changes sent to the switch, 8 refused",
		"OFPORT  ZONE  EPOCH")
	s := statusText{}
	text := s.sheet(&standing{Status: &api.Status{State: agent.StateStarting}}, time.Now()).Text()
	require.Contains(t, text, "none in force yet")
	require.Contains(t, text, "\nno instance of this host has a port\n")
}

// On a small screen there is what is wrong, no line is too long, and what is not there is counted.
func TestStatusOnASmallScreen(t *testing.T) {
	s := badNight()
	for i := range 196 {
		s.Ports = append(s.Ports, api.PortStatus{Name: fmt.Sprintf("tap-%d", i),
			Instance: fmt.Sprintf("vm-with-a-name-%d", i), State: agent.PortAbsent,
			Addresses: []string{"203.0.113.111", "2001:db8:1:2::111"}})
	}
	var text []string
	for _, line := range nightSheet(s, false).Fit(term.Size{Width: 80, Height: 23}, term.Look{}) {
		require.LessOrEqual(t, len([]rune(line.Text)), 80)
		text = append(text, line.Text)
	}
	require.Len(t, text, 23)
	inOrder(t, strings.Join(text, "\n"), "state:", "not connected", "not valid", "more lines",
		"PORT", "tap3", "No such", "tap2", "tap1", "and 191 more ports: --all")
}

func TestStatusColoursWholeLines(t *testing.T) {
	colours := map[string]string{}
	for _, line := range nightSheet(badNight(), false).Fit(term.Size{}, term.Look{}) {
		first, _, _ := strings.Cut(line.Text, " ")
		colours[first] = line.Colour
	}
	require.Equal(t, term.Red, colours["state:"])
	require.Equal(t, term.Red, colours["tap3"])
	require.Equal(t, term.Yellow, colours["tap2"])
	require.Empty(t, colours["tap1"])
	require.Empty(t, colours["tap0"], "a machine that is off is no trouble")
}

func TestWatchPrintsChangesOnly(t *testing.T) {
	f, seen := cli.Files{Config: "settings.yaml"}, changes{}
	v := newStatusView(&f, nil, asking{out: term.Table})
	show := func(s *api.Status, failure error) string {
		text, err := v.block(&standing{Status: s}, failure)
		require.NoError(t, err)
		if failure != nil {
			return seen.of(text, text)
		}
		return seen.of(v.key(&standing{Status: s}), text)
	}
	s := badNight()
	require.Contains(t, show(s, nil), "degraded")
	require.Empty(t, show(badNight(), nil))
	s.Revision++
	require.Contains(t, show(s, nil), "degraded")
	require.Equal(t, "gone\n", show(nil, errors.New("gone")))
	require.Empty(t, show(nil, errors.New("gone")))
	require.Contains(t, show(nil, context.DeadlineExceeded), "the daemon does not answer",
		"it is explained")
	require.NotEmpty(t, show(s, nil))

	v = newStatusView(&f, nil, asking{out: term.JSON})
	got := []string{show(s, errors.New("before")), show(s, nil), show(nil, errors.New("gone"))}
	require.Equal(t, 1, strings.Count(got[2], "\n"))
	var first, second api.Status
	require.NoError(t, json.Unmarshal([]byte(got[1]), &first))
	require.NoError(t, json.Unmarshal([]byte(got[2]), &second))
	require.Equal(t, s.Revision, first.Revision)
	require.Equal(t, agent.State("unknown"), second.State)
	require.Equal(t, "gone", second.Error)
}

// docs/status.md names every field of the JSON that status and connections print.
func TestStatusPageNamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../../docs/status.md")
	require.NoError(t, err)
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		for v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || seen[v] || !strings.HasPrefix(v.PkgPath(),
			"github.com/portcullis/portcullis/controller/") {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			if v.Field(i).Anonymous {
				visit(v.Field(i).Type)
			} else if name, _, _ := strings.Cut(v.Field(i).Tag.Get("json"), ","); name != "" {
				require.Contains(t, string(page), "`"+name+"`", v)
				visit(v.Field(i).Type)
			}
		}
	}
	visit(reflect.TypeFor[api.Status]())
	visit(reflect.TypeFor[api.Connections]())
	visit(reflect.TypeFor[api.Counts]())
	visit(reflect.TypeFor[telemetry.FirstPacket]())
	require.Len(t, seen, 21)
}
