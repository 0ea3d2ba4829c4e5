package ofctl

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
)

// MeterError says that the switch can be reached and refuses a meter.
type MeterError struct {
	Meter  flows.Meter
	Reason string // as Open vSwitch puts it: OFPMMFC_OUT_OF_METERS
}

// Error is the reason and the meter.
func (e *MeterError) Error() string {
	return fmt.Sprintf("the switch refuses a meter: %s: %s", e.Reason, e.Meter)
}

var (
	maxMeter     = regexp.MustCompile(`(?m)^max_meter:(\d+)`)
	refusedMeter = regexp.MustCompile(`(?m)^OFPT_ERROR \S+ \S+ (OFPMMFC_\S+)`)
	// meterEntry is a meter as we make them; the band is in the next line. meterHead is any.
	meterEntry = regexp.MustCompile(`^meter=(\d+) pktps burst stats bands=\ntype=drop rate=(\d+) burst_size=(\d+)\s*$`)
	meterHead  = regexp.MustCompile(`(?m)^meter=(\d+) `)
)

// LastMeter returns how many meters the switch can have, which is also the highest number that is safe to use. 0 = none.
func (s *Switch) LastMeter(ctx context.Context) (uint32, error) {
	out, err := s.run(ctx, nil, "meter-features", s.opts.Target)
	if err != nil {
		return 0, fmt.Errorf("ask for meters: %w", err)
	}
	m := maxMeter.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("ask for meters: %w: %q", errNoMeters, out)
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 32)
	return uint32(n), err
}

var errNoMeters = errors.New("an answer that is not understood")

// Meters reads back every meter, whoever made it. One of a kind that no program has is returned with a rate of 0, so that it is equal to
// none.
func (s *Switch) Meters(ctx context.Context) ([]flows.Meter, error) {
	out, err := s.run(ctx, nil, "dump-meters", s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the meters: %w", err)
	}
	return parseMeters(string(out))
}

// parseMeters reads what `ovs-ofctl -O OpenFlow15 dump-meters` prints:
//
//	meter=7 pktps burst stats bands=
//	type=drop rate=10 burst_size=20
func parseMeters(text string) ([]flows.Meter, error) {
	var out []flows.Meter
	heads := meterHead.FindAllStringSubmatchIndex(text, -1)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		m, err := parseMeter(text[head[0]:end], text[head[2]:head[3]])
		if err != nil {
			return nil, fmt.Errorf("read the meters: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

func parseMeter(text, id string) (flows.Meter, error) {
	number := func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 10, 32)
		return uint32(n), err
	}
	n, err := number(id)
	m := flows.Meter{ID: n}
	if parts := meterEntry.FindStringSubmatch(text); parts != nil && err == nil {
		rate, errRate := number(parts[2])
		burst, errBurst := number(parts[3])
		m.Rate, m.Burst, err = rate, burst, errors.Join(errRate, errBurst)
	}
	return m, err
}

// PutMeters adds meters and changes others. Flows that name a meter must come after it: Open vSwitch takes meters one by one, not in
// bundles. If the error is, or wraps, a *[MeterError], asking again will not help.
func (s *Switch) PutMeters(ctx context.Context, delta flows.MeterDelta) error {
	for _, m := range delta.Add {
		if err := s.meterMod(ctx, "add-meter", m, m.String()); err != nil {
			return err
		}
	}
	for _, m := range delta.Change {
		if err := s.meterMod(ctx, "mod-meter", m, m.String()); err != nil {
			return err
		}
	}
	return nil
}

// DeleteMeters deletes meters. The switch deletes the flows that name them along: these must be gone before.
func (s *Switch) DeleteMeters(ctx context.Context, meters []flows.Meter) error {
	for _, m := range meters {
		if err := s.meterMod(ctx, "del-meter", m, fmt.Sprintf("meter=%d", m.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Switch) meterMod(ctx context.Context, command string, m flows.Meter, argument string) error {
	_, err := s.run(ctx, nil, command, s.opts.Target, argument)
	if err == nil {
		return nil
	}
	var failed *commandError
	if errors.As(err, &failed) {
		if reason := refusedMeter.FindStringSubmatch(failed.said); reason != nil && !isOutdated(reason[1]) {
			return &MeterError{Meter: m, Reason: reason[1]}
		}
	}
	return fmt.Errorf("%s %s: %w", command, argument, err)
}

// isOutdated says whether the switch has other meters than was thought: to read them back helps.
func isOutdated(reason string) bool {
	return strings.HasPrefix(reason, "OFPMMFC_METER_EXISTS") || strings.HasPrefix(reason, "OFPMMFC_UNKNOWN_METER")
}
