package ofswitch

import (
	"encoding/binary"
	"net"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// We set fragments as ovs-ofctl does, but that it has itself shown as much of a packet as before.
func TestFragmentsAreWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	const typeGetConfig, typeConfig = 7, 8
	set := make(chan []byte, 2)
	var config atomic.Uint32
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		switch m[1] {
		case typeGetConfig:
			reply := openflow.AppendHeader(nil, typeConfig, binary.BigEndian.Uint32(m[4:]))
			_, _ = conn.Write(openflow.PutLength(binary.BigEndian.AppendUint32(reply,
				config.Load()), 0))
		case typeSetConfig:
			config.Store(binary.BigEndian.Uint32(m[8:]))
			set <- append(append([]byte(nil), m[:4]...), m[8:]...)
		}
		return m[1] == typeGetConfig
	})
	require.NoError(t, SetFragments(within(t), r.target, MatchFragments))
	require.Equal(t, []int{typeHello, typeSetConfig, typeBarrier}, r.kinds())
	config.Store(0)
	out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", "set-frags", r.target,
		"nx-match").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, <-set, <-set)
}

func TestFragmentsThatAreRefused(t *testing.T) {
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeSetConfig {
			_, _ = conn.Write(refusal(m))
		}
		return false
	})
	requireRefused(t, 5, 9, SetFragments(within(t), r.target, MatchFragments))
	require.ErrorContains(t, SetFragments(within(t), "unix:"+t.TempDir()+"/none", MatchFragments),
		"no such file")
}
