package ofswitch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/digitalocean/go-openvswitch/ovs"
	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file is the switch itself, and how commands are run for it. Everything else here has
// methods on [Switch] or is used by one.

const (
	// tool is the command that speaks OpenFlow.
	tool = "ovs-ofctl"
	// protocol is the OpenFlow version of every conversation: bundles need 1.4, and the text of a
	// flow depends on the version.
	protocol = ovs.ProtocolOpenFlow15
	// waitDelay bounds the wait for the pipes of a child that was killed.
	waitDelay = 2 * time.Second
)

// Options say which switch.
type Options struct {
	// Target is where the switch listens, as ovs-ofctl takes it:
	// "unix:/run/openvswitch/br-int.mgmt".
	Target string
	// Command is the program to run; "" = ovs-ofctl, looked up in PATH.
	Command string
	// DatapathType is the type of the bridge's datapath, as in the database: "" or "system",
	// "netdev", "dummy".
	DatapathType string
	// Database is the endpoint of Open vSwitch's database, as ovs-vsctl takes it; "" = its own
	// default.
	Database string
	// Log receives details; nil discards them.
	Log *logrus.Entry
}

// Switch is the OpenFlow side of one bridge. Nothing is connected between calls except in
// [Switch.Watch]. Its methods may be called from any goroutine.
type Switch struct {
	opts   Options
	tables map[uint8]bool // ours: those of the pipeline
	shared shared
}

// New returns the switch; it does nothing yet.
func New(opts Options) *Switch {
	if opts.Command == "" {
		opts.Command = tool
	}
	if opts.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		opts.Log = logrus.NewEntry(silent)
	}
	s := &Switch{opts: opts, tables: map[uint8]bool{}}
	for _, t := range flows.Pipeline() {
		s.tables[uint8(t.ID)] = true
	}
	return s
}

// Prepare sets what the program relies on and what ovs-vswitchd forgets when it ends: how fragments
// are matched. It may be repeated.
func (s *Switch) Prepare(ctx context.Context) error {
	if err := SetFragments(ctx, s.opts.Target, MatchFragments); err != nil {
		return fmt.Errorf("set the treatment of fragments: %w", s.worded(ctx, err))
	}
	return nil
}

// run runs one command with our protocol and returns what it printed.
func (s *Switch) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	return s.output(ctx, stdin, append([]string{"--protocols=" + protocol}, args...)...)
}

// output runs one command and returns its standard output. The error is a *commandError.
func (s *Switch) output(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := s.command(ctx, args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	if err := cmd.Run(); err != nil {
		return out.Bytes(), newCommandError(ctx, err, said.String())
	}
	return out.Bytes(), nil
}

// stream runs one command and has its standard output read as it comes. An error of read ends the
// command and is the result; else it is a *commandError.
func (s *Switch) stream(ctx context.Context, read func(io.Reader) error, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the child when a line is not understood
	cmd := s.command(ctx, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(out)
	if readErr != nil {
		cancel()
	}
	err = cmd.Wait()
	switch {
	case readErr != nil:
		return readErr
	case err != nil:
		return newCommandError(ctx, err, said.String())
	}
	return nil
}

// command is a child that ends with the context, and with us: of a daemon that was killed no bundle
// may come later than the flows that the next one reads, and a monitor would never end by itself.
// (The kernel means the thread that started the child; no goroutine of ours ends a thread.)
func (s *Switch) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.opts.Command, args...)
	cmd.WaitDelay = waitDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// commandError is a command that failed and what it said.
type commandError struct {
	said string // its standard error
	err  error  // its exit status, or why it could not be run, or the end of the context
}

func newCommandError(ctx context.Context, err error, said string) *commandError {
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return &commandError{said: strings.TrimSpace(said), err: err}
}

// Error is the last thing that the command said about itself, or else its exit status.
func (e *commandError) Error() string {
	lines := strings.Split(e.said, "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], tool+": ")
	var exit *exec.ExitError
	if last != "" && errors.As(e.err, &exit) && exit.Exited() {
		return tool + ": " + last
	}
	return tool + ": " + strings.ReplaceAll(e.err.Error(), "\n", ": ")
}

// Unwrap is the exit status, or the end of the context.
func (e *commandError) Unwrap() error { return e.err }

// Fragments is how a switch shows IP fragments to its flows.
type Fragments uint16

// MatchFragments shows the ports of the first fragment of a packet, and none of later ones; with
// what a switch does by itself no fragment shows any. It is Open vSwitch's own, called nx-match by
// ovs-ofctl (ovs-fields(7), ip_frag).
const MatchFragments Fragments = 3

// SetFragments sets how a switch shows fragments (OpenFlow 1.5, section 7.3.2), until ovs-vswitchd
// ends. The switch is named as for [Send].
func SetFragments(ctx context.Context, target string, f Fragments) error {
	return withConn(ctx, target, func(c *conn) error {
		c.pending = appendConfig(c.pending, c.next(), f)
		return c.barrier()
	})
}

// appendConfig appends a setting of fragments, and of how much of a packet this connection wants to
// be shown, which is nothing.
func appendConfig(b []byte, xid uint32, f Fragments) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(openflow.AppendHeader(b, typeSetConfig, xid), uint16(f))
	return openflow.PutLength(append(b, 0, 0), at)
}
