package draw

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What a picture shows: boxes with a row for each arrow that their rules are, and what changes.

// Picture is what is drawn.
type Picture struct {
	Title  string // a line of text
	Answer *matrix.Answer
	// Around are the only ends that are drawn, with what they have to do with; none = all.
	Around []string
	// Changes are drawn over what is there; nil = it is not about a change.
	Changes []Change
	// Notes are told below a page's picture.
	Notes []string
}

// State is what becomes of an arrow.
type State string

// The states. The zero State is an arrow that stays as it is.
const (
	Stays  State = ""
	Gained State = "gained"
	Lost   State = "lost"
)

// Change is access that is gained or lost along an arrow.
type Change struct {
	State     State
	From, To  string // names of ends, or words for what is none
	Direction string // "ingress": it is told at To; "egress": at From
	Services  []string
	Rules     []matrix.Rule
	Reason    string // beside the rules; "" = none
}

// MostGroups is how many groups one picture may have.
const MostGroups = 40

// ErrTooMany says that a picture would have too many groups.
type ErrTooMany struct{ Groups int }

func (e *ErrTooMany) Error() string {
	return fmt.Sprintf("%d groups are too many for one picture, which holds %d: draw one group "+
		"and what it has to do with, by --group NAME", e.Groups, MostGroups)
}

// box is a group or a network.
type box struct {
	name   string
	label  string // the name, short enough
	about  string // one line below the name
	whole  string // all of what is said of it
	kind   matrix.Kind
	rows   []row
	number int

	layer         int
	width, height float64
}

// row is one arrow in the box of the group whose rules it is.
type row struct {
	text  string
	whole string // with all services and rules, for who looks closer
	arrow int    // of scene.arrows; -1 = it goes nowhere
}

// arrow is what is drawn between two boxes, or from a box to itself.
type arrow struct {
	from, to  int // boxes
	owner     int // the box that has the row
	row       int
	direction string
	state     State
	lacks     string
	services  []string
	rules     []matrix.Rule
	reason    string
}

// scene is a picture as boxes and arrows.
type scene struct {
	boxes  []*box
	arrows []arrow
	byName map[string]int // boxes
}

// stage collects what a picture shows.
func (p Picture) stage() (*scene, error) {
	s := &scene{byName: map[string]int{}}
	p.addArrows(s)
	p.addChanges(s)
	for _, e := range p.Answer.Ends {
		if e.Kind == matrix.Group && p.isAround(e.Name) {
			s.box(p.Answer, e.Name)
		}
	}
	groups := 0
	for _, b := range s.boxes {
		if b.kind == matrix.Group {
			groups++
		}
	}
	if groups > MostGroups {
		return nil, &ErrTooMany{groups}
	}
	s.order(p.Answer)
	s.fillRows()
	return s, nil
}

// isAround says whether any of some ends is one that is drawn for its own sake.
func (p Picture) isAround(names ...string) bool {
	return len(p.Around) == 0 || slices.ContainsFunc(names,
		func(name string) bool { return slices.Contains(p.Around, name) })
}

func (p Picture) addArrows(s *scene) {
	for _, a := range p.Answer.Arrows {
		left := p.without(a)
		if !p.isAround(a.From, a.To) || len(left) == 0 {
			continue
		}
		s.add(p.Answer, arrow{direction: a.Direction, lacks: a.Lacks, services: left,
			rules: a.Rules}, a.From, a.To)
	}
}

// without returns the services of an arrow that are not told of as gained.
func (p Picture) without(a matrix.Arrow) []string {
	var gained []string
	for _, c := range p.Changes {
		if c.State == Gained && c.From == a.From && c.To == a.To && c.Direction == a.Direction {
			gained = append(gained, c.Services...)
		}
	}
	if slices.Contains(gained, "any") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a.Services),
		func(s string) bool { return slices.Contains(gained, s) })
}

func (p Picture) addChanges(s *scene) {
	for _, c := range p.Changes {
		if p.isAround(c.From, c.To) {
			s.add(p.Answer, arrow{direction: c.Direction, state: c.State, services: c.Services,
				rules: c.Rules, reason: c.Reason}, c.From, c.To)
		}
	}
}

func (s *scene) add(a *matrix.Answer, drawn arrow, from, to string) {
	drawn.from, drawn.to = s.box(a, from), s.box(a, to)
	if drawn.owner = drawn.to; drawn.direction == "egress" {
		drawn.owner = drawn.from
	}
	s.arrows = append(s.arrows, drawn)
}

// box returns the number of the box of a name.
func (s *scene) box(a *matrix.Answer, name string) int {
	if n, known := s.byName[name]; known {
		return n
	}
	b := &box{name: name, kind: matrix.Network, about: "", number: len(s.boxes)}
	for _, e := range a.Ends {
		if e.Name == name {
			b.kind, b.about = e.Kind, about(e)
		}
	}
	s.byName[name] = b.number
	s.boxes = append(s.boxes, b)
	return b.number
}

// about says in a line what an end is.
func about(e matrix.End) string {
	switch {
	case e.Kind == matrix.Network && e.Name == matrix.Outside:
		return "every address"
	case e.Kind == matrix.Network && len(e.Networks) == 1 &&
		(e.Name == e.Networks[0].String() || e.Name == e.Networks[0].Addr().String()):
		return ""
	case e.Kind == matrix.Network && len(e.Networks) == 1:
		return e.Networks[0].String()
	case e.Kind == matrix.Network:
		return wording.Count(len(e.Networks), "network")
	case e.Instances == 0:
		return "no instance"
	}
	text := wording.Count(e.Instances, "instance")
	if e.Egress != "" {
		text += ", egress " + string(e.Egress)
	}
	if e.Rules == 0 {
		text += ", no rules"
	}
	return text
}

// order puts the boxes in the order of the ends, and what is no end behind them.
func (s *scene) order(a *matrix.Answer) {
	at := map[string]int{}
	for n, e := range a.Ends {
		at[e.Name] = n - len(a.Ends)
	}
	sorted := slices.Clone(s.boxes)
	slices.SortStableFunc(sorted, func(b, c *box) int { return at[b.name] - at[c.name] })
	became := make([]int, len(sorted))
	for n, b := range sorted {
		became[b.number] = n
	}
	for n := range s.arrows {
		r := &s.arrows[n]
		r.from, r.to, r.owner = became[r.from], became[r.to], became[r.owner]
	}
	for n, b := range sorted {
		b.number, s.byName[b.name] = n, n
	}
	s.boxes = sorted
}
