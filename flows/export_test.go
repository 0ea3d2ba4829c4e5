package flows

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Narrow is a compiler where little is too much, so that small worlds have what large ones have.
type Narrow struct {
	Bits    int // of the hashes: 0 = all flows have one, and all rules
	Clauses int // of one flow
	List    int // other actions of one flow, at least 2
	Pages   int // of one table, beside page 0
	Refuses int // one of so many flows, of nobody's one of four times as many; 0 = none
	Salt    int // which flows are refused
}

// NewNarrow returns a compiler. Its hashes are the highest numbers that there are, so that those
// which make room go past the end; from 48 bits on they are what they are.
func NewNarrow(n Narrow) *Compiler {
	c := &Compiler{capacity: capacity{clauses: n.Clauses, list: n.List, pages: n.Pages}}
	if n.Refuses > 0 {
		c.capacity.refuses = n.refuses
	}
	if n.Bits >= cookieBits {
		return c
	}
	few := func(hash uint64) uint64 { return hash & (1<<n.Bits - 1) }
	c.hashes = hashes{
		cookie: func(k openflow.Key) uint64 {
			return uint64(Owner+1)<<cookieBits - 1 - few(cookieHash(k))
		},
		rule: func(key string) uint32 { return ^uint32(few(uint64(ruleHash(key)))) },
	}
	return c
}

// refuses goes by the hash of a flow, so that it is the same flows however an input is reached.
// What is refused of nobody's fails the whole input, which most should not.
func (n Narrow) refuses(u unit, f openflow.Flow) error {
	one, whose := uint64(n.Refuses), "somebody's"
	if _, isNobodys := u.(*static); isNobodys {
		one, whose = one*4, "nobody's"
	}
	if xxhash.Sum64String(fmt.Sprint(n.Salt, f))%one == 0 {
		return fmt.Errorf("refused, %s: %s", whose, f)
	}
	return nil
}

// RuleIDsOf returns the ids of a policy's rules as [RuleIDs] does, by the hashes of a compiler.
func RuleIDsOf(c *Compiler, in Input) map[string]uint32 {
	return ruleIDs(in.Policy, c.hashes.orDefault().rule)
}

// RuleIDsIn returns the ids that a compiler has given to rules.
func RuleIDsIn(c *Compiler) map[string]uint32 {
	ids := map[string]uint32{}
	for id, r := range c.index.rules.at {
		ids[r.key] = uint32(id)
	}
	return ids
}

// IsSameIndex says whether two states of a compiler have one index, which is made anew only when
// everything is.
func IsSameIndex(before, after *Compiler) bool { return before.index == after.index }
