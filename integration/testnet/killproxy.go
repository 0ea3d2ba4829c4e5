package testnet

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
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

// killProxy stands between daemons and the switch, passes on what they say, and kills a daemon at a
// moment.
type killProxy struct {
	listener net.Listener
	target   string // the socket of the switch
	serving  sync.WaitGroup

	mu     sync.Mutex
	moment Moment // "" = let live
	victim *Process
}

// StartDaemonToKill is StartDaemon for a daemon that KillAt can kill.
func (w *World) StartDaemonToKill() error {
	if w.killProxy == nil {
		_, target, _ := strings.Cut(w.Switch.Management(Bridge), ":")
		listener, err := net.Listen("unix", w.path("kill-proxy"))
		if err != nil {
			return fmt.Errorf("stand before the switch: %w", err)
		}
		w.killProxy = &killProxy{listener: listener, target: target}
		w.killProxy.serving.Go(w.killProxy.run)
	}
	err := w.ChangeSettings(func(text string) string {
		return strings.Replace(text, "openflow: "+w.Switch.Management(Bridge),
			"openflow: unix:"+w.path("kill-proxy"), 1)
	})
	if err != nil {
		return err
	}
	return w.StartDaemon()
}

// close ends the conversations that still go on.
func (a *killProxy) close() {
	if a != nil {
		_ = a.listener.Close()
		a.serving.Wait()
	}
}

func (a *killProxy) wait(m Moment, victim *Process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moment, a.victim = m, victim
}

// kill kills the victim if this is the moment, and says whether it is.
func (a *killProxy) kill(m Moment) bool {
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

func (a *killProxy) run() {
	for {
		daemon, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.serving.Go(func() { a.serve(daemon) })
	}
}

// serve passes on what both sides say, until one ends the conversation or the daemon is killed.
func (a *killProxy) serve(daemon net.Conn) {
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
func (a *killProxy) pass(to io.Writer, from io.Reader) {
	for {
		m := make([]byte, 8)
		if _, err := io.ReadFull(from, m); err != nil {
			return
		}
		m = append(m, make([]byte, max(8, binary.BigEndian.Uint16(m[2:]))-8)...)
		if _, err := io.ReadFull(from, m[8:]); err != nil || a.kill(momentOf(m)) {
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
