package testnet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bounds the start, the end and every command of a child process
	patience = 2 * time.Minute
	poll     = 5 * time.Millisecond // between two looks at a state that has no notification
)

// Process is one child in the foreground, in a namespace.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file of its output
	done chan struct{} // closed when it is gone
	err  error         // valid after done
}

// Start runs a child in the namespace, its output at the end of a file. The kernel kills it if the
// namespace's thread ends before it.
func (n *Namespace) Start(log string, env []string, name string, args ...string) (*Process, error) {
	p := &Process{name: filepath.Base(name), log: log, done: make(chan struct{})}
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer output.Close()
	p.cmd = exec.Command(name, args...)
	p.cmd.Env, p.cmd.Dir = env, filepath.Dir(log)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.Do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// listens says whether the process itself listens on a unix socket: one that was killed may have
// left it to a child for a moment.
func (p *Process) listens(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if failed := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); failed != nil || err != nil {
		return errors.Join(failed, err)
	}
	if int(peer.Pid) != p.cmd.Process.Pid {
		return fmt.Errorf("process %d listens on %s", peer.Pid, socket)
	}
	return nil
}

// Answers waits until the process accepts connections on a unix socket.
func (p *Process) Answers(socket string) error {
	for deadline := time.Now().Add(Slowed(patience)); ; {
		err := p.listens(socket)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at once (%v):\n%s", p.name, p.err, tail(p.log))
		case <-time.After(poll):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, tail(p.log))
		}
	}
}

// End signals the process and waits until it is gone; one that does not go in time is killed, and
// that is an error.
func (p *Process) End(signal syscall.Signal) error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return nil
	case <-time.After(Slowed(patience)):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s of %s", p.name, Slowed(patience), signal)
	}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running says whether the process has started and not ended yet.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// tail returns the last part of a log file.
func tail(path string) string { return end(path, 6000) }

// end returns the last part of a file, of at most so many bytes.
func end(path string, most int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
