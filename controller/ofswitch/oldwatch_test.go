package ofswitch

import (
	"context"
	"encoding/binary"
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// oldMessage is a message of OpenFlow 1.0 with the head of Nicira's extension.
func oldMessage(kind byte, xid uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{version10, kind, 0, 0}, xid)
	if kind == typeStatsReply10 {
		b = append(b, 0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20, 0, 0, 0, 2, 0, 0, 0, 0)
	} else {
		b = append(b, 0, 0, 0x23, 0x20, 0, 0, 0)
	}
	return openflow.PutLength(append(b, body...), 0)
}

// oldUpdate is struct nx_flow_update_full.
func oldUpdate(event, table byte, cookie uint64) []byte {
	b := []byte{0, 24, 0, event, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, table, 0}
	return binary.BigEndian.AppendUint64(b, cookie)
}

// tellingOld is a switch before 3.0: it refuses to be watched as OpenFlow 1.5 has it, in its own
// way; it answers a request by Nicira's monitor, tells some more, and ends the conversation.
func tellingOld(t *testing.T, more ...[]byte) *recorder {
	return newRecorder(t, func(conn net.Conn, m []byte) bool {
		switch {
		case m[1] != typeMultipartRequest:
			return false
		case len(m) > len(oldRequest()):
			_, _ = conn.Write(vendorRefusal())
		default:
			_, _ = conn.Write(updates(binary.BigEndian.Uint32(m[4:])))
			for _, each := range more {
				_, _ = conn.Write(each)
			}
			_ = conn.Close()
		}
		return true
	})
}

func oldRequest() []byte { return appendOldMonitor(nil, 2) }

// vendorRefusal is what Open vSwitch 2.15 says of the flow monitor of OpenFlow 1.5: in an older
// version, without the number of the message, NXVC_VENDOR_ERROR, and behind it OFPMOFC_BAD_FLAGS.
func vendorRefusal() []byte {
	return []byte{version10, typeError, 0, 24, 0, 0, 0, 0, 0xb0, 0xc2, 0, 0, 0, 0, 0x23, 0x20, 0, 1,
		2, 6, 0, 1, 0, 4}
}

func TestWatchTellsEachChangeOfAnOldSwitch(t *testing.T) {
	r := tellingOld(t, oldMessage(typeStatsReply10, 0, append(oldUpdate(0, 40, 5),
		oldUpdate(1, 254, 1<<63)...)...), oldMessage(typeVendor10, 0, monitorPaused),
		oldMessage(typeVendor10, 0, 99), oldMessage(typeVendor10, 0, monitorResumed),
		oldMessage(typeStatsReply10, 0, append(oldUpdate(2, 7, 6), 0, 8, 0, 3, 0, 0, 0, 0)...))
	begun, told := 0, []Change{}
	err := Watch(within(t), r.target, func() { begun++ }, func(c Change) {
		require.Equal(t, 1, begun)
		told = append(told, c)
	})
	require.ErrorIs(t, err, errGone)
	require.Equal(t, []Change{{Added, 40, 5}, {Removed, 254, 1 << 63}, {Event: Paused},
		{Event: Resumed}, {Modified, 7, 6}, {Event: Brief}}, told)
}

func TestWatchRefusesWhatAnOldSwitchDoesNotTell(t *testing.T) {
	for name, m := range map[string][]byte{
		"half a head":   oldMessage(typeStatsReply10, 0)[:20],
		"half a flow":   oldMessage(typeStatsReply10, 0, oldUpdate(0, 1, 1)[:20]...),
		"one byte over": oldMessage(typeStatsReply10, 0, append(oldUpdate(2, 1, 1), 0)...),
	} {
		m = openflow.PutLength(m, 0)
		require.ErrorIs(t, Watch(within(t), tellingOld(t, m).target, func() {}, func(Change) {}),
			errUpdate, name)
	}
}

// A switch that knows neither way is told of by what it said at last.
func TestSwitchThatCannotBeWatched(t *testing.T) {
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeMultipartRequest {
			_, _ = conn.Write(vendorRefusal())
			return true
		}
		return false
	})
	err := Watch(within(t), r.target, func() { t.Error("not begun") }, nil)
	require.Regexp(t, `error 1\.518 of vendor 0x2320\b`, err)
}

// We ask for what ovs-ofctl asks for by OpenFlow 1.0, but that it wants its own changes told in
// full, too.
func TestOldWatchIsWhatOvsOfctlSends(t *testing.T) {
	sandbox.Require(t)
	asked := make(chan []byte, 1)
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		const statsRequest = 16
		switch m[1] {
		case typeHello:
			_, _ = conn.Write([]byte{version10, typeHello, 0, 8, 0, 0, 0, 1})
		case statsRequest:
			asked <- append([]byte(nil), m[headerSize+statsSize:]...)
			_ = conn.Close()
		default:
			return false
		}
		return true
	})
	require.Error(t, exec.Command("ovs-ofctl", "-O", "OpenFlow10", "--no-names", "--unixctl=none",
		"monitor", r.target, "watch:!initial,!actions").Run())
	theirs := <-asked
	const flags, own = 5, 1 << 5
	theirs[flags] &^= own
	require.Equal(t, theirs, oldRequest()[headerSize+multipartSize:])
}

// Whatever release is here, what is changed is heard from the beginning on: on one before 3.0 by
// Nicira's flow monitor.
func TestWatchHearsARealSwitch(t *testing.T) {
	vs := sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
	vs.Vsctl("add-br", "br", "--", "set", "Bridge", "br", "datapath_type=dummy",
		"fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15")
	ctx, cancel := context.WithCancel(within(t))
	told := []Change{}
	err := Watch(ctx, vs.Mgmt("br"), func() {
		go func() {
			vs.Ofctl("add-flow", "br", "table=40,cookie=5,ct_state=+trk,ip,actions=drop")
			vs.Ofctl("mod-flows", "br", "table=40,actions=resubmit(,41)")
			vs.Ofctl("del-flows", "br", "table=40")
		}()
	}, func(c Change) {
		if told = append(told, c); len(told) == 3 {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []Change{{Added, 40, 5}, {Modified, 40, 5}, {Removed, 40, 5}}, told)
}
