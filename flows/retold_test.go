package flows_test

// This file is how a story is told again with a broken flow, for TestMutatedFlowsAreNoticed.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// broken returns the story's programs with the flow broken in each that has it; nil where none is
// different from what it was, or where a switch would not take it.
func (o occurrence) broken(way string) [][]openflow.Flow {
	b, possible := newBreaker(o.outline.ports), false
	programs := slices.Clone(o.outline.programs)
	for n, program := range programs {
		at := slices.IndexFunc(program, func(f openflow.Flow) bool { return f.Key() == o.flow.Key() })
		if at < 0 {
			continue
		}
		changes := b.changes(program[at])
		c := slices.IndexFunc(changes, func(c change) bool { return c.kind == way })
		switch {
		case c < 0:
			continue
		case changes[c].flow == nil:
			programs[n] = slices.Delete(slices.Clone(program), at, at+1)
		case !inEffect(program, program[at], *changes[c].flow):
			continue
		case !taken(program, at, *changes[c].flow):
			return nil
		default:
			programs[n] = slices.Clone(program)
			programs[n][at] = *changes[c].flow
		}
		possible = true
	}
	if !possible {
		return nil
	}
	return programs
}

// taken says whether a switch takes a flow instead of one of a program: it understands it, and has
// no other of that match and priority.
func taken(program []openflow.Flow, at int, f openflow.Flow) bool {
	for n := range program {
		if n != at && program[n].Key() == f.Key() {
			return false
		}
	}
	_, err := flowtest.New([]openflow.Flow{f})
	return err == nil
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

// retold runs the story with other programs and returns the first thing that is different, and
// whether a switch takes the programs.
func (s *story) retold(programs [][]openflow.Flow, broken openflow.Flow) (noticed string,
	possible bool) {
	s.sw.FlushAll()
	if s.sw.Replace(programs[0]) != nil {
		return "", false
	}
	at := 0
	for _, st := range s.concerned(broken) {
		if st.program != at {
			if at = st.program; s.sw.Replace(programs[at]) != nil {
				return "", false
			}
		}
		if d := s.different(s.sw, st); d != "" {
			return d, true
		}
	}
	return "", true
}

// linted says whether lint finds a program wrong in which one flow of a table is broken, and all
// others are as they were: of other tables it is shown no more than that there are flows.
func linted(program []openflow.Flow, broken uint8) bool {
	var shown []openflow.Flow
	left := false
	for _, f := range program {
		left = left || f.Table == broken
		if f.Table == broken || f.Priority == 0 {
			shown = append(shown, f)
		}
	}
	return !left || flowtest.Lint(shown, oppositeRules...) != nil
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
