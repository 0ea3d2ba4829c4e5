package flowtest

import (
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/flows/openflow"
)

// parse reads flows into rules by table; what is known already, by its flow, is copied. Its error
// joins one for every flow that is refused.
func (g grammar) parse(fs []openflow.Flow, known map[openflow.Flow]*rule) (map[uint8][]*rule,
	error) {
	byTable := map[uint8][]*rule{}
	var errs []error
	for _, f := range fs {
		r, err := known[f].copy(), error(nil)
		if r == nil {
			r, err = g.parseFlow(f)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("flow %s: %w", f, err))
			continue
		}
		byTable[f.Table] = append(byTable[f.Table], r)
	}
	return byTable, errors.Join(errs...)
}

func (g grammar) parseFlow(f openflow.Flow) (*rule, error) {
	if f.Table > maxTable {
		return nil, fmt.Errorf("tables are 0 to %d", maxTable)
	}
	m, err := g.parseMatch(f.Match.String())
	if err != nil {
		return nil, err
	}
	as, err := g.parseActions(f.Actions.String(), &m)
	if err != nil {
		return nil, err
	}
	r := &rule{flow: f, text: f.String(), match: m, tests: m.tests(), actions: as}
	for _, a := range as {
		if c, ok := a.(clause); ok {
			r.clauses = append(r.clauses, c)
		}
	}
	return r, nil
}

// maxTable is the last table of a bridge; 254 is Open vSwitch's own.
const maxTable = 253

// checkSizes refuses a conjunction of one table and priority whose clauses disagree on how many
// they are: which of them counts depends on the hash tables of Open vSwitch.
func checkSizes(rules []*rule) error {
	type key struct {
		id       uint32
		priority uint16
	}
	sizes := map[key]int{}
	for _, r := range rules {
		for _, c := range r.clauses {
			k := key{c.id, r.flow.Priority}
			if n, ok := sizes[k]; ok && n != c.n {
				return fmt.Errorf("conjunction %d has clauses of %d and of %d", c.id, n, c.n)
			}
			sizes[k] = c.n
		}
	}
	return nil
}
