package flows_test

// This file is which flows of which stories TestMutatedFlowsAreNoticed breaks, of each shape.

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// occurrence is a flow of a story, by its key in the first program that has it.
type occurrence struct {
	story *story
	flow  openflow.Flow
	met   int // packets that met it
	// of these, what somebody received: where a flow lets something pass, these show it broken
	passed int
}

// occurrences groups all flows of the stories by shape, those that most packets meet first.
func occurrences(stories []*story) map[string][]occurrence {
	byShape := map[string][]occurrence{}
	for _, s := range stories {
		met, passed := map[string]int{}, map[string]int{}
		for _, st := range s.steps {
			for _, line := range st.trace {
				met[line]++
				if st.want.Receivers != "" {
					passed[line]++
				}
			}
		}
		seen := map[openflow.Key]bool{}
		for _, program := range s.programs {
			for _, f := range program {
				if !seen[f.Key()] {
					seen[f.Key()] = true
					byShape[shape(f)] = append(byShape[shape(f)], occurrence{s, f,
						met[f.String()], passed[f.String()]})
				}
			}
		}
	}
	for name := range byShape {
		slices.SortStableFunc(byShape[name],
			func(a, b occurrence) int { return cmp.Compare(b.met, a.met) })
		switch {
		case aboutFragments(name):
			byShape[name] = ofFragments(byShape[name])
		case stateful(name):
			byShape[name] = spread(byShape[name], byState)
		default:
			byShape[name] = spread(byShape[name], byDiscovery)
		}
	}
	return byShape
}

// stateful says whether a shape is of the tables that connections and rules are about; what the
// dense stories and the histories have to say is about these.
func stateful(shape string) bool {
	return regexp.MustCompile(`^(29|3\d|4[89]|5\d) `).MatchString(shape)
}

// aboutFragments says whether a shape is of the flows that fragments alone meet.
func aboutFragments(shape string) bool {
	return regexp.MustCompile(`^(29|48) (150|200|210) `).MatchString(shape)
}

// ofFragments takes, by turns, those that let most packets pass and those that most packets meet.
// Histories have no fragments.
func ofFragments(list []occurrence) []occurrence {
	list = slices.DeleteFunc(slices.Clone(list), func(o occurrence) bool { return o.story.tracked })
	byPassed := slices.Clone(list)
	slices.SortStableFunc(byPassed,
		func(a, b occurrence) int { return cmp.Compare(b.passed, a.passed) })
	var out []occurrence
	for n := range list {
		out = append(out, byPassed[n], list[n])
	}
	return out
}

// spread takes the first of each kind of story in turn. The story of discovery is one of thousands
// of packets, and the only one in which some words are said.
func spread(list []occurrence, kind func(*story) int) []occurrence {
	kinds := [3][]occurrence{}
	for _, o := range list {
		k := kind(o.story)
		kinds[k] = append(kinds[k], o)
	}
	var out []occurrence
	for len(out) < len(list) {
		for k := range kinds {
			if len(kinds[k]) > 0 {
				out, kinds[k] = append(out, kinds[k][0]), kinds[k][1:]
			}
		}
	}
	return out
}

// byState tells dense stories and histories from others.
func byState(s *story) int {
	switch {
	case s.dense:
		return 0
	case s.tracked:
		return 2
	}
	return 1
}

// byDiscovery tells the story of discovery from others.
func byDiscovery(s *story) int {
	if s.discovery {
		return 0
	}
	return 1
}

// triesOf is how many flows of a shape are broken in one way before it counts as not noticed. The
// flows of the state tables are the same in every story, but few stories are about their protocol.
func triesOf(shape string) int {
	switch {
	case aboutFragments(shape): // of each protocol, and each answer of ICMP, some stories are
		return 150
	case strings.HasPrefix(shape, "31 "), strings.HasPrefix(shape, "51 "):
		return 75
	case stateful(shape):
		return 18
	}
	return 12
}
