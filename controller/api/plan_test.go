package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
)

func parsed(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "new.yaml", Data: []byte(text)}})
	require.NoError(t, err)
	return p
}

// planned is a daemon with one port and two live connections of it, one of them by its rule.
func planned(t *testing.T) (*agenttest.World, *api.Client) {
	t.Helper()
	tracker := &agenttest.Conntrack{}
	w, client := agenttest.Served(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		w.Conntrack = tracker
	})
	_, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err)
	p, now := parsed(t, agenttest.File("a: 80 443")), w.Ctl.Snapshot()
	ids := flows.RuleIDs(p)
	for n, port := range []uint16{80, 443} {
		c := agenttest.TCPTo(now.Ports[0].Zone, now.Ports[0].Epoch,
			ids[flows.RuleKey("g-a", p.Groups[0].Rules[n])], 41166)
		c.Dst, c.DstPort = p.Instances[0].Ports[0].Addresses[0].Addr(), port
		tracker.List = append(tracker.List, c)
	}
	return w, client
}

// What a policy would change is computed by the daemon: access, flows, epochs, and the live
// connection that it cuts, with its rule. Nothing is changed by asking.
func TestPlanOfAPolicyThatIsSent(t *testing.T) {
	w, client := planned(t)
	ctx, before := context.Background(), w.Ctl.Snapshot()
	got, err := client.Plan(ctx, api.PlanQuestion{Policy: parsed(t, agenttest.File("a: 443 8080")),
		Name: "new.yaml"})
	require.NoError(t, err)
	require.False(t, got.InSync)
	require.Equal(t, []string{"a"}, got.Cut)
	require.Len(t, got.Access.Loses, 1)
	require.Len(t, got.Access.Gains, 1)
	require.Len(t, got.Connections, 1)
	require.Equal(t, "198.51.100.1:41166 → i-a:80", got.Connections[0].String())
	require.Contains(t, got.Connections[0].By(), "rule g-a: ingress tcp 80 from 0.0.0.0/0, ")
	require.Equal(t, plan.Summary{AccessLost: 1, AccessGained: 1, ConnectionsCut: 1,
		FlowsAdded: got.Added.Count, FlowsRemoved: got.Removed.Count}, got.Summary)
	require.Positive(t, got.Added.Count)
	require.Empty(t, got.Added.Flows)
	listed, err := client.Plan(ctx, api.PlanQuestion{Policy: parsed(t, agenttest.File("a: 443 8080")),
		Flows: 2})
	require.NoError(t, err)
	require.Equal(t, got.Added.Count, listed.Added.Count)
	require.Len(t, listed.Added.Flows, 2)
	require.Contains(t, listed.Added.Flows[0].Sentence, "Table ")
	require.Equal(t, before.Counters.Applies, w.Ctl.Snapshot().Counters.Applies)

	gone, err := client.Plan(ctx, api.PlanQuestion{Policy: parsed(t, agenttest.File("b: 80"))})
	require.NoError(t, err)
	require.Len(t, gone.Connections, 2, "its port goes")
}

// The daemon's own files need not be sent; what is in force is in sync.
func TestPlanOfTheDaemonsFiles(t *testing.T) {
	w, client := planned(t)
	ctx := context.Background()
	got, err := client.Plan(ctx, api.PlanQuestion{})
	require.NoError(t, err)
	require.True(t, got.InSync, "%+v", got)
	require.Equal(t, "policy.yaml", got.Policy)
	site := w.Ctl.Site()
	site.LogDenied = true
	got, err = client.Plan(ctx, api.PlanQuestion{Settings: &api.PlanSettings{Bridge: "br-int",
		HostGiven: true, Uplinks: []string{"eth1"}, Site: site}})
	require.NoError(t, err)
	require.False(t, got.InSync)
	require.Contains(t, got.Notes[0], "(log_denied)")

	w.Policy.Write("groups: 3\n")
	_, err = client.Plan(ctx, api.PlanQuestion{})
	require.ErrorContains(t, err, "the policy is not valid: ")
	require.ErrorContains(t, err, "portcullis check")
}

// What cannot be answered is refused in words, with a way out.
func TestPlanRefuses(t *testing.T) {
	w, client := planned(t)
	post := func(body string) *httptest.ResponseRecorder {
		got := httptest.NewRecorder()
		w.Api().Handler().ServeHTTP(got, httptest.NewRequest(http.MethodPost, "/v1/plan",
			strings.NewReader(body)))
		return got
	}
	for body, want := range map[string]struct {
		code int
		says string
	}{
		"":                                       {http.StatusBadRequest, "cannot be read"},
		`{"polcy": {}}`:                          {http.StatusBadRequest, "unknown field"},
		`{"policy": {"groups": [{"name": ""}]}}`: {http.StatusUnprocessableEntity, "is not valid"},
	} {
		got := post(body)
		require.Equal(t, want.code, got.Code, got.Body)
		require.Contains(t, problemOf(t, got).Message, want.says)
	}
	_, err := client.Plan(context.Background(), api.PlanQuestion{Policy: &policy.Policy{
		Groups: []*policy.Group{{Name: ""}}}})
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	require.NotContains(t, err.Error(), "422")
}

func problemOf(t *testing.T, got *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	require.Equal(t, "application/json", got.Header().Get("Content-Type"))
	var p api.Problem
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &p), got.Body)
	require.Equal(t, api.Version, p.Version)
	require.NotEmpty(t, p.Message)
	return p
}

// Where nothing is, the API says what there is; another method than a path has is told which it
// has.
func TestAPISaysWhatThereIs(t *testing.T) {
	w, _ := planned(t)
	ask := func(method, path string) *httptest.ResponseRecorder {
		got := httptest.NewRecorder()
		w.Api().Handler().ServeHTTP(got, httptest.NewRequest(method, path, &bytes.Buffer{}))
		return got
	}
	for _, path := range []string{"/", "/v1/", "/v1", "/v1/state", "/metrics"} {
		got := ask(http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, got.Code, path)
		listed := problemOf(t, got).Calls
		require.Len(t, listed, 10)
		for _, c := range listed {
			other := http.MethodDelete
			require.NotEqual(t, http.StatusNotFound, ask(c.Method, c.Path).Code, c.Path)
			refused := ask(other, c.Path)
			require.Equal(t, http.StatusMethodNotAllowed, refused.Code, c.Path)
			require.Equal(t, c.Method, refused.Header().Get("Allow"))
			problemOf(t, refused)
		}
	}
	for _, path := range []string{"/v1/status?wait=soon", "/v1/connections?limit=0",
		"/v1/connections?port=none"} {
		problemOf(t, ask(http.MethodGet, path))
	}
}

// A probe is told whether what the files say is in force, and why not.
func TestHealth(t *testing.T) {
	w, client := planned(t)
	ask := func() (int, api.Health) {
		got := httptest.NewRecorder()
		w.Api().Handler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/v1/health", nil))
		var h api.Health
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &h))
		return got.Code, h
	}
	code, h := ask()
	require.Equal(t, http.StatusOK, code)
	require.True(t, h.Healthy)
	require.Equal(t, string(agent.StateInSync), h.State)
	w.Policy.Write("groups: 3\n")
	_, err := client.Settle(context.Background(), agenttest.Generous)
	require.ErrorIs(t, err, api.ErrInvalidPolicy)
	code, h = ask()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.False(t, h.Healthy)
	require.Contains(t, h.Reason, "not valid")
}
