package ofswitch

import (
	"context"
	"errors"
	"fmt"

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

// What a switch says against a meter: OFPET_METER_MOD_FAILED of OpenFlow 1.5, section 7.5.4.13.
const meterModFailed = 12

const (
	meterExists  = 1
	unknownMeter = 3
)

// LastMeter returns the highest number that a meter of ours may have. 0 = the switch has no meters. Open vSwitch takes any number; what it
// bounds is how many there are, and that it says of the first that is too many.
func (s *Switch) LastMeter(ctx context.Context) (uint32, error) {
	room, err := MeterRoom(ctx, s.opts.Target)
	if err != nil {
		return 0, fmt.Errorf("ask for meters: %w", err)
	}
	if room == 0 {
		return 0, nil
	}
	return flows.MaxMeter, nil
}

// Meters reads back every meter, whoever made it. One of a kind that no program has is returned with a rate of 0, so that it is equal to
// none.
func (s *Switch) Meters(ctx context.Context) ([]flows.Meter, error) {
	held, err := Meters(ctx, s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the meters: %w", err)
	}
	return held, nil
}

// MeterCounts returns what every meter has dropped.
func (s *Switch) MeterCounts(ctx context.Context) ([]MeterCount, error) {
	counts, err := MeterCounts(ctx, s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the counters of the meters: %w", err)
	}
	return counts, nil
}

// PutMeters adds meters and changes others. Flows that name a meter must come after it: Open vSwitch takes meters one by one, not in
// bundles. If the error is, or wraps, a *[MeterError], asking again will not help.
func (s *Switch) PutMeters(ctx context.Context, delta flows.MeterDelta) error {
	return s.meterMods(ctx, flows.MeterDelta{Add: delta.Add, Change: delta.Change})
}

// DeleteMeters deletes meters. The switch deletes the flows that name them along: these must be gone before.
func (s *Switch) DeleteMeters(ctx context.Context, meters []flows.Meter) error {
	return s.meterMods(ctx, flows.MeterDelta{Delete: meters})
}

func (s *Switch) meterMods(ctx context.Context, delta flows.MeterDelta) error {
	err := PutMeters(ctx, s.opts.Target, delta)
	refused := new(MeterRefusal)
	if !errors.As(err, &refused) {
		if err != nil {
			err = fmt.Errorf("%d meters to add, %d to change, %d to delete: %w", len(delta.Add), len(delta.Change), len(delta.Delete), err)
		}
		return err
	}
	reason := s.reasonOf(ctx, refused.RefusedError)
	if refused.Type == meterModFailed && (refused.Code == meterExists || refused.Code == unknownMeter) {
		// The switch has other meters than was thought: to read them back helps.
		return fmt.Errorf("%s: %s", reason, refused.Meter)
	}
	return &MeterError{Meter: refused.Meter, Reason: reason}
}
