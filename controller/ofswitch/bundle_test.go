package ofswitch

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/openflow"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

var two = openflow.Delta{Delete: []openflow.Flow{{Table: 1, Match: openflow.ParseMatch("ip")}},
	Add: []openflow.Flow{{Table: 2, Actions: openflow.ParseActions("drop")}}}

// isControl says whether a message is this control of a bundle.
func isControl(m []byte, control uint16) bool {
	return m[1] == typeBundleControl && binary.BigEndian.Uint16(m[12:]) == control
}

// refusal is an error message about a message.
func refusal(m []byte) []byte {
	at := openflow.AppendHeader(nil, typeError, binary.BigEndian.Uint32(m[4:]))
	return openflow.PutLength(append(append(at, 0, 5, 0, 9), m...), 0)
}

func requireRefused(t *testing.T, kind, code uint16, err error) {
	t.Helper()
	refused := new(RefusedError)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, []uint16{kind, code}, []uint16{refused.Type, refused.Code})
}

func TestConversation(t *testing.T) {
	r := newRecorder(t, nil)
	require.NoError(t, Send(within(t), r.target, two))
	require.Equal(t, []int{typeHello, typeBundleControl, typeBundleAdd, typeBarrier,
		typeBundleControl}, r.kinds())
	require.Len(t, r.mods(), 2)
	require.NoError(t, Send(within(t), r.target, openflow.Delta{}))
	require.Empty(t, r.mods())
}

// A bundle of which the switch refuses anything is never committed.
func TestRefusedBundleIsNotCommitted(t *testing.T) {
	var n atomic.Int32
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] != typeBundleAdd || n.Add(1)%2 == 1 {
			return false
		}
		_, _ = conn.Write(refusal(m))
		return true
	})
	err := Send(within(t), r.target, two)
	requireRefused(t, 5, 9, err)
	require.ErrorContains(t, err, "error 5.9")
	require.NotErrorIs(t, err, ErrUncertain)
	for _, m := range r.await() {
		require.False(t, isControl(m, commitRequest))
	}
}

// However much a switch has to say against us, it and we do not wait for each other.
func TestManyRefusals(t *testing.T) {
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeBundleAdd {
			_, _ = conn.Write(refusal(m))
		}
		return false
	})
	many := openflow.Delta{Add: make([]openflow.Flow, 20_000)}
	for i := range many.Add {
		many.Add[i] = openflow.Flow{Table: 3, Match: openflow.ParseMatch(fmt.Sprintf("reg1=0x%x",
			i+1)), Actions: openflow.ParseActions("drop")}
	}
	requireRefused(t, 5, 9, Send(within(t), r.target, many))
}

// A commit that is refused has changed nothing; one that is not answered may have.
func TestCommitThatIsNotAcknowledged(t *testing.T) {
	for name, c := range map[string]struct {
		answer    func(net.Conn, []byte) bool
		uncertain bool
		says      string
	}{
		"refused": {answer: func(conn net.Conn, m []byte) bool {
			if isControl(m, commitRequest) {
				_, _ = conn.Write(refusal(m))
				return true
			}
			return false
		}, says: "error 5.9"},
		"gone before": {answer: func(conn net.Conn, m []byte) bool {
			if m[1] == typeBarrier {
				_ = conn.Close()
			}
			return false
		}, says: "ended the conversation"},
		"gone after": {answer: func(conn net.Conn, m []byte) bool {
			if isControl(m, commitRequest) {
				_ = conn.Close()
			}
			return false
		}, uncertain: true, says: "ended the conversation"},
		"another control": {answer: func(conn net.Conn, m []byte) bool {
			if isControl(m, commitRequest) {
				_, _ = conn.Write(appendControl(nil, 9, 3)) // closed, which nobody asked for
				_ = conn.Close()
			}
			return false
		}, uncertain: true, says: "ended the conversation"},
		"half an answer": {answer: func(conn net.Conn, m []byte) bool {
			if isControl(m, commitRequest) {
				_, _ = conn.Write(appendControl(nil, 9, commitReply)[:12])
				_ = conn.Close()
			}
			return false
		}, uncertain: true, says: "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Send(within(t), newRecorder(t, c.answer).target, two)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.uncertain, strings.Contains(err.Error(), ErrUncertain.Error()))
			if c.uncertain {
				require.ErrorIs(t, err, ErrUncertain)
			}
		})
	}
}

