package matrix

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The values of a matrix, and how it is asked for.

// Kind says what an end is.
type Kind string

// The kinds of ends.
const (
	Group    Kind = "group"
	Instance Kind = "instance"
	Network  Kind = "network" // addresses that are no instance's
)

// Outside is the name of the end that is every address which is no instance's.
const Outside = "outside"

// NoGroup is the name of the end that is the instances which are in no group.
const NoGroup = "(no group)"

// MostCells is how many pairs of instances one answer may have.
const MostCells = 1_000_000

// Matrix says who reaches whom.
type Matrix struct {
	Ends []End `json:"ends"`
	// Cells are those in which anything passes, by From, then by To.
	Cells []Cell `json:"cells"`

	whole []End // of a part: all ends of the policy
}

// all are the ends of the policy.
func (m *Matrix) all() []End {
	if m.whole != nil {
		return m.whole
	}
	return m.Ends
}

// End is a row, a column, or both.
type End struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Instances are the members of a group.
	Instances int `json:"instances,omitempty"`
	// Addresses are how many each family has of the instances, which are not networks: a network
	// that a port owns counts as its first address.
	Addresses Counts `json:"addresses,omitzero"`
	// Rules are those of a group, or of the groups of an instance.
	Rules int `json:"rules,omitempty"`
	// Networks are those that a network is, beside instances.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// Groups are those whose rules are asked: of an instance its own, of a group itself and those
	// that all of its members are in.
	Groups []string `json:"groups,omitempty"`
	// Egress is that of the instances.
	Egress Openness `json:"egress,omitempty"`
}

// Counts are numbers of each family.
type Counts struct {
	IPv4 int `json:"ipv4"`
	IPv6 int `json:"ipv6"`
}

// Openness says whether rules are asked about the egress of instances.
type Openness string

// Egress is open where no group of an instance has an egress rule, and for trusted ports.
const (
	Open      Openness = "open"
	Closed    Openness = "closed"
	PartyOpen Openness = "open of some"
)

// Cell says what passes from one end to another.
type Cell struct {
	From int `json:"from"` // of Matrix.Ends
	To   int `json:"to"`
	// IPv4 and IPv6 pass from every address of the one to every address of the other.
	IPv4 explain.Services `json:"ipv4"`
	IPv6 explain.Services `json:"ipv6"`
	// Some4 and Some6 pass between at least one address and another.
	Some4 explain.Services `json:"ipv4_of_some"`
	Some6 explain.Services `json:"ipv6_of_some"`
}

// Question says which matrix is asked for. The zero Question is about all groups.
type Question struct {
	Instances bool // instances rather than groups
	// From and To are ends: only this group, or its instances, or this network; "" = all.
	From, To string
	Around   string // only what this end has to do with; "" = all
	// Services are all that is asked about, of each family; nil = any.
	Services *[2]explain.Services
}

// ErrUnknown says that a question names a group or a network that is not there.
type ErrUnknown struct{ Name, Hint string }

func (e *ErrUnknown) Error() string {
	return "there is no group and no network " + wording.Quote(e.Name) + e.Hint
}

// ErrTooMany says that instances were asked about that have too many pairs.
type ErrTooMany struct{ From, To int }

func (e *ErrTooMany) Error() string {
	return fmt.Sprintf("%d x %d instances are too many for one matrix, which holds %d pairs: "+
		"narrow it with --from GROUP, --to GROUP, or both; or ask about groups", e.From, e.To,
		MostCells)
}

// ErrLarge says that a part was asked for that has too many pairs.
type ErrLarge struct{ From, To int }

func (e *ErrLarge) Error() string {
	return fmt.Sprintf("%d x %d ends are too many for one part of a matrix, which holds %d pairs: "+
		"ask for fewer of them at once", e.From, e.To, MostPart)
}

// Of answers a question about a policy. The error is an [*ErrUnknown] or an [*ErrTooMany].
func Of(p *policy.Policy, q Question) (*Matrix, error) {
	w := newWorld(p)
	if err := w.choose(q); err != nil {
		return nil, err
	}
	for _, name := range []string{q.From, q.To, q.Around} {
		if err := w.known(name); err != nil {
			return nil, err
		}
	}
	w.touch()
	m := &Matrix{Cells: []Cell{}}
	for n := range w.ends {
		m.Ends = append(m.Ends, w.ends[n].End)
	}
	for to := range w.ends {
		for _, c := range w.column(to) {
			if c = c.narrow(q.Services); len(c.Some4)+len(c.Some6) > 0 &&
				q.isAround(m.Ends[c.From].Name, m.Ends[c.To].Name) {
				m.Cells = append(m.Cells, c)
			}
		}
	}
	slices.SortFunc(m.Cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return m, nil
}

// known says what is wrong with a name that is asked about.
func (w *world) known(name string) error {
	var names []string
	for _, g := range w.policy.Groups {
		names = append(names, g.Name)
	}
	for _, e := range w.ends {
		if e.Kind != Instance {
			names = append(names, e.Name)
		}
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	return &ErrUnknown{name, wording.DidYouMean(name, names)}
}

// isAround says whether one of two ends is what was asked about.
func (q Question) isAround(from, to string) bool {
	return q.Around == "" || q.Around == from || q.Around == to
}

// narrow leaves what was asked about.
func (c Cell) narrow(asked *[2]explain.Services) Cell {
	if asked != nil {
		c.IPv4, c.Some4 = intersect(c.IPv4, asked[0]), intersect(c.Some4, asked[0])
		c.IPv6, c.Some6 = intersect(c.IPv6, asked[1]), intersect(c.Some6, asked[1])
	}
	return c
}

// Cell returns what passes from one end to another, by their numbers; a cell of nothing if nothing
// does.
func (m *Matrix) Cell(from, to int) Cell {
	n, found := slices.BinarySearchFunc(m.Cells, Cell{From: from, To: to}, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	if !found {
		return Cell{From: from, To: to}
	}
	return m.Cells[n]
}
