package flows_test

// This file is in which order TestMutatedFlowsAreNoticed tells its stories: in rounds, in each of
// which a story is told once for all the flows that are broken in it.

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/flows/openflow"
)

// workers tell stories at the same time.
const workers = 2

// mutant is one way of breaking the flows of a shape.
type mutant struct {
	name   string // "shape: way"
	way    string
	reason int // the reason why nobody may notice, or -1
	parts  []part

	mu      sync.Mutex
	told    []occurrence // broken in vain, and the one that was noticed
	noticed string
}

// mutantsOf lists every way of breaking every shape.
func mutantsOf(byShape map[string][]occurrence, reasons []redundancy) []*mutant {
	var patterns []*regexp.Regexp
	for _, r := range reasons {
		patterns = append(patterns, regexp.MustCompile(r.flows))
	}
	var out []*mutant
	for _, name := range slices.Sorted(maps.Keys(byShape)) {
		ways := map[string]bool{}
		for _, o := range byShape[name] {
			for _, c := range newBreaker(o.outline.ports).changes(o.flow) {
				ways[c.kind] = true
			}
		}
		parts := partsOf(name, byShape[name])
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			m := &mutant{name: name + ": " + way, way: way, parts: slices.Clone(parts)}
			m.reason = slices.IndexFunc(patterns,
				func(p *regexp.Regexp) bool { return p.MatchString(m.name) })
			out = append(out, m)
		}
	}
	return out
}

// next returns the next n occurrences that can be broken in this way.
func (m *mutant) next(n int) []occurrence {
	var out []occurrence
	for len(out) < n && len(m.parts) > 0 {
		p := &m.parts[0]
		if len(p.list) == 0 || p.tries == 0 {
			m.parts = m.parts[1:]
			continue
		}
		if o := p.list[0]; o.broken(m.way) != nil {
			out = append(out, o)
			p.tries--
		}
		p.list = p.list[1:]
	}
	return out
}

// trial is a mutant in one story.
type trial struct {
	mutant *mutant
	flow   openflow.Flow
}

// tellRound breaks the next n flows of each mutant that nobody has noticed yet. The dense stories
// are told last, and only if they are still needed.
func tellRound(mutants []*mutant, n int) (trials, told int) {
	byOutline := map[*outline][]trial{}
	var outlines []*outline
	for _, m := range mutants {
		if m.noticed != "" {
			continue
		}
		for _, o := range m.next(n) {
			if byOutline[o.outline] == nil {
				outlines = append(outlines, o.outline)
			}
			byOutline[o.outline] = append(byOutline[o.outline], trial{m, o.flow})
			trials++
		}
	}
	slices.SortStableFunc(outlines, func(a, b *outline) int { return cmp.Compare(b.kind, a.kind) })
	next := make(chan *outline)
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for t := range next {
				t.tellTo(byOutline[t])
			}
		})
	}
	for _, t := range outlines {
		next <- t
	}
	close(next)
	done.Wait()
	return trials, len(outlines)
}

// tellTo tells the story again for each flow that is broken in it.
func (t *outline) tellTo(trials []trial) {
	var s *story
	for _, trial := range trials {
		m := trial.mutant
		if m.isNoticed() {
			continue
		}
		if s == nil {
			s = t.tell()
		}
		o := occurrence{outline: t, flow: trial.flow}
		if noticed, possible := s.retold(o.broken(m.way), o.flow); possible {
			m.note(o, noticed)
		}
	}
}

func (m *mutant) isNoticed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.noticed != ""
}

func (m *mutant) note(o occurrence, noticed string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told, m.noticed = append(m.told, o), cmp.Or(m.noticed, noticed)
}

// lint says whether lint finds a program wrong with one of the flows broken.
func (m *mutant) lint() bool {
	return slices.ContainsFunc(m.told, func(o occurrence) bool {
		return slices.ContainsFunc(o.broken(m.way),
			func(program []openflow.Flow) bool { return linted(program, o.flow.Table) })
	})
}
