package explain_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/integration/trace"

	"github.com/portcullis/portcullis/flows/policytest"
)

// explainedHop is a frame that an explanation is made of, and what it says of it.
type explainedHop struct {
	what string
	hop  explain.Hop
	step *explain.Step // nil: a frame of a connection
}

// drawExplained draws a question, about a connection or a conversation, and returns all frames of
// its answer.
func drawExplained(t *rapid.T, w spec.World) (explain.Explanation, []explainedHop) {
	var out []explainedHop
	add := func(steps []explain.Step) {
		for n := range steps {
			out = append(out, explainedHop{steps[n].What, steps[n].Hop, &steps[n]})
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "connection") == 0 {
		from, to, s := drawQuestion(t, w)
		e := explain.Explain(w, from, to, explain.Ask(s))
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
	ether, _ := explain.ParseConversation("0x88b5")
	c := rapid.SampledFrom(append(explain.Conversations(), ether)).Draw(t, "conversation")
	from, to := drawEnd(t, w), explain.End{}
	answers := strings.HasSuffix(c.Word, "-answer")
	if answers || rapid.Bool().Draw(t, "to somebody") {
		to = drawEnd(t, w)
	}
	if rapid.IntRange(0, 5).Draw(t, "outside") == 0 || answers &&
		rapid.Bool().Draw(t, "a server outside") {
		from, _ = explain.FindEnd(w, explain.OutsideEnd)
	}
	e := explain.Converse(w, c, from, to)
	for _, x := range e.Exchanges {
		add(x.Steps)
	}
	return e, out
}

// Each frame that is explained is what the specification decides, and what the flows do; and the
// answer is what its frames say.
func TestExplainedFramesAgree(t *testing.T) {
	met := map[string]int{}
	for range 3 {
		rapid.Check(t, func(t *rapid.T) {
			w := policytest.DrawWorld(t)
			in := flowtest.Bound(w.Policy, w.Site)
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
				require.Equal(t, flowtest.ReceiversOf(h.hop.Decide(w)), flowtest.Receivers(in, got.Outputs),
					"%s: %+v\n%s", h.what, h.hop, strings.Join(got.Trace, "\n"))
			}
			requireAnswer(t, e)
		})
	}
	t.Log(met)
	for _, c := range explain.Conversations() {
		require.Positive(t, met[c.Word+" admitted"]+met[c.Word+" denied"], c.Word)
	}
	for _, what := range []string{"dhcp admitted", "dhcp denied", "arp admitted", "arp denied",
		"nd admitted", "nd denied", "dhcp-answer admitted", "dhcp-answer denied"} {
		require.Positive(t, met[what], what)
	}
}

// requireDecided holds a step against the specification at its host, which is asked here in its own
// words.
func requireDecided(t *rapid.T, w spec.World, h explainedHop) {
	w.Site.Host = h.hop.Host
	d := spec.Decide(w, h.hop.Packet)
	require.Equal(t, d, h.hop.Decide(spec.World{Policy: w.Policy, Site: w.Site}))
	if s := h.step; s != nil {
		require.Equal(t, fmt.Sprint(d.Ports), fmt.Sprint(s.Ports), s.What)
		require.Equal(t, d.Uplink, s.Uplink, s.What)
		if s.Verdict == explain.Admitted {
			require.True(t, d.Uplink || len(d.Ports) > 0, "%+v passes, and nobody gets it", s)
			require.Empty(t, s.Missing)
		}
		require.NotEmpty(t, s.Reason)
		require.NotEmpty(t, s.Frame)
	}
}

// requireAnswer holds the verdict of a conversation against its steps.
func requireAnswer(t *rapid.T, e explain.Explanation) {
	works, fails := 0, 0
	for _, x := range e.Exchanges {
		want := explain.Admitted
		for _, s := range x.Steps {
			if s.Optional == "" && s.Verdict != explain.Admitted {
				want = explain.Denied
			}
		}
		require.Equal(t, want, x.Verdict)
		if want == explain.Admitted {
			works++
		} else {
			fails++
		}
	}
	switch {
	case works > 0 && fails > 0:
		require.Equal(t, explain.Partly, e.Verdict)
	case len(e.Exchanges) > 0:
		require.Equal(t, works > 0, e.Verdict == explain.Admitted)
	case len(e.Routes) == 0:
		require.NotEmpty(t, e.Reason)
	}
}

// The same on a real switch: what is explained is what ofproto/trace says.
func TestSwitchAgreesWithExplain(t *testing.T) {
	bridge, _ := trace.Start(t, 6)
	counts := map[string]int{}
	for n := range 25 {
		rapid.Custom(func(t *rapid.T) bool {
			w := policytest.DrawWorld(t)
			in := flowtest.Bound(w.Policy, w.Site)
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

func traced(t *rapid.T, b *trace.Bridge, w spec.World, in flows.Input, h explainedHop) string {
	seen := flowtest.FromPolicy(h.hop.Packet, in)
	real, err := b.Trace(context.Background(), seen)
	require.NoError(t, err)
	require.Equal(t, flowtest.ReceiversOf(h.hop.Decide(w)), flowtest.Receivers(in, real.Outputs),
		"%s: %s\n%s", h.what, trace.Spec(seen), real.Text)
	if len(real.Outputs) == 0 {
		return "dropped"
	}
	return "delivered"
}

func compile(t *rapid.T, in flows.Input) *flows.Program {
	p, err := flows.Compile(in)
	require.NoError(t, err)
	return p
}
