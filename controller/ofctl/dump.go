package ofctl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows"
)

// defaultPriority is the priority that Open vSwitch does not print (OFP_DEFAULT_PRIORITY).
const defaultPriority = 0x8000

// Dump reads back every flow of the pipeline's tables, whoever made it; flows of other tables are nobody's business here.
//
// A flow that has what no flow of a program has (a timeout, an importance, a flag) carries it in front of its actions, so that it is
// equal to no flow of a program. Errors: the switch cannot be reached, or a line is not understood.
func (s *Switch) Dump(ctx context.Context) ([]flows.Flow, error) {
	var held []flows.Flow
	err := s.stream(ctx, func(r io.Reader) (err error) {
		held, err = s.parseDump(r)
		return err
	}, "--protocols="+ovs.ProtocolOpenFlow15, "--no-stats", "--no-names", "dump-flows", s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the flows: %w", err)
	}
	return held, nil
}

// stream runs one command and has its standard output read as it comes. An error of read ends the command and is the result; else it is a
// *commandError.
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

// parseDump reads flows line by line and keeps those of our tables. Of the lines it keeps no more than the matches, and each text of
// actions once: there are fewer of them than flows by orders of magnitude.
func (s *Switch) parseDump(r io.Reader) ([]flows.Flow, error) {
	var held []flows.Flow
	actions := map[string]string{}
	for lines := bufio.NewReaderSize(r, dumpBuffer); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return held, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		f, err := parseFlow(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, line)
		}
		if !s.tables[f.Table] {
			continue
		}
		known, ok := actions[f.Actions]
		if !ok {
			known = strings.Clone(f.Actions)
			actions[known] = known
		}
		f.Match, f.Actions = strings.Clone(f.Match), known
		held = append(held, f)
	}
}

// dumpBuffer lets the tool go on while lines are parsed.
const dumpBuffer = 64 << 10

var (
	errNoActions = errors.New("a line without actions")
	errNoMatch   = errors.New("a line whose match is not understood")
)

// parseFlow reads one line of `ovs-ofctl --no-stats dump-flows`:
//
//	cookie=0x5, table=5, idle_timeout=30, send_flow_rem importance=6, priority=7,in_port=LOCAL actions=output:1
//
// Left out where they are 0: cookie, table, timeouts, importance; priority where it is 32768.
func parseFlow(line string) (flows.Flow, error) {
	head, actions, ok := strings.Cut(line, "actions=")
	if !ok || actions == "" || !strings.HasSuffix(head, " ") {
		return flows.Flow{}, errNoActions
	}
	f := flows.Flow{Priority: defaultPriority}
	var extra []string
	rest := strings.Trim(head, " ")
	for rest != "" {
		word, after := firstWord(rest)
		kind, err := readWord(&f, word)
		if err != nil {
			return flows.Flow{}, err
		}
		if kind == wordOfMatch {
			break
		}
		if kind == wordExtra {
			extra = append(extra, word)
		}
		rest = after
	}
	match, err := readPriority(&f, rest)
	if err != nil {
		return flows.Flow{}, err
	}
	if strings.ContainsAny(match, " \t") {
		return flows.Flow{}, errNoMatch
	}
	f.Match, f.Actions = match, actions
	if len(extra) > 0 {
		f.Actions = strings.Join(extra, ",") + " actions=" + actions
	}
	return f, nil
}

// firstWord cuts off what stands before the first ", " or " ". A comma alone belongs to the match.
func firstWord(s string) (word, rest string) {
	word, rest, _ = strings.Cut(s, " ")
	return strings.TrimSuffix(word, ","), rest
}

// wordKind says what a word before the match is.
type wordKind uint8

const (
	wordOfMatch wordKind = iota // the match begins here
	wordOfFlow                  // it is in the flow now
	wordExtra                   // no flow of ours has it
)

// readWord puts the cookie and the table into the flow, and recognises what else may stand before the match.
func readWord(f *flows.Flow, word string) (wordKind, error) {
	switch word {
	case "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts":
		return wordExtra, nil
	}
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "cookie":
		n, err := strconv.ParseUint(value, 0, 64)
		f.Cookie = n
		return wordOfFlow, err
	case "table":
		n, err := strconv.ParseUint(value, 10, 8)
		f.Table = uint8(n)
		return wordOfFlow, err
	case "idle_timeout", "hard_timeout", "importance":
		return wordExtra, nil
	}
	return wordOfMatch, nil
}

// readPriority takes the priority off the match.
func readPriority(f *flows.Flow, match string) (string, error) {
	value, ok := strings.CutPrefix(match, "priority=")
	if !ok {
		return match, nil
	}
	value, match, _ = strings.Cut(value, ",")
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return "", fmt.Errorf("priority: %w", err)
	}
	f.Priority = uint16(n)
	return match, nil
}
