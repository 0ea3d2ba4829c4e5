package flows

import (
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Compiler holds the program of one input and turns it into that of the next. A change costs what it touches, not what exists: the
// program is made of units (a port, a rule, a member's address ...), each of which knows its flows, and only those that a change
// touches are written again. The result is the same as if the last input were compiled alone.
//
// The zero Compiler is ready and has no flow. It must not be used by two goroutines at once.
type Compiler struct {
	input   Input
	index   *index // of input; nil = to be made anew
	program program
	hashes  hashes // without functions: those of [hashes.orDefault]

	capacity capacity
}

// Update makes the program that of an input, and returns what changed. After an error, which is one of [Compile], the program is still
// that of the last input.
func (c *Compiler) Update(in Input) (openflow.Delta, error) {
	if c.index == nil || !c.input.hasSurroundings(in) {
		return c.rebuild(in)
	}
	x := c.index
	c.index = nil // until it is certain that it agrees with the program
	x.update(c.input, in)
	delta, err := c.program.write(x)
	if err != nil {
		return openflow.Delta{}, err
	}
	c.input, c.index = in, x
	return delta, nil
}

// rebuild compiles an input alone.
func (c *Compiler) rebuild(in Input) (openflow.Delta, error) {
	c.index = nil
	x := newIndex(in, c.hashes.orDefault(), c.capacity.orDefault())
	var fresh program
	delta, err := fresh.write(x)
	if err != nil {
		return openflow.Delta{}, err
	}
	if c.program.at != nil {
		delta = fresh.since(&c.program)
	}
	c.input, c.index, c.program = in, x, fresh
	return delta, nil
}

// Len is the number of flows.
func (c *Compiler) Len() int { return len(c.program.at) }

// Mark returns the mark of the program.
func (c *Compiler) Mark() Mark { return c.program.mark }

// Program returns all of the program, sorted.
func (c *Compiler) Program() *Program {
	p := &Program{Flows: c.program.list(), Limits: c.Limits(), LeftOut: c.LeftOut()}
	slices.SortFunc(p.Flows, openflow.Compare)
	return p
}

// LeftOut returns what the program does without because it cannot be compiled, in the order in which the
// policy has it.
func (c *Compiler) LeftOut() []LeftOut {
	if c.index == nil {
		return nil
	}
	return c.index.out.list(c.input)
}

// Limits returns what the program needs beside its flows.
func (c *Compiler) Limits() Limits {
	if c.index == nil {
		return Limits{}
	}
	return c.index.limits()
}