// A switch that says nothing is waited for until the context ends.
func TestSilentSwitch(t *testing.T) {
	for name, silent := range map[string]func([]byte) bool{
		"before the commit": func(m []byte) bool { return m[1] == typeBarrier },
		"after the commit":  func(m []byte) bool { return isControl(m, commitRequest) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			r := newRecorder(t, func(_ net.Conn, m []byte) bool {
				if silent(m) {
					cancel()
				}
				return silent(m)
			})
			err := Send(ctx, r.target, two)
			require.ErrorIs(t, err, context.Canceled)
			if name == "after the commit" {
				require.ErrorIs(t, err, ErrUncertain)
			} else {
				require.NotErrorIs(t, err, ErrUncertain)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, Send(ctx, newRecorder(t, nil).target, two), context.Canceled)
}

// A switch that stops reading does not hold us longer than the context.
func TestSwitchThatDoesNotRead(t *testing.T) {
	path := t.TempDir() + "/switch"
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	many := openflow.Delta{Add: make([]openflow.Flow, 50_000)}
	for i := range many.Add {
		many.Add[i] = openflow.Flow{Actions: openflow.ParseActions("drop")}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err = Send(ctx, "unix:"+path, many)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, ErrUncertain)
}

func TestEchoIsAnswered(t *testing.T) {
	echoed := make(chan []byte, 1)
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		switch m[1] {
		case typeBarrier: // before it is answered
			_, _ = conn.Write(openflow.PutLength(append(openflow.AppendHeader(nil, typeEchoRequest,
				77), "are you there?"...), 0))
		case typeEchoReply:
			echoed <- m
		}
		return false
	})
	// The answer is written by the time the barrier's is read; it may be read by the switch only
	// later.
	require.NoError(t, Send(within(t), r.target, two))
	select {
	case m := <-echoed:
		require.Equal(t, openflow.PutLength(append(openflow.AppendHeader(nil, typeEchoReply, 77),
			"are you there?"...), 0), m)
	case <-time.After(2 * time.Minute):
		t.Fatal("not answered")
	}
}

func TestOtherVersion(t *testing.T) {
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		if m[1] == typeHello {
			_, _ = conn.Write([]byte{4, typeHello, 0, 8, 0, 0, 0, 1})
		}
		return m[1] != typeBarrier
	})
	require.ErrorIs(t, Send(within(t), r.target, two), errProtocol)
	for kind := range 2 {
		r := newRecorder(t, func(conn net.Conn, m []byte) bool {
			if m[1] == typeHello {
				_, _ = conn.Write(openflow.PutLength(append(openflow.AppendHeader(nil, typeError,
					1), 0, byte(kind), 0, 9), 0))
			}
			return m[1] == typeBarrier
		})
		if err := Send(within(t), r.target, two); kind == 0 {
			require.Equal(t, errProtocol, err, "no hello of ours")
		} else {
			requireRefused(t, 1, 9, err)
		}
	}
}

func TestTargets(t *testing.T) {
	require.ErrorIs(t, Send(within(t), "unix:"+t.TempDir()+"/none", two), os.ErrNotExist)
	for _, target := range []string{"", "br-int", "ssl:192.0.2.1:6653", "punix:/run/x"} {
		require.ErrorIs(t, Send(within(t), target, two), errTarget, target)
	}
	require.Error(t, Send(within(t), "tcp:127.0.0.1", two), "no port")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for m, err := readMessage(conn); err == nil; m, err = readMessage(conn) {
			answer(conn, m)
		}
	}()
	require.NoError(t, Send(within(t), "tcp:"+listener.Addr().String(), two))
	<-served
	require.NoError(t, listener.Close())
}

