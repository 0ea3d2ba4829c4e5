package ofswitch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads flows back as the text that ovs-ofctl prints. The agent compares them,
// commands show them. Invariant: a flow that has what no program has is equal to no flow of a
// program.

// defaultPriority is the priority that Open vSwitch does not print (OFP_DEFAULT_PRIORITY).
const defaultPriority = 0x8000

// Flows reads back every flow of the pipeline's tables, whoever made it; flows of other tables are
// nobody's business here. They come while the switch tells them, and are not kept.
//
// A flow that has what no flow of a program has (a timeout, an importance, a flag) carries it in
// front of its actions, so that it is equal to no flow of a program. An error is the last that
// comes: the switch cannot be reached, or a line is not understood.
func (s *Switch) Flows(ctx context.Context) iter.Seq2[openflow.Flow, error] {
	return func(yield func(openflow.Flow, error) bool) {
		err := s.stream(ctx, func(r io.Reader) error {
			for f, err := range s.parseDump(r) {
				if err != nil {
					return err
				}
				if !yield(f, nil) {
					return errEnough
				}
			}
			return nil
		}, "--protocols="+ovs.ProtocolOpenFlow15, "--no-stats", "--no-names", "dump-flows",
			s.opts.Target)
		if err != nil && !errors.Is(err, errEnough) {
			yield(openflow.Flow{}, fmt.Errorf("read the flows: %w", err))
		}
	}
}

// errEnough ends the reading of what nobody wants any more.
var errEnough = errors.New("enough")

// Dump returns all that [Switch.Flows] tells.
func (s *Switch) Dump(ctx context.Context) ([]openflow.Flow, error) { return collect(s.Flows(ctx)) }

// collect keeps flows.
func collect(told iter.Seq2[openflow.Flow, error]) ([]openflow.Flow, error) {
	var held []openflow.Flow
	for f, err := range told {
		if err != nil {
			return nil, err
		}
		held = append(held, f)
	}
	return held, nil
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

// parseDump reads flows line by line and tells those of our tables.
func (s *Switch) parseDump(r io.Reader) iter.Seq2[openflow.Flow, error] {
	return func(yield func(openflow.Flow, error) bool) {
		known := flowReader{}
		for lines := bufio.NewReaderSize(r, dumpBuffer); ; {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) && line == "" {
				return
			}
			var f openflow.Flow
			if err == nil || errors.Is(err, io.EOF) {
				if f, err = known.read(strings.TrimSuffix(line, "\n")); err != nil {
					err = fmt.Errorf("%w: %q", err, line)
				}
			}
			if err != nil {
				yield(openflow.Flow{}, err)
				return
			}
			if s.tables[f.Table] && !yield(f, nil) {
				return
			}
		}
	}
}

// flowReader reads flows, and each list of actions once: there are fewer of them than flows by
// orders of magnitude. It has the lists by their text.
type flowReader map[string]openflow.Actions

func (known flowReader) actions(text string) openflow.Actions {
	as, ok := known[text]
	if !ok {
		as = openflow.ParseActions(text)
		known[strings.Clone(text)] = as
	}
	return as
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
func parseFlow(line string) (openflow.Flow, error) { return flowReader{}.read(line) }

func (known flowReader) read(line string) (openflow.Flow, error) {
	head, actions, ok := strings.Cut(line, "actions=")
	if !ok || actions == "" || !strings.HasSuffix(head, " ") {
		return openflow.Flow{}, errNoActions
	}
	f := openflow.Flow{Priority: defaultPriority}
	var extra []string
	rest := strings.Trim(head, " ")
	for rest != "" {
		word, after := firstWord(rest)
		kind, err := readWord(&f, word)
		if err != nil {
			return openflow.Flow{}, err
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
		return openflow.Flow{}, err
	}
	if strings.ContainsAny(match, " \t") {
		return openflow.Flow{}, errNoMatch
	}
	if len(extra) > 0 {
		actions = strings.Join(extra, ",") + " actions=" + actions
	}
	f.Match, f.Actions = openflow.ParseMatch(match), known.actions(actions)
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

// readWord puts the cookie and the table into the flow, and recognises what else may stand before
// the match.
func readWord(f *openflow.Flow, word string) (wordKind, error) {
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
func readPriority(f *openflow.Flow, match string) (string, error) {
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

// statistics are what `dump-flows` prints of a flow without --no-stats.
var statistics = regexp.MustCompile(` (?:duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]*,`)

// ReadDump reads the flows of the pipeline's tables from text: what `ovs-ofctl -O OpenFlow15
// dump-flows` printed, with or without statistics, or `portcullis flows`. Comments and the line
// that ovs-ofctl prints in front are passed over. The error names the line.
func ReadDump(r io.Reader) ([]openflow.Flow, error) {
	s := New(Options{})
	var held []openflow.Flow
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \r")
		if line == "" || strings.HasPrefix(line, "#") ||
			strings.HasPrefix(line, "OFPST_FLOW reply") || strings.HasPrefix(line, "NXST_FLOW reply") {
			continue
		}
		f, err := parseFlow(statistics.ReplaceAllString(" "+line, ""))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %q", number, err, line)
		}
		if s.tables[f.Table] {
			held = append(held, f)
		}
	}
	return held, lines.Err()
}

// maxLine is longer than any flow: OpenFlow bounds its actions by 64 KiB.
const maxLine = 1 << 20
