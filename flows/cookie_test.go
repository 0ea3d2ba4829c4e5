package flows

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the keys, their cookies are ours and no two are equal; where two keys have one hash, that is said.
func FuzzCookies(f *testing.F) {
	f.Add("ip\nipv6\n\narp,reg1=0x1", uint64(0))
	f.Add("a\nb\nc\nd\ne\nf", uint64(1))
	f.Fuzz(func(t *testing.T, text string, salt uint64) {
		tx := transaction{program: &program{flows: map[uint64]*entry{}, salt: salt}, before: map[uint64]entry{}}
		var flows []Flow
		for n, match := range strings.Split(text, "\n") {
			flows = append(flows, Flow{Table: uint8(n), Priority: uint16(n / 7), Match: match})
		}
		cookies, err := tx.assert(flows)
		if err != nil {
			require.ErrorIs(t, err, errSameCookie)
			return
		}
		seen := map[uint64]Key{}
		for n, c := range cookies {
			require.Equal(t, uint64(Owner), c>>48)
			other, twice := seen[c]
			require.True(t, !twice || other == flows[n].Key())
			seen[c] = flows[n].Key()
			require.Equal(t, flows[n].Key(), tx.flows[c].Key())
		}
	})
}
