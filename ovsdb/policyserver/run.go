package policyserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// The server in the foreground: ovsdb-server as a child, two for a member that hosts reach by TLS.
// Invariant: all end together, and none outlives this program, however that ends.

// How long a child has to end by itself, and how often it is looked for at its start.
const (
	patience     = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Run serves until ctx ends, and returns nil then. What the children say goes to words. ready is
// called when all answer, and beside it work goes on until ctx ends.
func (f Folder) Run(ctx context.Context, words io.Writer, ready func(context.Context) error) error {
	s, err := f.Server()
	if err != nil {
		return err
	}
	if _, err := unixctl.Ask(ctx, f.path(controlName), "version"); err == nil {
		return fmt.Errorf("a server runs in %s already", f)
	}
	if err := f.prepareStatus(ctx, s); err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	processes := f.processes(s)
	for n, p := range processes {
		group.Go(func() error {
			f.await(running, processes[:n]) // a relay reads what the member before it has
			return p.run(running, words)
		})
	}
	group.Go(func() error {
		f.await(running, processes)
		if len(processes) > 1 {
			group.Go(func() error { return f.keepDoor(running) })
		}
		return ready(running)
	})
	err = group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// await waits until processes answer at their control sockets, or ctx ends.
func (f Folder) await(ctx context.Context, processes []process) {
	for _, p := range processes {
		for {
			if p.configure(ctx) == nil {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pollInterval):
			}
		}
	}
}

// backlog bounds what a leader keeps for a member that does not take it: messages, and bytes. Such
// a member is sent all of the database when it is back.
const (
	backlogMessages = "500"
	backlogBytes    = "67108864"
)

// configure sets what is set at a server that runs.
func (p process) configure(ctx context.Context) error {
	_, err := unixctl.Ask(ctx, p.control, "ovsdb-server/memory-trim-on-compaction", "on")
	if err == nil && p.isMember {
		_, err = unixctl.Ask(ctx, p.control, "cluster/set-backlog-threshold", policydb.Name,
			backlogMessages, backlogBytes)
	}
	return err
}

// run runs a process until ctx ends, or it does, which is an error.
func (p process) run(ctx context.Context, words io.Writer) error {
	// A child gets its signal when the thread that has started it is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program, err := exec.LookPath("ovsdb-server")
	if err != nil {
		return fmt.Errorf("ovsdb-server is needed, of the package openvswitch-common: %w", err)
	}
	said := &tail{to: words}
	cmd := exec.CommandContext(ctx, program, p.args...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("ovsdb-server (%s): %w: %s", p.name, err, said)
}

// tail passes on what is written, and keeps the last of it.
type tail struct {
	to   io.Writer
	mu   sync.Mutex
	last []byte
}

// kept is how many bytes a tail keeps.
const kept = 2048

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, text...)
	if over := len(t.last) - kept; over > 0 {
		t.last = append([]byte{}, t.last[over:]...)
	}
	return t.to.Write(text)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(string(bytes.TrimSpace(t.last)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
