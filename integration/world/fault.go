package world

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Moment is where a daemon is killed: as it runs a command of ovs-ofctl, before the command or after it.
type Moment string

// The moments, with a word of the command.
const (
	BeforeBundle Moment = "before --bundle"
	AfterBundle  Moment = "after --bundle"
	BeforeDump   Moment = "before dump-flows"
	AfterDump    Moment = "after dump-flows"
)

// assassin stands before ovs-ofctl in the path of daemons that were started by StartDaemonToKill. The file that it looks for says when
// it kills its parent, and is gone then. What runs after the parent's death is a child of nobody, as it would be after a crash.
const assassin = `#!/bin/sh
if read -r when word < "$OVS_RUNDIR/moment" 2>/dev/null; then
	case " $* " in *" $word "*)
		rm "$OVS_RUNDIR/moment"
		parent=$PPID
		if [ "$when" = before ]; then kill -9 "$parent"; exit 1; fi
		%[1]s "$@"; kill -9 "$parent"; exit 1;;
	esac
fi
exec %[1]s "$@"
`

// StartDaemonToKill is StartDaemon for a daemon that KillAt can kill.
func (w *World) StartDaemonToKill() error {
	real, err := exec.LookPath("ovs-ofctl")
	if err != nil {
		return fmt.Errorf("find ovs-ofctl: %w", err)
	}
	if err := os.MkdirAll(w.path("bin"), 0o700); err != nil {
		return fmt.Errorf("make the folder of the assassin: %w", err)
	}
	if err := os.WriteFile(w.path("bin/ovs-ofctl"), fmt.Appendf(nil, assassin, real), 0o700); err != nil {
		return fmt.Errorf("write the assassin: %w", err)
	}
	return w.startDaemon(append(w.Switch.env(), "PATH="+w.path("bin")+":"+os.Getenv("PATH")))
}

// KillAt has the daemon killed at a moment, the next time that it comes.
func (w *World) KillAt(m Moment) error { return w.writeFile("moment", string(m)+"\n") }

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
func (s *Switch) HangVswitchd() (goOn func() error, err error) { return s.vswitchd.hang() }

// HangDaemon stops the daemon where it is, until the returned function is called.
func (w *World) HangDaemon() (goOn func() error, err error) { return w.daemon.hang() }

// HangDatabase stops ovsdb-server where it is, until the returned function is called.
func (s *Switch) HangDatabase() (goOn func() error, err error) { return s.db.hang() }

func (p *process) hang() (goOn func() error, err error) {
	return func() error { return p.cmd.Process.Signal(syscall.SIGCONT) }, p.cmd.Process.Signal(syscall.SIGSTOP)
}

// StopDatabase ends ovsdb-server with a signal; its file stays.
func (s *Switch) StopDatabase(signal syscall.Signal) error {
	err := s.db.end(signal)
	s.db = nil
	return err
}

// StartDatabase starts it again.
func (s *Switch) StartDatabase() error { return s.startDatabase() }

// Revision is the revision that the database holds.
func (s *Switch) Revision() (string, error) {
	return s.Run("ovs-vsctl", "--no-wait", "get", "Bridge", Bridge, "external_ids:portcullis-revision")
}

// AwaitRevision waits until the database holds another revision than this one.
func (s *Switch) AwaitRevision(other string) error {
	return s.Until(func(out string) bool { return out != other }, "ovs-vsctl", "--no-wait", "get", "Bridge", Bridge, "external_ids:portcullis-revision")
}

// Orphans returns the command lines of processes that speak to this switch although the daemon that started them is gone.
func (s *Switch) Orphans() ([]string, error) {
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var out []string
	for _, f := range folders {
		line, err := os.ReadFile("/proc/" + f.Name() + "/cmdline")
		if words := strings.ReplaceAll(string(line), "\x00", " "); err == nil && strings.Contains(words, "ovs-ofctl ") && strings.Contains(words, s.Dir+"/") {
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
