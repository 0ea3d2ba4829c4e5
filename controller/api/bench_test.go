package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// fleetServer is the API of a daemon that has a fleet in force.
func fleetServer(in flows.Input) http.Handler {
	ctl := agent.New(agent.Options{Bridge: "br-int", Site: in.Site})
	ctl.Hub().Publish(&agent.Snapshot{State: agent.StateInSync, Bridge: "br-int", Running: in,
		InForce: in.Policy, Revision: 9, Uplinks: []agent.UplinkStatus{{Name: "eth1", OFPort: 1}}})
	return Server{Agent: ctl}.Handler()
}

// What a plan costs in the daemon, from the bytes of the question to those of the answer: the
// policy is sent, held against the one in force, and compiled. The daemon was asked before.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []policytest.FleetSize{policytest.SmallFleet, policytest.LargeFleet} {
		w := policytest.Fleet(size)
		handler := fleetServer(flowtest.Bound(w.Policy, w.Site))
		for name, p := range map[string]*policy.Policy{"same": policytest.Fleet(size).Policy,
			"rule": withOneRule(policytest.Fleet(size).Policy)} {
			body, err := json.Marshal(PlanQuestion{Policy: p})
			require.NoError(b, err)
			b.Run(fmt.Sprintf("%s/%d", name, size.Instances), func(b *testing.B) {
				var got Plan
				ask := func() {
					answer := httptest.NewRecorder()
					handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, planPath,
						bytes.NewReader(body)))
					require.Equal(b, http.StatusOK, answer.Code, answer.Body)
					require.NoError(b, json.Unmarshal(answer.Body.Bytes(), &got))
				}
				ask()
				b.ReportAllocs()
				for b.Loop() {
					ask()
				}
				b.ReportMetric(float64(len(body))/1e6, "MB")
				b.ReportMetric(float64(got.Added.Count+got.Removed.Count), "flows")
				require.Equal(b, name == "same", got.InSync)
			})
		}
	}
}

func withOneRule(p *policy.Policy) *policy.Policy {
	g := *p.Groups[len(p.Groups)/2]
	g.Rules = slices.Clone(g.Rules)
	ports := g.Rules[2].Ports[0]
	ports.First++
	g.Rules[2].Ports = []policy.PortRange{ports}
	p.Groups[len(p.Groups)/2] = &g
	return p
}
