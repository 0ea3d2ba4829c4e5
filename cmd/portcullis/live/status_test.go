package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
			LoadedAt: at, ReadAt: at.Add(time.Hour), Groups: 1,
			Errors:  []string{"policy.yaml:3:1: what?", "policy.yaml:9:1: who?"},
			Refused: []string{"web: tcp 80"}, Warnings: []string{"host bits"}},
		Ports: []api.PortStatus{
			{Name: "tap1", Instance: "a", State: agent.PortApplied, OFPort: 1, Zone: 1, Epoch: 7},
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

func TestStatusTextTellsEverythingTroubleFirst(t *testing.T) {
	text := statusText(badNight(), term.Paint{})
	last := -1
	for _, part := range []string{
		"state:        degraded (1 of 3 ports in force): the switch: gone\n", "error:        the switch: gone\n",
		"not connected to the switch: systemctl", "not connected to OVSDB: systemctl",
		"not valid:    policy.yaml:3:1: what?", "not valid:    policy.yaml:9:1: who?",
		"refused:      web: tcp 80", "warning:      packets are not limited",
		"bridge:       br-int on hv1, Open vSwitch 3.1.0",
		"/etc/policy.yaml (1 groups, 0 instances), digest 454c5049866dcb09",
		"last read:", "mistakes: 2", "4 valid, 5 not", "revision:     7", "flows:        229",
		"3 added, 2 deleted in 0.500 s, failed: rejected",
		"6 applied, 8 failed; 9 flows repaired", "eth1  OpenFlow port 9", "eth2  it is not a port",
		"warning:      Open vSwitch 3.1.0 has a hole",
		"warning:      host bits", "ports: 1 applied, 1 pending, 1 in error, 1 absent", "PORT  INSTANCE",
		"tap3", "No such device; really",
		"tap2", "not yet", "tap1", "tap0",
	} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, "%q in\n%s", part, text)
		last = at
	}
	require.NotContains(t, text, "\x1b")
	require.Contains(t, statusText(&api.Status{State: agent.StateStarting}, term.Paint{}),
		"none in force yet")
	require.Contains(t, statusText(&api.Status{}, term.Paint{}), "no local ports")
}

func TestStatusColoursWholeLines(t *testing.T) {
	text := statusText(badNight(), term.Paint{On: true})
	for _, line := range strings.Split(text, "\n") {
		want := map[bool]int{true: 2}[strings.HasPrefix(line, "\x1b")]
		require.Equal(t, want, strings.Count(line, "\x1b"), line)
	}
	require.Contains(t, text, term.Red+"state:        degraded (1 of 3 ports in force): the switch: gone"+term.Plain)
	require.Contains(t, text, term.Red+"tap3")
	require.Contains(t, text, term.Yellow+"tap2")
	require.NotContains(t, text, term.Plain+"tap1")
	require.Contains(t, text, "\ntap1")
	plainText := strings.NewReplacer(term.Red, "", term.Yellow, "", term.Green, "", term.Plain,
		"").Replace(text)
	require.Equal(t, statusText(badNight(), term.Paint{}), plainText, "colours move nothing")
	require.Contains(t, statusText(&api.Status{State: agent.StateInSync}, term.Paint{On: true}),
		term.Green+"state:")
}

func TestWatchPrintsChangesOnly(t *testing.T) {
	f, seen := cli.Files{Config: "settings.yaml"}, changes{}
	shown := shownStatus(&f, &bytes.Buffer{}, term.Table)
	show := func(s *api.Status, failure error) string {
		text, err := shown.block(s, failure)
		require.NoError(t, err)
		return seen.of(text)
	}
	s := badNight()
	require.Equal(t, statusText(s, term.Paint{}), show(s, nil))
	require.Empty(t, show(badNight(), nil))
	s.Revision++
	require.Equal(t, statusText(s, term.Paint{}), show(s, nil))
	require.Equal(t, "gone\n", show(nil, errors.New("gone")))
	require.Empty(t, show(nil, errors.New("gone")))
	require.Contains(t, show(nil, context.DeadlineExceeded), "the daemon does not answer",
		"it is explained")
	require.NotEmpty(t, show(s, nil))

	shown = shownStatus(&f, &bytes.Buffer{}, term.JSON)
	got := []string{show(s, nil), show(nil, errors.New("gone"))}
	require.Equal(t, 1, strings.Count(got[1], "\n"))
	var first, second api.Status
	require.NoError(t, json.Unmarshal([]byte(got[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(got[1]), &second))
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
	require.Len(t, seen, 19)
}
