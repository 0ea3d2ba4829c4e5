package assertion

import (
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/flows/census"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Which claims hold, and of those that do not, why.

// Test is a claim, and where it is written.
type Test struct {
	Claim `json:"-"`
	Name  string          `json:"name,omitempty"`
	Text  string          `json:"text"` // as written
	At    policy.Position `json:"-"`
}

// Result is what became of a test.
type Result struct {
	Test
	Holds    bool      `json:"holds"`
	Findings []Finding `json:"findings,omitempty"` // why it does not hold
}

// Finding is one reason why a claim does not hold.
type Finding struct {
	What  string        `json:"what"` // in words
	Kinds []census.Kind `json:"kinds,omitempty"`
}

// Mistake is a test that cannot be asked about a policy.
type Mistake struct {
	At      policy.Position
	Message string
}

// Run asks a world about tests, in their order; only is as for [explain.Reader.Explain]. If a test
// names somebody who is not there, or is about too many, no test has a result: the mistakes are
// returned.
func Run(r explain.Reader, tests []Test, only ...string) ([]Result, []Mistake) {
	ends, mistakes := find(r, tests)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	x := runner{census.New(r, slices.Collect(maps.Values(ends)), only...), ends}
	out := make([]Result, 0, len(tests))
	for _, t := range tests {
		findings, err := x.ask(t.Claim)
		if err != nil {
			mistakes = append(mistakes, Mistake{t.At, err.Error()})
			continue
		}
		out = append(out, Result{t, len(findings) == 0, findings})
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return out, nil
}

// find finds all ends that tests name.
func find(r explain.Reader, tests []Test) (map[string]explain.End, []Mistake) {
	ends := map[string]explain.End{}
	var mistakes []Mistake
	for _, t := range tests {
		for _, name := range t.names() {
			if _, known := ends[name]; known {
				continue
			}
			end, err := r.FindEnd(name)
			if err != nil {
				mistakes = append(mistakes, Mistake{t.At, err.Error()})
				continue
			}
			ends[name] = end
		}
	}
	return ends, mistakes
}

// names returns the ends that a claim names.
func (c Claim) names() []string {
	out := []string{c.From, c.To}
	for _, e := range c.List {
		out = append(out, e.Who)
	}
	return slices.DeleteFunc(out, func(name string) bool { return name == "" })
}

// runner is a world that is asked.
type runner struct {
	*census.Census
	ends map[string]explain.End
}

// ask returns why a claim does not hold; nothing = it holds.
func (x runner) ask(c Claim) ([]Finding, error) {
	if c.IsList {
		return x.list(c)
	}
	return x.pair(c.From, c.To, c.Service, c.Expected, c.Family)
}

// pair asks whether a verdict holds for each pair of addresses.
func (x runner) pair(from, to string, s explain.Asked, expected explain.Outcome,
	family Family) ([]Finding, error) {
	a, err := x.Ask(x.ends[from], x.ends[to], s)
	if err != nil {
		return nil, err
	}
	var out []Finding
	asked, others := 0, []explain.Outcome{}
	for _, v6 := range []bool{false, true} {
		counts := a.Of(v6)
		if !family.has(v6) || counts.All() == 0 {
			continue
		}
		asked += counts.All()
		for v, n := range map[explain.Outcome]int{explain.Admitted: counts.Admitted,
			explain.Partly: counts.Partly, explain.Denied: counts.Denied} {
			if v != expected && n > 0 && !slices.Contains(others, v) {
				others = append(others, v)
			}
		}
	}
	switch {
	case asked == 0:
		return []Finding{{What: x.none(a, family)}}, nil
	case len(others) == 0:
		return nil, nil
	}
	kinds, err := x.Explain(x.ends[from], x.ends[to], s, others...)
	kinds = slices.DeleteFunc(kinds, func(k census.Kind) bool { return !family.has(k.Family == "IPv6") })
	what := fmt.Sprintf("%s → %s %s is not %s", from, to, s, expected)
	if n := count(kinds); n < asked {
		what += fmt.Sprintf(" for %d of %d pairs of addresses", n, asked)
	}
	return append(out, Finding{what, kinds}), err
}

func count(kinds []census.Kind) (n int) {
	for _, k := range kinds {
		n += k.Pairs
	}
	return n
}

// none says that a claim is about no packet.
func (x runner) none(a *census.Answer, family Family) string {
	switch {
	case a.Reason != "":
		return "it is about no packet: " + a.Reason
	case family == IPv6:
		return "it is about no packet: there is no pair of IPv6 addresses"
	}
	return "it is about no packet: there is no pair of IPv4 addresses"
}

// list asks whether what passes is what is listed.
func (x runner) list(c Claim) ([]Finding, error) {
	at, d := c.To, policy.Ingress
	if c.To == "" {
		at, d = c.From, policy.Egress
	}
	if !x.IsSomebody(x.ends[at]) {
		return []Finding{{What: "it is about no packet: " + at + " has no address"}}, nil
	}
	entries := make([]census.Entry, 0, len(c.List))
	for _, e := range c.List {
		entries = append(entries, census.Entry{Who: x.ends[e.Who], Service: e.Service})
	}
	kinds, err := x.Others(x.ends[at], d, entries, [2]bool{c.Family.has(false), c.Family.has(true)})
	if err != nil {
		return nil, err
	}
	var out []Finding
	if len(kinds) > 0 {
		out = append(out, Finding{"admitted, but not in the list:", kinds})
	}
	for _, e := range c.List {
		from, to := e.Who, at
		if d == policy.Egress {
			from, to = at, e.Who
		}
		more, err := x.pair(from, to, e.Service, explain.Admitted, c.Family)
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			f.What = "in the list, but " + f.What
			out = append(out, f)
		}
	}
	return out, nil
}