// What cannot be written as OpenFlow is not sent, and nothing is committed.
func TestWhatIsNotKnownIsRefused(t *testing.T) {
	r := newRecorder(t, nil)
	for _, match := range []string{
		"pkt_mark=0x5", "mpls", "ip,", ",ip", "ip,,tp_dst=5", "ip,tp_dst=5", "arp,icmp_type=3",
		"udp,icmp_type=3", "in_port=ANY", "in_port=0", "in_port=65280", "in_port=-1", "in_port",
		"dl_src=02:00:00:00:00", "dl_src=02-00-00-00-00-01", "dl_src=02:00:00:00:00:0g",
		"dl_src=02:00:00:00:00:01/", "dl_type=0x10000", "vlan_tci=0x1000/0x1000",
		"ip,nw_src=10.0.0.0/33", "ip,nw_src=10.0.0.1/255.0.255.0", "ip,nw_src=2001:db8::1",
		"ipv6,ipv6_src=10.0.0.1", "ipv6,ipv6_src=fe80::1%eth0", "ip,nw_src=", "ip,nw_frag=some",
		"ipv6,ipv6_src=2001:db8::/255.0.0.0", "ipv6,ipv6_src=2001:db8::/ffff::%eth0", "ct_state=",
		"ct_state=new", "ct_state=+new-new", "ct_state=+snat", "ct_state=+", "reg0=0x100000000",
		"reg0=1/", "reg0=", "reg9=0x1",
	} {
		err := Send(within(t), r.target,
			openflow.Delta{Delete: []openflow.Flow{{Match: openflow.ParseMatch(match)}}})
		require.ErrorContains(t, err, match[strings.LastIndex(match, ",")+1:], match)
		require.NotErrorIs(t, err, ErrUncertain)
		require.NotContains(t, r.kinds(), typeBarrier)
	}
	for _, actions := range []string{
		"goto_table:7", "group:7", "output:LOCAL", "output:65280", "output:in_port", "output:",
		"NORMAL", "resubmit(7)", "resubmit(,255)", "resubmit(,256)", "resubmit(3,7)",
		"resubmit(,7", "conjunction(1,0/2)",
		"conjunction(1,3/2)", "conjunction(4294967296,1/2)", "conjunction(1,1/256)",
		"conjunction(1)", "CONTROLLER", "CONTROLLER:65536", "meter:x", "meter:4294967296",
		"set_field:1->reg9", "set_field:1", "set_field:x->reg0",
		"move:NXM_NX_REG1[]->NXM_NX_CT_LABEL[]", "move:NXM_NX_REG1[]",
		"move:NXM_NX_REG1->NXM_NX_REG2", "move:NXM_NX_REG1[5..3]->NXM_NX_REG2[5..3]",
		"push:NXM_NX_REG1[0..32]",
		"push:NXM_NX_REG9[]", "pop:NXM_NX_REG1[32]", "ct()", "ct(commit)", "ct(table=5)",
		"ct(zone=NXM_NX_REG1[])", "ct(zone=5)", "ct(table=255,zone=NXM_NX_REG1[0..15])",
		"ct(table=256,zone=NXM_NX_REG1[0..15])", "ct(nat,zone=NXM_NX_REG1[0..15])",
		"ct(zone=NXM_NX_REG1[0..15],exec())",
		"ct(zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG1[]->x))",
		"ct(zone=NXM_NX_REG1[0..15],exec(drop)", "clone(drop)", "drop,drop", "drop,",
		",drop",
	} {
		err := Send(within(t), r.target,
			openflow.Delta{Add: []openflow.Flow{{Match: openflow.ParseMatch("ip"),
				Actions: openflow.ParseActions(actions)}}})
		require.Error(t, err, actions)
		require.NotErrorIs(t, err, ErrUncertain)
		require.NotContains(t, r.kinds(), typeBarrier)
	}
}

// A message is up to 65,535 bytes; one that is longer would tell another length.
func TestLongestFlow(t *testing.T) {
	r := newRecorder(t, nil)
	long := func(match string, outputs int) error { // of 16 bytes each
		f := openflow.Parse(match, strings.TrimSuffix(strings.Repeat("output:1,", outputs), ","))
		return Send(within(t), r.target, openflow.Delta{Add: []openflow.Flow{f}})
	}
	require.NoError(t, long("reg0=0x1", 4090))
	longest := 0
	for _, m := range r.await() {
		longest = max(longest, len(m))
	}
	require.Equal(t, 65_528, longest, "all lengths are multiples of 8")
	require.ErrorIs(t, long("", 4091), errTooLong, "65,536 bytes")
	require.ErrorIs(t, long("", 10_000), errTooLong)
}

// Of a refused bundle nothing is taken for an answer to the next one, in whatever order the answers
// were noticed: each is refused, and none is committed.
func TestRefusalsInOneConversation(t *testing.T) {
	const cookieOfAMod = 16 + headerSize // behind the head of what is bundled, and its own
	committed := 0
	r := newRecorder(t, func(conn net.Conn, m []byte) bool {
		switch {
		case m[1] == typeMultipartRequest:
			_, _ = conn.Write(updates(binary.BigEndian.Uint32(m[4:])))
			return true
		case m[1] == typeBundleAdd && m[cookieOfAMod+7] == 9:
			_, _ = conn.Write(refusal(m))
			return true
		case isControl(m, commitRequest):
			committed++
		}
		return false
	})
	s := New(Options{Target: r.target, Command: "no-such-program"})
	ctx, cancel := context.WithCancel(within(t))
	begun, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- s.Watch(ctx, sync.OnceFunc(func() { close(begun) })) }()
	<-begun
	good, bad := openflow.Flow{Table: 40, Cookie: 1}, openflow.Flow{Table: 40, Cookie: 9}
	for n := range 500 {
		err := s.Apply(ctx, openflow.Delta{Add: []openflow.Flow{good, bad, good}})
		require.ErrorAs(t, err, new(*RejectedError), n)
		require.Zero(t, committed)
	}
	require.NoError(t, s.Apply(ctx, openflow.Delta{Add: []openflow.Flow{good, good}}))
	require.Equal(t, 1, committed)
	cancel()
	require.ErrorIs(t, <-over, context.Canceled)
}
