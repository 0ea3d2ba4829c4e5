package ofctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/flows"
)

// Watch listens to the switch until the connection to it ends or ctx does. It calls changed as soon as it listens, and then whenever
// flows of our tables were changed that Apply did not change. changed must not block. It is a hint: look at Dump.
//
// The result is never nil; after the end of ctx it wraps ctx's error. When it returns, its child is gone.
//
// An ovs-vswitchd that restarts ends the connection, and so does the removal of the bridge.
func (s *Switch) Watch(ctx context.Context, changed func()) error {
	// initial: we read the flows ourselves. actions: not looked at.
	err := s.monitor(ctx, func(out io.Reader) string { return s.listen(out, changed) }, "watch:!initial,!actions")
	return fmt.Errorf("listen to the switch: %w", err)
}

// monitor keeps a connection to the switch until it ends, or ctx does. read reads what is told until there is no more, and returns the
// tool's last words of its own. The result is never nil. When it returns, its child is gone.
func (s *Switch) monitor(ctx context.Context, read func(io.Reader) (said string), what string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// unixctl: not used, and its socket would need a folder. ovs-ofctl prints the answer to the request to its standard output and what
	// comes later to its standard error.
	cmd := s.command(ctx, "--protocols="+protocol, "--no-names", "--unixctl=none", "monitor", s.opts.Target, what)
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	said := read(out)
	if err = cmd.Wait(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return newCommandError(ctx, err, said)
}

// listen reads what the monitor prints until it ends, and returns its last words of its own.
func (s *Switch) listen(out io.Reader, changed func()) (said string) {
	s.ledger.open()
	defer s.ledger.close()
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, tool+": "):
			said = line
		case listening.MatchString(line), s.isForeign(line):
			changed()
		}
		if err != nil {
			return said
		}
	}
}

// listening is the answer to the request to monitor; later notices have the transaction id 0.
var listening = regexp.MustCompile(`^OFPST_FLOW_MONITOR reply .*\(xid=0x[1-9a-f][0-9a-f]*\)`)

// isForeign says whether a line tells of a change in our tables that is not ours. Changes that the switch had no room to report one by
// one count as foreign.
func (s *Switch) isForeign(line string) bool {
	event, ok := strings.CutPrefix(line, "event=")
	if !ok {
		return false
	}
	kind, _, _ := strings.Cut(event, " ")
	switch kind {
	case "ADDED", "DELETED", "MODIFIED":
		at, err := parseEvent(event)
		return err != nil || s.tables[at.table] && !s.ledger.strike(at)
	case "PAUSED":
		s.ledger.forget()
	}
	return true
}

var errNoTable = errors.New("no table")

// parseEvent reads which flow an event is about: `DELETED reason=delete table=40 cookie=0x5 ip,reg1=0x1`.
func parseEvent(event string) (address, error) {
	var at address
	found := false
	for _, word := range strings.Fields(event) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "table":
			n, err := strconv.ParseUint(value, 10, 8)
			if err != nil {
				return at, fmt.Errorf("table: %w", err)
			}
			at.table, found = uint8(n), true
		case "cookie":
			n, err := strconv.ParseUint(value, 0, 64)
			if err != nil {
				return at, fmt.Errorf("cookie: %w", err)
			}
			at.cookie = n
		}
	}
	if !found {
		return at, errNoTable
	}
	return at, nil
}

// ledger knows which events our own bundles will cause, so that they are not taken for somebody else's. The zero ledger is closed: it
// expects nothing.
type ledger struct {
	mu       sync.Mutex
	isOpen   bool
	expected map[address]int
	expires  time.Time // zero while a bundle is under way
}

// settleTime is how long after a bundle its events may arrive. What is still expected then never comes.
const settleTime = 2 * time.Second

func (l *ledger) open()  { l.reset(true) }
func (l *ledger) close() { l.reset(false) }

func (l *ledger) reset(isOpen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isOpen, l.expected = isOpen, nil
}

// forget expects nothing any more: whatever comes is looked at.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = nil
}

// expect enters the changes of a bundle that is about to be sent.
func (l *ledger) expect(lists ...[]flows.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isOpen {
		return
	}
	if l.expected == nil || l.expired() {
		l.expected = map[address]int{}
	}
	l.expires = time.Time{}
	for _, list := range lists {
		for _, f := range list {
			l.expected[addressOf(f)]++
		}
	}
}

// settle notes the end of a bundle.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires = time.Now().Add(settleTime)
}

func (l *ledger) expired() bool { return !l.expires.IsZero() && time.Now().After(l.expires) }

// strike takes an event off the list and says whether it was on it.
func (l *ledger) strike(at address) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expired() {
		l.expected = nil
	}
	n := l.expected[at]
	if n == 0 {
		return false
	}
	if n > 1 {
		l.expected[at] = n - 1
		return true
	}
	delete(l.expected, at)
	if len(l.expected) == 0 {
		l.expected = nil // a map keeps the room of the largest bundle
	}
	return true
}
