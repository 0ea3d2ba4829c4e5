package flows_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// Every flow is there for a reason: of each shape of flow, and each way of breaking it, at least
// one broken flow is noticed by a packet of some story. Those that nothing notices are listed below
// with the reason; one without a reason fails.
//
// It takes minutes: PORTCULLIS_MUTATE=1, or make mutate; PORTCULLIS_MUTATE='^15 ' breaks the shapes
// of table 15 only.
func TestMutatedFlowsAreNoticed(t *testing.T) {
	wanted := os.Getenv("PORTCULLIS_MUTATE")
	if wanted == "" {
		t.Skip("run by make mutate")
	}
	var stories []*story
	packets := 0
	for n := range 20 {
		stories = append(stories, nthStory(t, drawStory, n))
	}
	stories = slices.Concat(stories, historyStories(t), denseStories(t), discoveryStories(t))
	for _, s := range stories {
		packets += len(s.steps)
		s.switches = make(chan *flowtest.Switch, workers)
		for range workers {
			sw, err := flowtest.New(s.programs[0])
			require.NoError(t, err)
			s.switches <- sw
		}
	}
	byShape := occurrences(stories)
	if wanted != "1" {
		of := regexp.MustCompile(wanted)
		maps.DeleteFunc(byShape, func(shape string, _ []occurrence) bool { return !of.MatchString(shape) })
	}
	t.Logf("%d stories of %d packets; %d shapes of flows", len(stories), packets, len(byShape))
	report := breakAll(byShape, t.Logf)
	t.Logf("%d ways of breaking a shape: %d noticed by a packet, %d by lint, %d not; "+
		"%d broken flows tried", len(report.noticed)+len(report.linted)+len(report.survived),
		len(report.noticed), len(report.linted), len(report.survived), report.tried)
	explained, reasons := map[string]int{}, redundant()
	for _, s := range slices.Sorted(maps.Keys(report.survived)) {
		n := slices.IndexFunc(reasons,
			func(r redundancy) bool { return regexp.MustCompile(r.flows).MatchString(s) })
		if n < 0 {
			t.Errorf("nobody notices: %s\n\t%s", s, report.survived[s])
			continue
		}
		explained[reasons[n].flows]++
	}
	for _, r := range reasons {
		t.Logf("%3d not noticed: %s (%s)", explained[r.flows], r.flows, r.why)
		if explained[r.flows] == 0 && wanted == "1" {
			t.Logf("  all of these are noticed now: the reason may go")
		}
	}
}

// report is what was noticed, by "shape: way of breaking it".
type report struct {
	mu              sync.Mutex
	noticed, linted map[string]string
	survived        map[string]string // an example of the flow
	tried           int               // broken flows
	log             func(string, ...any)
}

// workers break flows at the same time.
const workers = 2

// breakAll breaks every shape in every way.
func breakAll(byShape map[string][]occurrence, log func(string, ...any)) *report {
	r := &report{noticed: map[string]string{}, linted: map[string]string{},
		survived: map[string]string{}, log: log}
	names := make(chan string)
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for name := range names {
				r.breakShape(name, byShape[name])
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(byShape)) {
		names <- name
	}
	close(names)
	done.Wait()
	return r
}

func (r *report) breakShape(name string, list []occurrence) {
	ways := map[string]int{}
	for _, o := range list {
		for _, c := range newBreaker(uint32(len(o.story.inputs[0].Bindings) + 1)).changes(o.flow) {
			ways[c.kind]++
		}
	}
	for _, way := range slices.Sorted(maps.Keys(ways)) {
		tried := 0
		verdict, example := "", ""
		for _, o := range list {
			if tried == triesOf(name) || verdict != "" && verdict != "lint" {
				break
			}
			noticed, possible := o.broken(way)
			if possible {
				tried++
				if verdict == "" || noticed != "" {
					verdict, example = noticed, o.flow.String()
				}
			}
		}
		r.note(name+": "+way, verdict, example, tried)
	}
}

func (r *report) note(what, verdict, example string, tried int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried += tried
	switch {
	case tried == 0: // no switch would take it, or nothing would be different
	case verdict == "":
		r.survived[what] = example
		r.log("not noticed: %s", what)
	case verdict == "lint":
		r.linted[what] = example
	default:
		r.noticed[what] = verdict
	}
}

