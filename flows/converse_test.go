package flows_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/ovstest"
	"github.com/portcullis/portcullis/integration/trace"
)

// explainedHop is a frame that an explanation is made of, and what it says of it.
type explainedHop struct {
	what string
	hop  policy.Hop
	step *policy.Step // nil: a frame of a connection
}

// drawExplained draws a question, about a connection or a conversation, and returns all frames of its answer.
func drawExplained(t *rapid.T, w policy.World) (policy.Explanation, []explainedHop) {
	var out []explainedHop
	add := func(steps []policy.Step) {
		for n := range steps {
			out = append(out, explainedHop{steps[n].What, steps[n].Hop, &steps[n]})
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "connection") == 0 {
		from, to, s := drawQuestion(t, w)
		e := policy.Explain(w, from, to, s)
		for _, r := range e.Routes {
			add(r.DHCP)
			for _, pair := range r.Pairs {
				for _, f := range pair.Frames {
					out = append(out, explainedHop{f.What, f.Hop, nil})
				}
			}
		}
		return e, out
	}
	ether, _ := policy.ParseConversation("0x88b5")
	c := rapid.SampledFrom(append(policy.Conversations(), ether)).Draw(t, "conversation")
	from, to := drawEnd(t, w), policy.End{}
	answers := strings.HasSuffix(c.Word, "-answer")
	if answers || rapid.Bool().Draw(t, "to somebody") {
		to = drawEnd(t, w)
	}
	if rapid.IntRange(0, 5).Draw(t, "outside") == 0 || answers && rapid.Bool().Draw(t, "a server outside") {
		from, _ = w.End(policy.OutsideEnd)
	}
	e := policy.Converse(w, c, from, to)
	for _, x := range e.Exchanges {
		add(x.Steps)
	}
	return e, out
}

// Each frame that is explained is what the specification decides, and what the flows do; and the answer is what its frames say.
func TestExplainedFramesAgree(t *testing.T) {
	met := map[string]int{}
	for range 3 {
		rapid.Check(t, func(t *rapid.T) {
			w := drawWorld(t)
			in := bound(w.Policy, w.Site)
			sw, err := flowtest.New(compile(t, in).Flows)
			require.NoError(t, err)
			e, hops := drawExplained(t, w)
			met[e.Service+" "+e.Verdict.String()]++
			for _, h := range hops {
				requireDecided(t, w, h)
				if h.hop.Host != w.Site.Host {
					continue
				}
				got, err := sw.Forward(flowtest.FromPolicy(h.hop.Packet, in))
				require.NoError(t, err)
				require.Equal(t, receiversOf(h.hop.Decide(w)), receivers(in, got.Outputs), "%s: %+v\n%s", h.what, h.hop, strings.Join(got.Trace, "\n"))
			}
			requireAnswer(t, e)
		})
	}
	t.Log(met)
	for _, c := range policy.Conversations() {
		require.Positive(t, met[c.Word+" admitted"]+met[c.Word+" denied"], c.Word)
	}
	for _, what := range []string{"dhcp admitted", "dhcp denied", "arp admitted", "arp denied", "nd admitted", "nd denied", "dhcp-answer admitted", "dhcp-answer denied"} {
		require.Positive(t, met[what], what)
	}
}

// requireDecided holds a step against the specification at its host, which is asked here in its own words.
func requireDecided(t *rapid.T, w policy.World, h explainedHop) {
	w.Site.Host = h.hop.Host
	d := policy.Decide(w, h.hop.Packet)
	require.Equal(t, d, h.hop.Decide(policy.World{Policy: w.Policy, Site: w.Site}))
	if s := h.step; s != nil {
		require.Equal(t, fmt.Sprint(d.Ports), fmt.Sprint(s.Ports), s.What)
		require.Equal(t, d.Uplink, s.Uplink, s.What)
		if s.Verdict == policy.Admitted {
			require.True(t, d.Uplink || len(d.Ports) > 0, "%+v passes, and nobody gets it", s)
			require.Empty(t, s.Missing)
		}
		require.NotEmpty(t, s.Reason)
		require.NotEmpty(t, s.Frame)
	}
}

// requireAnswer holds the verdict of a conversation against its steps.
func requireAnswer(t *rapid.T, e policy.Explanation) {
	works, fails := 0, 0
	for _, x := range e.Exchanges {
		want := policy.Admitted
		for _, s := range x.Steps {
			if s.Optional == "" && s.Verdict != policy.Admitted {
				want = policy.Denied
			}
		}
		require.Equal(t, want, x.Verdict)
		if want == policy.Admitted {
			works++
		} else {
			fails++
		}
	}
	switch {
	case works > 0 && fails > 0:
		require.Equal(t, policy.Partly, e.Verdict)
	case len(e.Exchanges) > 0:
		require.Equal(t, works > 0, e.Verdict == policy.Admitted)
	case len(e.Routes) == 0:
		require.NotEmpty(t, e.Reason)
	}
}

// The same on a real switch: what is explained is what ofproto/trace says.
func TestSwitchAgreesWithExplain(t *testing.T) {
	ovs := ovstest.Start(t, ovstest.Options{Datapath: ovstest.Dummy})
	args := []string{"add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy", "fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15"}
	for n := range 6 {
		args = append(args, "--", "add-port", "br0", fmt.Sprintf("p%d", n), "--", "set", "Interface", fmt.Sprintf("p%d", n), "type=dummy", fmt.Sprintf("ofport_request=%d", n+1))
	}
	ovs.Vsctl(args...)
	bridge, err := trace.Open(t.Context(), ovs, "br0")
	require.NoError(t, err)
	counts := map[string]int{}
	for n := range 25 {
		rapid.Custom(func(t *rapid.T) bool {
			w := drawWorld(t)
			in := bound(w.Policy, w.Site)
			require.NoError(t, bridge.Install(context.Background(), compile(t, in).Flows))
			for range 12 {
				_, hops := drawExplained(t, w)
				for _, h := range hops {
					if h.hop.Host == w.Site.Host {
						counts[traced(t, bridge, w, in, h)]++
					}
				}
			}
			return true
		}).Example(n)
	}
	t.Logf("frames by outcome: %v", counts)
	require.Greater(t, counts["delivered"], 80)
	require.Greater(t, counts["dropped"], 80)
}

func traced(t *rapid.T, b *trace.Bridge, w policy.World, in flows.Input, h explainedHop) string {
	seen := flowtest.FromPolicy(h.hop.Packet, in)
	real, err := b.Trace(context.Background(), seen)
	require.NoError(t, err)
	require.Equal(t, receiversOf(h.hop.Decide(w)), receivers(in, real.Outputs), "%s: %s\n%s", h.what, trace.Spec(seen), real.Text)
	if len(real.Outputs) == 0 {
		return "dropped"
	}
	return "delivered"
}
