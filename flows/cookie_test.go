package flows

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Whatever the keys, and however short their hashes, their cookies are ours, no two are equal,
// and each key is found again, also after others have gone.
func FuzzCookies(f *testing.F) {
	f.Add("ip\nipv6\n\narp,reg1=0x1", uint8(48))
	f.Add("a\nb\nc\nd\ne\nf", uint8(1))
	f.Add("a\nb\nc\nd\ne\nf\ng\nh", uint8(0))
	f.Fuzz(func(t *testing.T, text string, bits uint8) {
		var p program
		tx := begin(&p, &index{hashes: NewNarrow(Narrow{Bits: int(bits % 49)}).hashes.orDefault()})
		var flows []ownedFlow
		for n, match := range strings.Split(text, "\n") {
			flows = append(flows, ownedFlow{openflow.Flow{Table: uint8(n), Priority: uint16(n / 7),
				Match: openflow.ParseMatch(match)}, &origin{}})
		}
		entries, _, err := tx.assert(flows)
		require.NoError(t, err)
		tx.retract(entries[:len(entries)/2])
		tx.commit()
		require.Len(t, p.at, len(entries)-len(entries)/2)
		for n, f := range flows {
			e := p.find(f.Key())
			if n < len(entries)/2 {
				require.Nil(t, e)
				continue
			}
			require.Same(t, entries[n], e)
			require.Same(t, e, p.at[e.Cookie])
			require.Equal(t, uint64(Owner), e.Cookie>>cookieBits)
		}
	})
}
