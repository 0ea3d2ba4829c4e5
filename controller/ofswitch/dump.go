package ofswitch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads flows back, and flows of text. The agent compares them, commands show them.
// Invariant: a flow that has what no program has is equal to no flow of a program.

// defaultPriority is the priority that Open vSwitch does not print (OFP_DEFAULT_PRIORITY).
const defaultPriority = 0x8000

// Flows reads back every flow of the pipeline's tables, whoever made it; flows of other tables are
// nobody's business here. They come while the switch tells them, and are not kept.
//
// A flow that has what no flow of a program has (a timeout, an importance, a flag) carries it in
// front of its actions, so that it is equal to no flow of a program. Such flows come last. An error
// is the last that comes: the switch cannot be reached, or what it tells is not understood.
func (s *Switch) Flows(ctx context.Context) iter.Seq2[openflow.Flow, error] {
	return func(yield func(openflow.Flow, error) bool) {
		err := s.describe(ctx, func(f openflow.Flow, _ openflow.Description) error {
			if !yield(f, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(openflow.Flow{}, fmt.Errorf("read the flows: %w", err))
		}
	}
}

// errEnough ends the reading of what nobody wants any more.
var errEnough = errors.New("enough")

// Dump returns all that [Switch.Flows] tells.
func (s *Switch) Dump(ctx context.Context) ([]openflow.Flow, error) {
	var held []openflow.Flow
	for f, err := range s.Flows(ctx) {
		if err != nil {
			return nil, err
		}
		held = append(held, f)
	}
	return held, nil
}

// describe has the switch describe its flows, and hands those of our tables to take: what no flow
// of a program is at last. An error of take ends it and is the result.
func (s *Switch) describe(ctx context.Context,
	take func(openflow.Flow, openflow.Description) error) error {
	var known openflow.Reader
	var others []openflow.Description
	err := request(ctx, s.opts.Target, multipartFlows, allFlows(), func(part []byte) error {
		for len(part) > 0 {
			var d openflow.Description
			var err error
			if d, part, err = openflow.CutDescription(part); err != nil {
				return err
			}
			if !s.tables[d.Table()] {
				continue
			}
			f, ok := known.Flow(d)
			if !ok {
				others = append(others, d)
			} else if err := take(f, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(others) == 0 {
		return s.worded(ctx, err)
	}
	printed, err := s.print(ctx, others)
	if err != nil {
		return err
	}
	for n, d := range others {
		if err := take(printed[n], d); err != nil {
			return err
		}
	}
	return nil
}

// multipartFlows is the kind of request for what flows are and have counted (OpenFlow 1.5, section
// 7.3.5.2).
const multipartFlows = 1

// allFlows is the body of a request for all flows: struct ofp_flow_stats_request.
func allFlows() []byte {
	const any4 = 0xffffffff
	b := []byte{allTables, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, any4) // whatever port
	b = binary.BigEndian.AppendUint32(b, any4) // and group it sends to
	b = append(b, make([]byte, 4+8+8)...)      // and cookie it has
	b, _ = openflow.Match{}.Append(b)
	return b
}

// print has ovs-ofctl, which knows every field of every release, print flows.
func (s *Switch) print(ctx context.Context, list []openflow.Description) ([]openflow.Flow, error) {
	var messages []byte
	for _, d := range list {
		messages = appendMultipart(messages, typeMultipartReply, 0, multipartFlows, d)
	}
	out, err := s.output(ctx, bytes.NewReader(messages), "--no-names", "ofp-parse", "-")
	if err != nil {
		return nil, err
	}
	printed, err := ReadDump(bytes.NewReader(out))
	if err == nil && len(printed) != len(list) {
		err = fmt.Errorf("%s printed %d flows of %d", tool, len(printed), len(list))
	}
	return printed, err
}

var (
	errNoActions = errors.New("a line without actions")
	errNoMatch   = errors.New("a line whose match is not understood")
)

// parseFlow reads one line of `ovs-ofctl --no-stats dump-flows`:
//
//	cookie=0x5, table=5, idle_timeout=30, send_flow_rem importance=6, priority=7,in_port=LOCAL actions=output:1
//
// Left out where they are 0: cookie, table, timeouts, importance; priority where it is 32768.
func parseFlow(line string) (openflow.Flow, error) {
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
	f.Match, f.Actions = openflow.ParseMatch(match), openflow.ParseActions(actions)
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
