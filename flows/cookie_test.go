package flows

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the keys, their cookies are ours and no two are equal, also where another key has the same hash.
func FuzzCookies(f *testing.F) {
	f.Add("ip\nipv6\n\narp,reg1=0x1", uint64(0))
	f.Add("a\nb\nc\nd\ne\nf", uint64(1<<48-1))
	f.Fuzz(func(t *testing.T, text string, first uint64) {
		taken, seen := map[uint64]bool{}, map[uint64]bool{}
		for n := range uint64(3) { // the next free one goes round at the end of the 48 bits
			taken[(first+n)&(1<<48-1)] = true
		}
		lines := strings.Split(text, "\n")
		for n, match := range lines {
			k := Key{Table: uint8(n), Priority: uint16(n / 7), Match: match}
			h := cookie(k, map[uint64]bool{}) & (1<<48 - 1)
			taken[h] = true // as if another key had this hash
			c := cookie(k, taken)
			require.Equal(t, uint64(Owner), c>>48)
			require.NotEqual(t, h, c&(1<<48-1))
			require.False(t, seen[c])
			seen[c] = true
		}
	})
}
