package flows_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// Every flow is there for a reason: of each shape of flow, and each way of breaking it, at least
// one broken flow is noticed by a packet of some story. Those that nothing notices are listed in
// redundant_test.go with the reason; one without a reason fails.
//
// It takes minutes: PORTCULLIS_MUTATE=1, or make mutate; PORTCULLIS_MUTATE='^15 ' breaks the shapes
// of table 15 only.
func TestMutatedFlowsAreNoticed(t *testing.T) {
	wanted := os.Getenv("PORTCULLIS_MUTATE")
	if wanted == "" {
		t.Skip("run by make mutate")
	}
	var tellers []teller
	for n := range 20 {
		tellers = append(tellers, func() *story { return nthStory(t, drawStory, n) })
	}
	tellers = slices.Concat(tellers, historyStories(t), denseStories(t), discoveryStories(t),
		sharedMACStories(t))
	byShape, packets := occurrences(t, tellers)
	if wanted != "1" {
		of := regexp.MustCompile(wanted)
		maps.DeleteFunc(byShape,
			func(shape string, _ []occurrence) bool { return !of.MatchString(shape) })
	}
	t.Logf("%d stories of %d packets; %d shapes of flows", len(tellers), packets, len(byShape))
	reasons := redundant()
	report := breakAll(byShape, reasons, t.Logf)
	t.Logf("%d ways of breaking a shape: %d noticed by a packet, %d by lint, %d not; "+
		"%d broken flows tried", report.packets+report.lint+len(report.survived), report.packets,
		report.lint, len(report.survived), report.tried)
	report.explain(t, reasons, wanted == "1")
}

// explain gives a reason for what was not noticed, or fails.
func (r report) explain(t *testing.T, reasons []redundancy, whole bool) {
	explained := make([]int, len(reasons))
	for _, m := range r.survived {
		if m.reason < 0 {
			t.Errorf("nobody notices: %s\n\t%s", m.name, m.told[0].flow)
			continue
		}
		explained[m.reason]++
	}
	for n, reason := range reasons {
		t.Logf("%3d not noticed: %s (%s)", explained[n], reason.flows, reason.why)
		if explained[n] == 0 && whole {
			t.Logf("  all of these are noticed now: the reason may go")
		}
	}
}

// report is what was noticed.
type report struct {
	packets, lint int // ways that a packet notices, and that only lint does
	survived      []*mutant
	tried         int // broken flows
}

// breakAll breaks every shape in every way.
func breakAll(byShape map[string][]occurrence, reasons []redundancy,
	log func(string, ...any)) report {
	mutants := mutantsOf(byShape, reasons)
	log("%d ways of breaking a shape", len(mutants))
	for round, n := range []int{1, 3, 8, 1000} {
		trials, told := tellRound(mutants, n)
		log("round %d: %d broken flows in %d stories", round+1, trials, told)
	}
	var r report
	for _, m := range mutants {
		r.tried += len(m.told)
		switch {
		case len(m.told) == 0: // no switch would take it, or nothing would be different
		case m.noticed != "":
			r.packets++
		case m.lint():
			r.lint++
		default:
			log("not noticed: %s", m.name)
			r.survived = append(r.survived, m)
		}
	}
	return r
}
