package flows_test

import (
	"fmt"
	"maps"
	"slices"
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

// Every flow of a program that ends a packet's way, or lets it pass a judgement, is counted for
// something, and nothing else is.
func TestEveryVerdictIsCounted(t *testing.T) {
	in := flowtest.Seed()
	var c flows.Compiler
	_, err := c.Update(in)
	require.NoError(t, err)
	ids := flows.RuleIDs(in.Policy)
	var known []uint32
	for _, id := range ids {
		known = append(known, id)
	}
	seen := map[flows.Verdict]int{}
	ports := map[flows.CounterSubject]bool{}
	for _, f := range c.Program().Flows {
		of, isOurs := c.Origin(f)
		require.True(t, isOurs, f)
		c := of.CounterSubject
		seen[c.Verdict]++
		switch c.Verdict {
		case flows.VerdictAdmitted:
			require.True(t, c.Rule == flows.RuleOpen || slices.Contains(known, c.Rule), f)
			require.Contains(t, f.Actions.String(), "->reg3")
		case flows.VerdictEstablished:
			require.Contains(t, f.Match.String(), "ct_mark=")
		case flows.VerdictDropped:
			require.Equal(t, "drop", f.Actions.String())
			require.Zero(t, c.Direction)
			require.Empty(t, c.Port, f)
		case flows.VerdictNone:
			require.True(t, !f.Actions.IsDrop() || f.Table == 32 || f.Table == 52, f)
			require.NotContains(t, f.Actions.String(), "set_field:0x1/0x1->reg0", f)
		}
		if c.Port != "" {
			require.False(t, ports[c], "two flows count one thing of a port: %s", f)
			ports[c] = true
		}
	}
	judged := 0
	for _, b := range in.Bindings {
		if !isTrusted(in, b.Port) {
			judged++
		}
	}
	require.Equal(t, 2*judged, seen[flows.VerdictDenied])
	require.Equal(t, 2*judged, seen[flows.VerdictEstablished])
	require.NotZero(t, seen[flows.VerdictAdmitted])
	require.GreaterOrEqual(t, seen[flows.VerdictDropped], len(flows.Pipeline())-2)
	for _, b := range in.Bindings {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			denied := slices.ContainsFunc(slices.Collect(maps.Keys(ports)), func(c flows.CounterSubject) bool {
				return c.Port == b.Port && c.Direction == d && c.Verdict == flows.VerdictDenied
			})
			require.Equal(t, !isTrusted(in, b.Port), denied, "%s %s", b.Port, d)
		}
	}
}

func isTrusted(in flows.Input, port string) bool {
	for _, i := range in.Policy.Instances {
		for _, p := range i.Ports {
			if p.Name == port {
				return p.Trusted
			}
		}
	}
	return false
}

// Of what a flow is, is what its text says, however the input was reached: who wrote it knew it.
func TestOriginIsWhatTheTextSays(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		n := drawNarrow(t)
		n.Refuses = rapid.SampledFrom([]int{0, 0, 1000}).Draw(t, "refuses")
		n.Salt = rapid.IntRange(0, 9999).Draw(t, "salt")
		c, in := flows.NewNarrow(n), flows.Input{}
		w := policytest.DrawWorld(t)
		in = flowtest.Bound(w.Policy, w.Site)
		in.LastMeter = flows.MaxMeter
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			if _, err := c.Update(in); err != nil {
				in = nextInput(t, in)
				continue
			}
			alone := flows.NewNarrow(n)
			_, err := alone.Update(in)
			require.NoError(t, err)
			for _, f := range c.Program().Flows {
				of, isOurs := c.Origin(f)
				require.True(t, isOurs, f)
				require.Equal(t, subjectInText(f, in), of.CounterSubject, f)
				require.Equal(t, rulesIn(f), idsOf(c.RulesOf(f)), f)
				switch port := portInText(f, in); {
				case of.Rule > flows.RuleOpen:
					require.Empty(t, of.Port, f)
				case port != "" || of.Port == "":
					require.Equal(t, port, of.Port, f)
				default:
					require.True(t, hasMACOrAddress(f, in, of.Port), "%s of %s", f, of.Port)
					seen["port by its MAC or address"]++
				}
				same, _ := alone.Origin(f)
				require.Equal(t, of.String(), same.String(), f)
				seen[fmt.Sprint(of.Verdict)]++
				word, _, _ := strings.Cut(strings.TrimPrefix(of.String(), "the "), " ")
				seen[word]++
				if len(rulesIn(f)) > 1 {
					seen["several rules"]++
				}
			}
			in = nextInput(t, in)
		}
	})
	t.Log(seen)
	for _, what := range []string{"1", "2", "3", "4", "port", "address", "MAC", "EtherType", "rule",
		"service", "peer", "listed", "further", "no", "several rules", "port by its MAC or address"} {
		require.Positive(t, seen[what], what)
	}
}

