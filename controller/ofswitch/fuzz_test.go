package ofswitch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a text says: an error, or flows of our tables, at most one for each line.
func FuzzReadDump(f *testing.F) {
	f.Add(" cookie=0x1, priority=1 actions=drop\n table=200, actions=drop\n table=40, ip " +
		"actions=drop")
	f.Add("OFPST_FLOW reply (OF1.5) (xid=0x2):\n cookie=0x5043000000000001, table=41, " +
		"priority=0 actions=output:2\n")
	f.Add(" priority=100,in_port=1,vlan_tci=0x0000/0x1fff actions=resubmit(,10)\n\n")
	f.Add(" cookie=0x5, table=10, idle_timeout=1, priority=1 actions=a actions=b\r\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		held, err := ReadDump(strings.NewReader(text))
		if err != nil {
			require.Nil(t, held)
			return
		}
		require.LessOrEqual(t, len(held), strings.Count(text, "\n")+1)
		for _, f := range held {
			require.True(t, New(Options{}).tables[f.Table])
			require.NotEmpty(t, f.Actions.String())
		}
	})
}
