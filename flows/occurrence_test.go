package flows_test

// This file is which flows of which stories TestMutatedFlowsAreNoticed breaks, of each shape.

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// teller tells a story, always the same one.
type teller func() *story

// outline is what is kept of a story. Its packets are not: those of all stories take gigabytes, and
// so it is told anew whenever they are needed.
type outline struct {
	tell     teller
	kind     storyKind
	programs [][]openflow.Flow
	ports    uint32 // OpenFlow ports are 1 to this
}

// storyKind is what a story is about.
type storyKind uint8

const (
	aboutRules   storyKind = iota // dense: of thousands of packets
	aboutWorlds                   // drawn at random
	aboutChanges                  // histories of connections
	aboutDiscovery
)

func (s *story) kind() storyKind {
	switch {
	case s.dense:
		return aboutRules
	case s.tracked:
		return aboutChanges
	case s.discovery:
		return aboutDiscovery
	}
	return aboutWorlds
}

// occurrence is a flow of a story, by its key in the first program that has it.
type occurrence struct {
	outline *outline
	flow    openflow.Flow
	met     int // packets that met it
	// of these, what somebody received: where a flow lets something pass, these show it broken
	passed int
}

// occurrences tells each story once, and again with nothing broken, which nobody may notice. It
// returns all flows by shape, those that most packets meet first, and how many packets there are.
func occurrences(must require.TestingT, tellers []teller) (byShape map[string][]occurrence,
	packets int) {
	byShape = map[string][]occurrence{}
	for _, tell := range tellers {
		s := tell()
		packets += len(s.steps)
		noticed, possible := s.retold(s.programs, s.programs[0][0])
		require.True(must, possible && noticed == "", noticed)
		t := &outline{tell, s.kind(), s.programs, uint32(len(s.inputs[0].Bindings) + 1)}
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
		for _, f := range slices.Concat(s.programs...) {
			if !seen[f.Key()] {
				seen[f.Key()] = true
				byShape[shape(f)] = append(byShape[shape(f)],
					occurrence{t, f, met[f.String()], passed[f.String()]})
			}
		}
	}
	for _, list := range byShape {
		slices.SortStableFunc(list, func(a, b occurrence) int { return cmp.Compare(b.met, a.met) })
	}
	return byShape, packets
}

// part is some occurrences of a shape, of which so many are broken in one way before that counts as
// not noticed.
type part struct {
	list  []occurrence
	tries int
}

// partsOf says which occurrences of a shape are broken, and in which order. The flows of the state
// tables are the same in every story, but few stories are about their protocol. Of what the other
// tables do, the dense stories have thousands of packets and say little, so that they come last.
func partsOf(shape string, list []occurrence) []part {
	switch {
	case aboutFragments(shape): // of each protocol, and each answer of ICMP, some stories are
		return []part{{ofFragments(list), 150}}
	case strings.HasPrefix(shape, "31 "), strings.HasPrefix(shape, "51 "):
		return []part{{spread(list, byState), 75}}
	case stateful(shape):
		return []part{{spread(list, byState), 18}}
	}
	var dense, others []occurrence
	for _, o := range list {
		if o.outline.kind == aboutRules {
			dense = append(dense, o)
		} else {
			others = append(others, o)
		}
	}
	return []part{{spread(others, byDiscovery), 24}, {dense, 6}}
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
	list = slices.DeleteFunc(slices.Clone(list),
		func(o occurrence) bool { return o.outline.kind == aboutChanges })
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
func spread(list []occurrence, kind func(storyKind) int) []occurrence {
	kinds := [3][]occurrence{}
	for _, o := range list {
		k := kind(o.outline.kind)
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
func byState(k storyKind) int {
	switch k {
	case aboutRules:
		return 0
	case aboutChanges:
		return 2
	}
	return 1
}

// byDiscovery tells the story of discovery from others.
func byDiscovery(k storyKind) int {
	if k == aboutDiscovery {
		return 0
	}
	return 1
}