func idsOf(rules []flows.RuleOf) []uint32 {
	ids := []uint32{}
	for _, r := range rules {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

// portInText returns the port that enters by what a flow matches, or whose key it matches.
func portInText(f openflow.Flow, in flows.Input) string {
	match := "," + f.Match.String() + ","
	for _, b := range in.Bindings {
		if strings.Contains(match, fmt.Sprintf(",reg1=0x%x,", b.Zone)) ||
			strings.Contains(match, fmt.Sprintf(",in_port=%d,", b.OFPort)) {
			return b.Port
		}
	}
	return ""
}

// hasMACOrAddress says whether a flow matches a MAC or an address of a port.
func hasMACOrAddress(f openflow.Flow, in flows.Input, port string) bool {
	words := strings.FieldsFunc(f.Match.String(), func(r rune) bool { return r == ',' || r == '=' })
	for _, i := range in.Policy.Instances {
		for _, p := range i.Ports {
			for _, u := range p.Uses() {
				address := strings.TrimSuffix(strings.TrimSuffix(u.Prefix.Masked().String(), "/32"), "/128")
				if p.Name == port && (slices.Contains(words, u.MAC.String()) ||
					slices.Contains(words, p.MAC.String()) || slices.Contains(words, address)) {
					return true
				}
			}
			if p.Name == port && slices.Contains(words, p.MAC.String()) {
				return true
			}
		}
	}
	return false
}

// subjectInText finds in another way what a flow is counted for.
func subjectInText(f openflow.Flow, in flows.Input) (c flows.CounterSubject) {
	match, actions := f.Match.String(), f.Actions.String()
	isDrop := actions == "drop"
	switch f.Table {
	case 32, 52:
		if strings.HasPrefix(actions, "set_field:0x1/0x1->reg0,set_field:") {
			c.Verdict = flows.VerdictAdmitted
			_, err := fmt.Sscanf(actions, "set_field:0x1/0x1->reg0,set_field:0x%x->reg3", &c.Rule)
			if err != nil {
				panic(err)
			}
		}
		return c
	case 31, 51:
		if strings.Contains(match, "ct_mark=") && strings.Contains(match, "reg1=") {
			c.Verdict = flows.VerdictEstablished
		}
	case 33, 53:
		if strings.HasPrefix(match, "reg1=") && (isDrop || strings.Contains(actions, "CONTROLLER")) {
			c.Verdict = flows.VerdictDenied
		}
	}
	switch {
	case c.Verdict != flows.VerdictNone:
		c.Port, c.Direction = portInText(f, in), policy.Ingress
		if f.Table < 40 {
			c.Direction = policy.Egress
		}
	case isDrop:
		c.Verdict, c.Table = flows.VerdictDropped, flows.TableID(f.Table)
	}
	return c
}

// What somebody has put into our tables by hand is not taken for what it is not.
func TestForeignFlowsAreOfNobody(t *testing.T) {
	var c flows.Compiler
	_, known := c.Origin(openflow.Flow{})
	require.False(t, known, "nothing is compiled yet")
	_, err := c.Update(flowtest.Seed())
	require.NoError(t, err)
	for _, f := range c.Program().Flows {
		for _, change := range []func(*openflow.Flow){
			func(f *openflow.Flow) { f.Table++ },
			func(f *openflow.Flow) { f.Priority++ },
			func(f *openflow.Flow) { f.Match = openflow.ParseMatch("udp,nw_src=198.51.100.77") },
			func(f *openflow.Flow) { f.Actions = openflow.ParseActions("output:77") },
			func(f *openflow.Flow) { f.Cookie++ },
		} {
			g := f
			change(&g)
			of, known := c.Origin(g)
			require.False(t, known, g)
			require.Zero(t, of)
			require.Empty(t, c.RulesOf(g))
		}
	}
}
