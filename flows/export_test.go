package flows

// NewColliding returns a compiler whose hashes have so many bits: 0 = all have one. They are the
// highest numbers that there are, so that those which make room go past the end.
func NewColliding(bits int) *Compiler {
	few := func(hash uint64) uint64 { return 1<<bits - 1 - hash&(1<<bits-1) }
	return &Compiler{hashes: hashes{
		cookie: func(k Key) uint64 { return uint64(Owner)<<cookieBits | (1<<cookieBits - 1 - few(cookieHash(k))) },
		rule:   func(key string) uint32 { return 1<<32 - 1 - uint32(few(uint64(ruleHash(key)))) },
	}}
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
func IsSameIndex(before, after Compiler) bool { return before.index == after.index }
