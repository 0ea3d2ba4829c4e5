package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// KillAt has the daemon killed at a moment, the next time that it comes.
func (w *World) KillAt(m Moment) { w.proxy.wait(m, w.daemon) }

// Remember ends each conversation in which the switch is to forget connections, until forget is
// called.
func (w *World) Remember() (forget func()) {
	w.proxy.remembers.Store(true)
	return func() { w.proxy.remembers.Store(false) }
}

// AwaitKilled waits until the daemon was killed.
func (w *World) AwaitKilled() error {
	d := w.daemon
	select {
	case <-d.done:
		w.daemon = nil
	case <-time.After(Slowed(patience)):
		return fmt.Errorf("the daemon is not killed within %s", Slowed(patience))
	}
	var exit *exec.ExitError
	if !errors.As(d.err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the daemon was not killed but ended: %w", d.err)
	}
	return nil
}

// UseDaemon has the next start run another program, as an upgrade does.
func (w *World) UseDaemon(program string) { w.spec.Daemon = program }

// HangVswitchd stops ovs-vswitchd where it is, until the returned function is called.
func (s *Switch) HangVswitchd() (goOn func() error, err error) { return s.vswitchd.Hang() }

// HangDaemon stops the daemon where it is, until the returned function is called.
func (w *World) HangDaemon() (goOn func() error, err error) { return w.daemon.Hang() }

// HangDatabase stops ovsdb-server where it is, until the returned function is called.
func (s *Switch) HangDatabase() (goOn func() error, err error) { return s.db.Hang() }

// StopDatabase ends ovsdb-server with a signal; its file stays.
func (s *Switch) StopDatabase(signal syscall.Signal) error {
	err := s.db.End(signal)
	s.db = nil
	return err
}

// StartDatabase starts it again.
func (s *Switch) StartDatabase() error { return s.startDatabase() }

// Revision is the revision that the database holds.
func (s *Switch) Revision() (string, error) {
	return s.Run("ovs-vsctl", "--no-wait", "get", "Bridge", Bridge,
		"external_ids:portcullis-revision")
}

// AwaitRevision waits until the database holds another revision than this one.
func (s *Switch) AwaitRevision(other string) error {
	return s.Until(func(out string) bool { return out != other }, "ovs-vsctl", "--no-wait", "get",
		"Bridge", Bridge, "external_ids:portcullis-revision")
}

// Orphans returns the command lines of processes that speak to this switch although the daemon that
// started them is gone.
func (s *Switch) Orphans() ([]string, error) {
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var out []string
	for _, f := range folders {
		line, err := os.ReadFile("/proc/" + f.Name() + "/cmdline")
		if words := strings.ReplaceAll(string(line), "\x00", " "); err == nil &&
			strings.Contains(words, "ovs-ofctl ") && strings.Contains(words, s.Dir+"/") {
			out = append(out, words)
		}
	}
	return out, nil
}

// AwaitLogged waits until the daemon has logged a line with one text and without the other.
func (w *World) AwaitLogged(with, without string) error {
	for deadline := time.Now().Add(Slowed(patience)); ; time.Sleep(poll) {
		text, err := os.ReadFile(w.daemon.log)
		if err != nil {
			return fmt.Errorf("read the daemon's log: %w", err)
		}
		lines := strings.Split(string(text), "\n")
		for i := len(lines) - 1; i >= 0 && !strings.Contains(lines[i], "msg=starting"); i-- {
			if strings.Contains(lines[i], with) && !strings.Contains(lines[i], without) {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon does not log %q: %s", with, tail(w.daemon.log))
		}
	}
}
