package flows_test

import (
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
)

// drawNarrow draws how little is too much: how few bits the hashes have, and how few clauses and
// outputs go into one flow. Some compilers are as they are.
func drawNarrow(t *rapid.T) flows.Narrow {
	return flows.Narrow{Bits: rapid.SampledFrom([]int{0, 1, 3, 6, 48, 48}).Draw(t,
		"bits of the hashes"), Pages: 1000,
		Clauses: rapid.SampledFrom([]int{1, 1, 2, 4000}).Draw(t, "clauses"),
		List:    rapid.SampledFrom([]int{2, 3, 4000}).Draw(t, "outputs")}
}

// compileNarrow compiles so.
func compileNarrow(t *rapid.T, n flows.Narrow, in flows.Input) *flows.Program {
	c := flows.NewNarrow(n)
	if _, err := c.Update(in); err != nil {
		t.Fatal(err)
	}
	p := c.Program()
	if len(p.LeftOut) > 0 {
		t.Fatal(p.LeftOut)
	}
	return p
}
