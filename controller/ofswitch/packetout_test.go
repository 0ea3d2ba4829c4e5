package ofswitch

import (
	"encoding/hex"
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

var somePackets = []Packet{
	{InPort: 5, Actions: openflow.ParseActions("resubmit(,43)"),
		Frame: []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5 from a port")},
	{Actions: openflow.ParseActions("set_field:0x10/0x30->reg0,output:7"),
		Frame: []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5 from no port")},
}

// packetOuts returns the packet-outs of the last conversation, without their numbers.
func (r *recorder) packetOuts() []string {
	var out []string
	for _, m := range r.await() {
		if m[1] == typePacketOut {
			out = append(out, hex.EncodeToString(append(append([]byte(nil), m[:4]...), m[8:]...)))
		}
	}
	return out
}

// We have packets sent as ovs-ofctl does.
func TestPacketsAreWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	r := newRecorder(t, nil)
	require.NoError(t, SendPackets(within(t), r.target, somePackets))
	require.Equal(t, []int{typeHello, typePacketOut, typeBarrier}, r.kinds())
	ours := r.packetOuts()
	require.Len(t, ours, 2)
	for i, p := range somePackets {
		port := "CONTROLLER"
		if p.InPort != 0 {
			port = fmt.Sprint(p.InPort)
		}
		text := fmt.Sprintf("in_port=%s,packet=%x,actions=%s", port, p.Frame, p.Actions)
		out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "packet-out",
			r.target, text).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, r.packetOuts(), ours[i:i+1])
	}
}

func TestPacketsThatAreRefused(t *testing.T) {
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typePacketOut {
			_, _ = conn.Write(refusal(m))
		}
		return false
	})
	requireRefused(t, 5, 9, SendPackets(within(t), r.target, somePackets))
	require.ErrorContains(t, SendPackets(within(t), r.target,
		[]Packet{{Actions: openflow.ParseActions("flood")}}), "flood")
	require.ErrorContains(t, SendPackets(within(t), "unix:"+t.TempDir()+"/none", somePackets),
		"no such file")
}
