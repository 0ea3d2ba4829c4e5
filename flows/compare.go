package flows

import (
	"iter"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Difference is what tells the flows of a switch from a program.
type Difference struct {
	Held    int             // flows that the switch holds
	Mark    Mark            // of these
	Foreign []openflow.Flow // held, and no flow of the program has the key
	Altered []Altered       // held in another form
	Missing []openflow.Flow // of the program
}

// Altered is a flow that the switch holds in another form than the program.
type Altered struct{ Held, Want openflow.Flow }

// Delta is what turns the flows of the switch into the program.
func (d Difference) Delta() openflow.Delta {
	out := openflow.Delta{Delete: d.Foreign, Add: slices.Clone(d.Missing)}
	for _, a := range d.Altered {
		out.Add, out.Replaced = append(out.Add, a.Want), append(out.Replaced, a.Held)
	}
	out.Sort()
	return out
}

// Compare reads the flows that a switch holds, in any order, and says how they differ from the program. It keeps those that differ only.
// The error is that of the flows.
func (c *Compiler) Compare(held iter.Seq2[openflow.Flow, error]) (Difference, error) {
	p := &c.program
	p.looks++
	var d Difference
	met := 0
	for f, err := range held {
		if err != nil {
			return Difference{}, err
		}
		d.Held++
		d.Mark = d.Mark.with(f)
		e := p.find(f.Key())
		if e == nil {
			d.Foreign = append(d.Foreign, f)
			continue
		}
		if e.seen != p.looks {
			e.seen = p.looks
			met++
		}
		if e.Flow != f {
			d.Altered = append(d.Altered, Altered{Held: f, Want: e.Flow})
		}
	}
	if met < len(p.at) {
		for _, e := range p.at {
			if e.seen != p.looks {
				d.Missing = append(d.Missing, e.Flow)
			}
		}
	}
	d.sort()
	return d, nil
}

func (d Difference) sort() {
	slices.SortFunc(d.Foreign, openflow.Compare)
	slices.SortFunc(d.Missing, openflow.Compare)
	slices.SortFunc(d.Altered, func(a, b Altered) int { return openflow.Compare(a.Held, b.Held) })
}
