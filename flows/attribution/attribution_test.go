package attribution_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/attribution"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// Some sentences, word by word.
func TestOriginsInWords(t *testing.T) {
	in := flowtest.Seed()
	in.Policy.Groups[1].Rules[0].At = policy.Position{File: "policy.yaml", Line: 15, Column: 9}
	in.Site.Limits, in.LastMeter = policy.Limits{NewConnections: 8, ARPNDDHCP: 7, Fragments: 6},
		flows.MaxMeter
	var program flows.Compiler
	_, err := program.Update(in)
	require.NoError(t, err)
	reader := attribution.New(in, &program)
	said := map[string]bool{}
	for _, f := range program.Program().Flows {
		said[reader.Read(f).Sentence] = true
	}
	for _, want := range []string{
		"Table 0, classify: every packet that enters by port tap-web-1 of web-1, untagged: judged from here on for port tap-web-1 of web-1, with its epoch 1, noted as an instance's, on to source_guard.",
		"Table 0, classify: every packet that enters by uplink eth1, untagged: noted as an uplink's, on to outside_guard.",
		"Table 0, classify: every packet from MAC of a group (broadcast or multicast): dropped.",
		"Table 10, source_guard: IPv4 judged for port tap-web-1 of web-1, from MAC 02:00:00:00:00:11 of tap-web-1, from 203.0.113.11: on to dispatch.",
		"Table 10, source_guard: UDP over IPv4 from port 67, to port 68: dropped.",
		"Table 20, arp: ARP about 203.0.113.21, a request: sent out of port tap-db-1 of db-1.",
		"Table 31, egress_state: every packet that is known, of a connection admitted in epoch 1, judged for port tap-db-1 of db-1: on to destination.",
		"Table 32, egress_rules: every packet judged for port tap-web-1 of web-1: admitted, by egress is open, because no group of the instance has an egress rule.",
		"Table 33, egress_verdict: IPv4 of a connection that was not admitted before, that a rule admitted, judged for port tap-web-1 of web-1: held to the limit of port tap-web-1 of web-1 for connections that it opens, remembered in the zone of the port with its epoch and the rule, on to destination.",
		"Table 51, ingress_state: TCP over IPv4 that is known, not merely related, a reply: its connection's first packet is shown to the rules in its place, on to egress_rules, on to ingress_verdict.",
		"Table 52, ingress_rules: every packet that meets every part of one rule: admitted, by backend: ingress tcp 3306 from group frontend (policy.yaml:15:9).",
		"Table 52, ingress_rules: TCP over IPv4 to port 3306: is a service (part 3 of 3) of backend: ingress tcp 3306 from group frontend (policy.yaml:15:9).",
		"Table 53, ingress_verdict: every packet judged for port tap-db-1 of db-1: dropped.",
		"Table 60, output: every packet judged for port tap-db-2 of db-2: sent out of port tap-db-2 of db-2.",
		"Table 60, output: whatever meets no other flow: dropped.",
	} {
		if !said[want] {
			start := want[:strings.Index(want, ": ")]
			var near []string
			for s := range said {
				if strings.HasPrefix(s, start) {
					near = append(near, s)
				}
			}
			slices.Sort(near)
			require.Fail(t, "not said", "%s\nbut\n%s", want, strings.Join(near, "\n"))
		}
	}
	foreign := reader.Read(openflow.Flow{Table: 52, Priority: 9,
		Match:   openflow.ParseMatch("udp,nw_src=192.0.2.7"),
		Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,group:7"), Cookie: 1})
	require.Equal(t, "Not a flow of ours (its cookie is not), though in table 52, ingress_rules: UDP over IPv4 from 192.0.2.7: admitted, does group:7.", foreign.Sentence)
	require.Empty(t, foreign.Of)
	require.Equal(t, "Table 200 is none of ours: the flow is somebody else's, and is left alone.",
		reader.Read(openflow.Flow{Table: 200}).Sentence)
	gone := reader.Read(openflow.Flow{Table: 52, Match: openflow.ParseMatch("conj_id=77"),
		Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,set_field:0x4d->reg3"),
		Cookie:  uint64(flows.Owner) << 48})
	require.Contains(t, gone.Sentence, "rule 77, which the policy does not have")
}

// Where the ports are is found in the flows alone.
func TestBindingsAreFoundInTheFlows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		p, err := flows.Compile(in)
		require.NoError(t, err)
		got, uplinks := attribution.Bindings(p.Flows, w.Policy, w.Site.Host, []string{"eth1"})
		require.Equal(t, in.Uplinks, uplinks)
		for _, b := range in.Bindings {
			// without an address of its own and with the MAC of others nothing tells a port apart
			if hasOwn(w.Policy, b.Port) {
				require.Contains(t, got, b)
			}
		}
		require.Subset(t, in.Bindings, got)
		require.LessOrEqual(t, len(got), len(in.Bindings))
	})
}

func hasOwn(p *policy.Policy, name string) bool {
	for _, i := range p.Instances {
		if i.Ports[0].Name == name {
			return len(i.Ports[0].Addresses) > 0 && !i.Ports[0].Trusted
		}
	}
	return false
}