// broken tells the story with one flow broken, in every program that has it. It returns what was
// noticed, and whether the broken programs are different ones that a switch would take.
func (o occurrence) broken(way string) (noticed string, possible bool) {
	b := newBreaker(uint32(len(o.story.inputs[0].Bindings) + 1))
	programs := make([][]openflow.Flow, len(o.story.programs))
	for n, program := range o.story.programs {
		programs[n] = program
		at := slices.IndexFunc(program, func(f openflow.Flow) bool { return f.Key() == o.flow.Key() })
		if at < 0 {
			continue
		}
		changes := b.changes(program[at])
		c := slices.IndexFunc(changes, func(c change) bool { return c.kind == way })
		if c < 0 {
			continue
		}
		if changes[c].flow == nil {
			programs[n] = slices.Delete(slices.Clone(program), at, at+1)
		} else if inEffect(program, program[at], *changes[c].flow) {
			programs[n] = slices.Clone(program)
			programs[n][at] = *changes[c].flow
		} else {
			continue
		}
		possible = true
	}
	if !possible {
		return "", false
	}
	return o.story.retold(programs, o.flow)
}

// inEffect says whether a change of priority can show at all: another flow that does something else
// may match the same packet, and comes to stand on the other side.
func inEffect(program []openflow.Flow, was, is openflow.Flow) bool {
	if was.Priority == is.Priority {
		return true
	}
	low, high := min(was.Priority, is.Priority), max(was.Priority, is.Priority)
	return slices.ContainsFunc(program, func(f openflow.Flow) bool {
		return f.Table == was.Table && f.Priority >= low && f.Priority <= high &&
			f.Priority != is.Priority && f.Actions != was.Actions &&
			!disjoint(f.Match.String(), was.Match.String())
	})
}

// disjoint says whether two matches ask for different values of one field; false where that is not
// plain to see.
func disjoint(a, b string) bool {
	values := map[string]string{}
	protocol := func(field string) (string, string) {
		name, value, found := strings.Cut(field, "=")
		if found {
			return name, value
		}
		return "protocol", name
	}
	for _, field := range strings.Split(a, ",") {
		name, value := protocol(field)
		values[name] = value
	}
	for _, field := range strings.Split(b, ",") {
		name, value := protocol(field)
		old, both := values[name]
		if both && old != value && !strings.Contains(old+value, "/") && name != "ct_state" &&
			(name != "protocol" || !compatible(old, value)) {
			return true
		}
	}
	return false
}

// compatible says whether a packet may be of both protocols.
func compatible(a, b string) bool {
	four, six := []string{"tcp", "udp", "icmp", "sctp"}, []string{"tcp6", "udp6", "icmp6", "sctp6"}
	return a == "" || b == "" || a == "ip" && slices.Contains(four, b) || b == "ip" &&
		slices.Contains(four, a) ||
		a == "ipv6" && slices.Contains(six, b) || b == "ipv6" && slices.Contains(six, a)
}

// retold runs the story with other programs and returns the first thing that is different, "lint"
// where only that finds something.
func (s *story) retold(programs [][]openflow.Flow, broken openflow.Flow) (noticed string,
	possible bool) {
	sw := <-s.switches
	defer func() { s.switches <- sw }()
	sw.FlushAll()
	if sw.Replace(programs[0]) != nil {
		return "", false
	}
	at := 0
	for _, st := range s.concerned(broken) {
		if st.program != at {
			if at = st.program; sw.Replace(programs[at]) != nil {
				return "", false
			}
		}
		if d := s.different(sw, st); d != "" {
			return d, true
		}
	}
	for _, p := range programs {
		if flowtest.Lint(p, oppositeRules...) != nil {
			return "lint", true
		}
	}
	return "", true
}

// concerned returns the packets that a broken flow may show in: of a tracked story all of them in
// their order, else those that meet the flow, those that just miss it, and others that come to its
// table.
func (s *story) concerned(broken openflow.Flow) []*step {
	line := broken.String()
	var all, meet, miss, others []*step
	for n := range s.steps {
		st := &s.steps[n]
		all = append(all, st)
		switch {
		case st.tables>>broken.Table&1 == 0:
		case s.dense && slices.Contains(st.trace, line):
			meet = append(meet, st)
		case s.dense:
			others = append(others, st)
		case slices.Contains(st.trace, line):
			meet = append(meet, st)
		case slices.Contains(st.of, line):
			miss = append(miss, st)
		default:
			others = append(others, st)
		}
	}
	if s.tracked {
		return all
	}
	if broken.Table == 32 || broken.Table == 52 { // clauses are in no trace
		return slices.Concat(some(meet, 200), some(miss, 200), some(others, 1500))
	}
	return slices.Concat(some(meet, 200), some(miss, 800), some(others, 300))
}

// some returns at most n of a list, from all over it.
func some(list []*step, n int) []*step {
	if len(list) <= n {
		return list
	}
	out := make([]*step, n)
	for i := range out {
		out[i] = list[i*len(list)/n]
	}
	return out
}

func (s *story) different(sw *flowtest.Switch, st *step) string {
	got, err := sw.Forward(st.seen)
	if err != nil {
		return err.Error()
	}
	switch out, err := s.outcomeOf(st, got); {
	case err != nil:
		return err.Error()
	case out != st.want:
		return fmt.Sprintf("%+v instead of %+v", out, st.want)
	}
	return ""
}
