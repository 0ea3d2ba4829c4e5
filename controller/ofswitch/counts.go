package ofswitch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads counters of flows, and how full the connection tracker is. Package telemetry
// calls it.

// FlowCount is a flow and what it has counted.
type FlowCount struct {
	Flow openflow.Flow
	openflow.Counts
}

// Counts hands every flow of the pipeline's tables with its counters to take, one at a time; none
// is kept here. ovs-vswitchd changes no flows while it answers. Errors: as of [Switch.Dump].
func (s *Switch) Counts(ctx context.Context, take func(FlowCount)) error {
	err := s.describe(ctx, func(f openflow.Flow, d openflow.Description) error {
		counted, err := d.Counts()
		if err == nil {
			take(FlowCount{f, counted})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the counters of the flows: %w", err)
	}
	return nil
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
