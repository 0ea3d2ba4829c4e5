package testnet

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// A process with the children that it started: a server that a command runs and watches, say.

// Hang stops the process where it is, until the returned function is called.
func (p *Process) Hang() (goOn func() error, err error) {
	return func() error { return p.cmd.Process.Signal(syscall.SIGCONT) },
		p.cmd.Process.Signal(syscall.SIGSTOP)
}

// HangTree is Hang with all children.
func (p *Process) HangTree() (goOn func() error, err error) {
	tree := p.tree()
	all := func(signal syscall.Signal) (err error) {
		for _, pid := range tree {
			err = errors.Join(err, syscall.Kill(pid, signal))
		}
		return err
	}
	return func() error { return all(syscall.SIGCONT) }, all(syscall.SIGSTOP)
}

// EndTree is End, and waits for the children, too. With SIGKILL they are killed; any other signal
// the process itself has to pass on.
func (p *Process) EndTree(signal syscall.Signal) error {
	tree := p.tree()
	if signal == syscall.SIGKILL {
		for _, pid := range tree[1:] {
			_ = syscall.Kill(pid, signal) // it may have ended
		}
	}
	err := p.End(signal)
	for deadline := time.Now().Add(Slowed(patience)); ; time.Sleep(poll) {
		left := 0
		for _, pid := range tree[1:] {
			if state(pid) != "" {
				left++
			}
		}
		if left == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.Join(err, fmt.Errorf("%d children of %s did not end within %s", left, p.name,
				Slowed(patience)))
		}
	}
}

// tree is the process and its children, and theirs.
func (p *Process) tree() []int {
	all := []int{p.cmd.Process.Pid}
	for n := 0; n < len(all); n++ {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", all[n])) // none: it has ended
		for _, t := range threads {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", all[n], t.Name()))
			for _, word := range strings.Fields(string(text)) {
				var pid int
				if _, err := fmt.Sscan(word, &pid); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// state is what a process does, as proc(5) has it; "" = there is none, or it only waits to be
// buried.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	if word, _, _ := strings.Cut(rest, " "); word != "Z" && word != "X" {
		return word
	}
	return ""
}
