package ofswitch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads counters of flows, and how full the connection tracker is. Package telemetry
// calls it.

// FlowCount is a flow and what it has counted.
type FlowCount struct {
	Flow    openflow.Flow
	Packets uint64
	Bytes   uint64 // of whole Ethernet frames, without the checksum
	// since it was installed, or replaced by another of its key: that one's packets are counted on
	Age time.Duration
}

// Counts hands every flow of the pipeline's tables with its counters to take, one at a time; none
// is kept here. ovs-vswitchd changes no flows while it answers. Errors: as of [Switch.Dump].
func (s *Switch) Counts(ctx context.Context, take func(FlowCount)) error {
	err := s.stream(ctx, func(r io.Reader) error { return s.eachCount(r, take) },
		"--protocols="+ovs.ProtocolOpenFlow15, "--no-names", "dump-flows", s.opts.Target)
	if err != nil {
		return fmt.Errorf("read the counters of the flows: %w", err)
	}
	return nil
}

// eachCount reads flows line by line. With counters a heading stands before them, which begins at
// the margin.
func (s *Switch) eachCount(r io.Reader, take func(FlowCount)) error {
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if strings.HasPrefix(line, "OFPST_FLOW reply ") {
			continue
		}
		c, err := parseCount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return fmt.Errorf("%w: %q", err, line)
		}
		if s.tables[c.Flow.Table] {
			take(c)
		}
	}
}

// parseCount reads one line of `ovs-ofctl dump-flows`, which has the words of counters among the
// others before the match:
//
//	cookie=0x5, duration=4.512s, table=5, n_packets=3, n_bytes=318, idle_timeout=30, idle_age=1, priority=7,in_port=LOCAL actions=drop
//
// Counters that the switch does not know are left out, and are 0 here.
func parseCount(line string) (FlowCount, error) {
	var c FlowCount
	plain := append(make([]byte, 0, len(line)+1), ' ') // the line without its counters
	for rest := strings.TrimLeft(line, " "); ; {
		word, after := firstWord(rest)
		isCounter, err := readCounter(&c, word)
		if err != nil {
			return c, err
		}
		if !isCounter {
			kind, err := readWord(&c.Flow, word)
			if err != nil {
				return c, err
			}
			if kind == wordOfMatch {
				c.Flow, err = parseFlow(string(append(plain, rest...)))
				return c, err
			}
			plain = append(plain, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
}

// readCounter reads a word that stands in the way of [parseFlow].
func readCounter(c *FlowCount, word string) (isCounter bool, err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "n_packets":
		c.Packets, err = strconv.ParseUint(value, 10, 64)
	case "n_bytes":
		c.Bytes, err = strconv.ParseUint(value, 10, 64)
	case "duration":
		c.Age, err = time.ParseDuration(value)
	case "idle_age", "hard_age":
		_, err = strconv.ParseUint(value, 10, 64)
	default:
		return false, nil
	}
	return true, err
}

// Entries is how full the connection tracker is.
type Entries struct {
	// connections in all zones: of the userspace datapath those of Open vSwitch, of the kernel's
	// also others of its network namespace
	Known uint64
	Limit uint64 // how many there can be
	Zones []ZoneEntries
}

// ZoneEntries is how full a zone is. The switch counts only zones that have a limit.
type ZoneEntries struct {
	flows.ZoneLimit
	Known uint32
}

// kernelEntries is where the kernel says how full its tracker is.
const kernelEntries = "/proc/sys/net/netfilter/nf_conntrack_"

// Entries asks how full the connection tracker is. It is cheap: nothing is listed.
func (s *Switch) Entries(ctx context.Context) (Entries, error) {
	var e Entries
	var errs [2]error
	e.Known, errs[0] = s.entries(ctx, "count", "dpctl/ct-get-nconns")
	e.Limit, errs[1] = s.entries(ctx, "max", "dpctl/ct-get-maxconns")
	if err := errors.Join(errs[:]...); err != nil {
		return Entries{}, fmt.Errorf("count connections: %w", err)
	}
	out, err := s.control(ctx, "dpctl/ct-get-limits")
	if err != nil {
		return Entries{}, fmt.Errorf("count connections: %w", err)
	}
	e.Zones, err = parseZoneEntries(out)
	return e, err
}

// entries reads one number: from the kernel, or else from ovs-vswitchd.
func (s *Switch) entries(ctx context.Context, file, command string) (uint64, error) {
	text, err := s.entriesText(ctx, file, command)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(text), 10, 64)
}

func (s *Switch) entriesText(ctx context.Context, file, command string) (string, error) {
	if s.isKernel() {
		text, err := os.ReadFile(kernelEntries + file)
		return string(text), err
	}
	return s.control(ctx, command)
}
