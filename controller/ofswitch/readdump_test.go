package ofswitch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

func TestReadDump(t *testing.T) {
	want := []openflow.Flow{{Table: 0, Priority: 100,
		Match:   openflow.ParseMatch("in_port=1,vlan_tci=0x0000/0x1fff"),
		Actions: openflow.ParseActions("resubmit(,10)"), Cookie: 0x5043},
		{Table: 52, Priority: 0, Actions: openflow.ParseActions("drop"), Cookie: 0x5044}}
	got, err := ReadDump(strings.NewReader(`OFPST_FLOW reply (OF1.5) (xid=0x2):
# meter=1
 cookie=0x5043, duration=12.3s, table=0, n_packets=5, n_bytes=70, idle_age=1, priority=100,in_port=1,vlan_tci=0x0000/0x1fff actions=resubmit(,10)

cookie=0x5044, table=52, priority=0 actions=drop
cookie=0x1, table=200, priority=0 actions=drop
`))
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = ReadDump(strings.NewReader("cookie=0x5044, table=52, priority=0 " +
		"actions=drop\nnonsense\n"))
	require.ErrorContains(t, err, `line 2: a line without actions: "nonsense"`)
	_, err = ReadDump(strings.NewReader("groups: []\n"))
	require.Error(t, err)
}
