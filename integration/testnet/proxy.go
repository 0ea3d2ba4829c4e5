package testnet

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Moment is where a daemon is killed, in what it and the switch say to each other.
type Moment string

// The moments of a bundle.
const (
	BeforeBundle Moment = "before the bundle"
	BeforeCommit Moment = "before the commit" // the switch has all of the bundle
	AfterCommit  Moment = "after the commit"  // and has made it; the daemon has not heard so
)

// proxy stands between daemons and the switch, passes on what they say, kills a daemon at a moment,
// and keeps the switch from forgetting connections.
type proxy struct {
	listener net.Listener
	target   string // the socket of the switch
	serving  sync.WaitGroup

	mu     sync.Mutex
	moment Moment // "" = let live
	victim *Process

	remembers atomic.Bool // nobody is asked to forget a connection
}

// StartDaemonByProxy is StartDaemon for a daemon that [World.KillAt] and [World.Remember] concern.
func (w *World) StartDaemonByProxy() error {
	if w.proxy == nil {
		_, target, _ := strings.Cut(w.Switch.Management(Bridge), ":")
		listener, err := net.Listen("unix", w.path("proxy"))
		if err != nil {
			return fmt.Errorf("stand before the switch: %w", err)
		}
		w.proxy = &proxy{listener: listener, target: target}
		w.proxy.serving.Go(w.proxy.run)
	}
	err := w.ChangeSettings(func(text string) string {
		return strings.Replace(text, "openflow: "+w.Switch.Management(Bridge),
			"openflow: unix:"+w.path("proxy"), 1)
	})
	if err != nil {
		return err
	}
	return w.StartDaemon()
}

// close ends the conversations that still go on.
func (a *proxy) close() {
	if a != nil {
		_ = a.listener.Close()
		a.serving.Wait()
	}
}

func (a *proxy) wait(m Moment, victim *Process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moment, a.victim = m, victim
}

// kill kills the victim if this is the moment, and says whether it is.
func (a *proxy) kill(m Moment) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m == "" || m != a.moment {
		return false
	}
	a.moment = ""
	_ = a.victim.cmd.Process.Signal(syscall.SIGKILL) // who waits for it sees whether it worked
	<-a.victim.done
	return true
}

func (a *proxy) run() {
	for {
		daemon, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.serving.Go(func() { a.serve(daemon) })
	}
}

// serve passes on what both sides say, until one ends the conversation or the daemon is killed.
func (a *proxy) serve(daemon net.Conn) {
	defer daemon.Close()
	sw, err := net.Dial("unix", a.target)
	if err != nil {
		return
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		a.pass(daemon, sw)
		_ = daemon.Close()
	})
	a.pass(sw, daemon)
	_ = sw.Close()
	answering.Wait()
}

// pass passes on messages, until the moment comes.
func (a *proxy) pass(to io.Writer, from io.Reader) {
	for {
		m := make([]byte, 8)
		if _, err := io.ReadFull(from, m); err != nil {
			return
		}
		m = append(m, make([]byte, max(8, binary.BigEndian.Uint16(m[2:]))-8)...)
		if _, err := io.ReadFull(from, m[8:]); err != nil || a.kill(momentOf(m)) {
			return
		}
		if a.remembers.Load() && isToForget(m) {
			return
		}
		if _, err := to.Write(m); err != nil {
			return
		}
	}
}

// momentOf returns the moment before a message is passed on, by the controls of bundles (OpenFlow
// 1.5, section 7.3.9.4).
func momentOf(m []byte) Moment {
	const bundleControl, openRequest, commitRequest, commitReply = 33, 0, 4, 5
	if m[1] != bundleControl || len(m) < 16 {
		return ""
	}
	switch binary.BigEndian.Uint16(m[12:]) {
	case openRequest:
		return BeforeBundle
	case commitRequest:
		return BeforeCommit
	case commitReply:
		return AfterCommit
	}
	return ""
}

// isToForget says whether a message has the switch forget connections: NXT_CT_FLUSH_ZONE or
// NXT_CT_FLUSH (nicira-ext.h of Open vSwitch).
func isToForget(m []byte) bool {
	const experimenter, nicira, flushZone, flush = 4, 0x2320, 29, 32
	if m[1] != experimenter || len(m) < 16 || binary.BigEndian.Uint32(m[8:]) != nicira {
		return false
	}
	subtype := binary.BigEndian.Uint32(m[12:])
	return subtype == flushZone || subtype == flush
}
