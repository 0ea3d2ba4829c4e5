package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// What is in force goes through JSON and back unchanged, positions included, and is compiled to the
// same flows.
func TestInForceAsJSON(t *testing.T) {
	p, _, err := policyfile.Parse([]strictyaml.File{{Name: "a.yaml", Data: []byte(`groups:
  - name: "a:1:2"
    rules:
      - {direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
instances:
  - {name: i, groups: ["a:1:2"], ports: [{name: t, mac: "02:00:00:00:00:01", addresses: [10.0.0.1]}]}
`)}})
	require.NoError(t, err)
	in := flows.Input{Policy: p, LastMeter: 9, Bindings: []flows.Binding{{Port: "t", OFPort: 3,
		Zone: 4, Epoch: 5}}, Uplinks: []flows.Uplink{{Name: "eth1", OFPort: 6}},
		Site: policy.Site{Host: "h", Gateways: []netip.Addr{netip.MustParseAddr("10.0.0.254")},
			Limits: policy.Limits{Connections: 7, NewConnections: policy.Unlimited}}}
	text, err := json.Marshal(inForceOf(&agent.Snapshot{Running: in, Revision: 5}))
	require.NoError(t, err)
	var got InForce
	require.NoError(t, json.Unmarshal(text, &got))
	back, err := got.Input()
	require.NoError(t, err)
	require.Equal(t, in, back)
	require.Equal(t, 4, back.Policy.Groups[0].Rules[0].At.Line)

	got.Policy.Groups[0].Name = ""
	_, err = got.Input()
	require.ErrorContains(t, err, "the policy in force")
	got.Policy = nil
	_, err = got.Input()
	require.ErrorContains(t, err, "no policy")
}

// No setting can be left out on its way, or where plan compares.
func TestEverySettingIsInForce(t *testing.T) {
	for name, site := range flowtest.Variants[policy.Site]() {
		text, err := json.Marshal(site)
		require.NoError(t, err)
		var back policy.Site
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, site, back, name)
		require.Len(t, ChangedSettings(policy.Site{}, site), 1, name)
		require.Len(t, ChangedSettings(site, policy.Site{}), 1, name)
	}
	empty := policy.Site{Gateways: []netip.Addr{}, DHCPServers: []netip.Addr{}}
	require.Empty(t, ChangedSettings(policy.Site{}, empty))
}

func TestNothingInForce(t *testing.T) {
	s := Server{Agent: agent.New(agent.Options{})}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, inForcePath, nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "nothing is programmed yet")
}
