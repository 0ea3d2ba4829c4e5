package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads and writes meters. [Installer] calls it. Invariant: the order of flows and
// meters is the caller's.

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

// LastMeter returns the highest number that a meter of ours may have. 0 = the switch has no meters.
// Open vSwitch takes any number; what it bounds is how many there are, and that it says of the
// first that is too many.
func (s *Switch) LastMeter(ctx context.Context) (uint32, error) {
	room, err := MeterRoom(ctx, s.opts.Target)
	if err != nil {
		return 0, fmt.Errorf("ask for meters: %w", s.worded(ctx, err))
	}
	if room == 0 {
		return 0, nil
	}
	return flows.MaxMeter, nil
}

// Meters reads back every meter, whoever made it. One of a kind that no program has is returned
// with a rate of 0, so that it is equal to none.
func (s *Switch) Meters(ctx context.Context) ([]flows.Meter, error) {
	held, err := Meters(ctx, s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the meters: %w", s.worded(ctx, err))
	}
	return held, nil
}

// MeterCounts returns what every meter has dropped.
func (s *Switch) MeterCounts(ctx context.Context) ([]MeterCount, error) {
	counts, err := MeterCounts(ctx, s.opts.Target)
	if err != nil {
		return nil, fmt.Errorf("read the counters of the meters: %w", s.worded(ctx, err))
	}
	return counts, nil
}

// PutMeters adds meters and changes others. Flows that name a meter must come after it: Open
// vSwitch takes meters one by one, not in bundles. If the error is, or wraps, a *[MeterError],
// asking again will not help.
func (s *Switch) PutMeters(ctx context.Context, delta flows.MeterDelta) error {
	return s.meterMods(ctx, flows.MeterDelta{Add: delta.Add, Change: delta.Change})
}

// DeleteMeters deletes meters. The switch deletes the flows that name them along: these must be
// gone before.
func (s *Switch) DeleteMeters(ctx context.Context, meters []flows.Meter) error {
	return s.meterMods(ctx, flows.MeterDelta{Delete: meters})
}

func (s *Switch) meterMods(ctx context.Context, delta flows.MeterDelta) error {
	err := PutMeters(ctx, s.opts.Target, delta)
	refused := new(MeterRefusal)
	if !errors.As(err, &refused) {
		if err != nil {
			err = fmt.Errorf("%d meters to add, %d to change, %d to delete: %w", len(delta.Add),
				len(delta.Change), len(delta.Delete), err)
		}
		return err
	}
	reason := s.reasonOf(ctx, refused.RefusedError)
	if refused.Type == meterModFailed && (refused.Code == meterExists ||
		refused.Code == unknownMeter) {
		// The switch has other meters than was thought: to read them back helps.
		return fmt.Errorf("%s: %s", reason, refused.Meter)
	}
	return &MeterError{Meter: refused.Meter, Reason: reason}
}

// The commands of a meter mod (OpenFlow 1.5, section 7.3.4.4).
const (
	meterAdd    = 0
	meterModify = 1
	meterDelete = 2
)

// ourMeter is the flags of every meter of ours: its rate is in packets a second, it has a burst,
// and it counts.
const ourMeter = 1<<1 | 1<<2 | 1<<3

// dropBand is the type of a band that drops what is above its rate.
const dropBand = 1

const (
	meterConfigSize = 8
	meterBandSize   = 16
)

// MeterRefusal says which meter a switch refuses. It wraps what the switch said.
type MeterRefusal struct {
	Meter flows.Meter
	*RefusedError
}

// Unwrap is what the switch said.
func (e *MeterRefusal) Unwrap() error { return e.RefusedError }

// PutMeters adds, changes and deletes meters, in this order (OpenFlow 1.5, section 7.3.4.4). All of
// them are told before the first answer is waited for. The error may be a *[MeterRefusal], about
// the first meter that was refused; those before it are as wanted, and of those behind it nothing
// is known. The switch is named as for [Send].
func PutMeters(ctx context.Context, target string, d flows.MeterDelta) error {
	return withConn(ctx, target, func(c *conn) error {
		first := c.xid + 1
		told, err := c.meters(d)
		if err == nil {
			err = c.barrier()
		}
		refused := new(RefusedError)
		if n := c.blamed - first; errors.As(err, &refused) && n < uint32(len(told)) {
			return &MeterRefusal{told[n], refused}
		}
		return err
	})
}

// meters tells meter mods, and returns whose in this order.
func (c *conn) meters(d flows.MeterDelta) (told []flows.Meter, err error) {
	for command, list := range [...][]flows.Meter{meterAdd: d.Add, meterModify: d.Change,
		meterDelete: d.Delete} {
		for _, m := range list {
			told = append(told, m)
			c.pending = appendMeterMod(c.pending, c.next(), uint16(command), m)
			if len(c.pending) < writeAt {
				continue
			}
			if err := c.write(); err != nil {
				return told, err
			}
		}
	}
	return told, nil
}

// appendMeterMod appends a meter mod. A delete names no bands.
func appendMeterMod(b []byte, xid uint32, command uint16, m flows.Meter) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(openflow.AppendHeader(b, typeMeterMod, xid), command)
	if command == meterDelete {
		return openflow.PutLength(binary.BigEndian.AppendUint32(append(b, 0, 0), m.ID), at)
	}
	b = binary.BigEndian.AppendUint16(b, ourMeter)
	b = binary.BigEndian.AppendUint32(b, m.ID)
	b = append(b, 0, dropBand, 0, meterBandSize)
	b = binary.BigEndian.AppendUint32(b, m.Rate)
	b = binary.BigEndian.AppendUint32(b, m.Burst)
	return openflow.PutLength(append(b, 0, 0, 0, 0), at)
}

// The multipart requests about meters (OpenFlow 1.5, section 7.3.5).
const (
	multipartMeter         = 9
	multipartMeterConfig   = 10
	multipartMeterFeatures = 11
)

var errMeters = errors.New("an answer about meters that is not understood")

// MeterRoom returns how many meters a switch can have. 0 = none.
func MeterRoom(ctx context.Context, target string) (room uint32, err error) {
	err = request(ctx, target, multipartMeterFeatures, nil, func(body []byte) error {
		if len(body) < 4 {
			return fmt.Errorf("%w: %x", errMeters, body)
		}
		room = binary.BigEndian.Uint32(body)
		return nil
	})
	return room, err
}

// Meters returns every meter of a switch, whoever made it. One of a kind that no program has is
// returned with a rate of 0, so that it is equal to none.
func Meters(ctx context.Context, target string) ([]flows.Meter, error) {
	return ofAllMeters(ctx, target, multipartMeterConfig, readMeter)
}

// ofAllMeters asks for something of every meter, and reads one answer after the other.
func ofAllMeters[T any](ctx context.Context, target string, kind uint16, read func([]byte) (T,
	[]byte, error)) ([]T, error) {
	everyMeter := []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	var out []T
	err := request(ctx, target, kind, everyMeter, func(body []byte) error {
		for len(body) > 0 {
			v, rest, err := read(body)
			if err != nil {
				return err
			}
			out, body = append(out, v), rest
		}
		return nil
	})
	return out, err
}

// readMeter reads struct ofp_meter_desc.
func readMeter(b []byte) (m flows.Meter, rest []byte, err error) {
	if len(b) < meterConfigSize {
		return m, nil, fmt.Errorf("%w: %x", errMeters, b)
	}
	length := int(binary.BigEndian.Uint16(b))
	if length < meterConfigSize || length > len(b) {
		return m, nil, fmt.Errorf("%w: %x", errMeters, b)
	}
	m.ID = binary.BigEndian.Uint32(b[4:])
	band := b[meterConfigSize:length]
	if binary.BigEndian.Uint16(b[2:]) == ourMeter && len(band) == meterBandSize &&
		binary.BigEndian.Uint16(band) == dropBand {
		m.Rate, m.Burst = binary.BigEndian.Uint32(band[4:]), binary.BigEndian.Uint32(band[8:])
	}
	return m, b[length:], nil
}

// MeterCount is how many packets a meter has dropped since it was made, or changed.
type MeterCount struct {
	ID      uint32
	Dropped uint64
}

// MeterCounts returns what every meter of a switch has dropped (OpenFlow 1.5, section 7.3.5.13).
func MeterCounts(ctx context.Context, target string) ([]MeterCount, error) {
	return ofAllMeters(ctx, target, multipartMeter, readMeterCount)
}

// readMeterCount reads struct ofp_meter_stats.
func readMeterCount(b []byte) (c MeterCount, rest []byte, err error) {
	const size, bandSize = 40, 16
	if len(b) < size {
		return c, nil, fmt.Errorf("%w: %x", errMeters, b)
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < size || length > len(b) || (length-size)%bandSize != 0 {
		return c, nil, fmt.Errorf("%w: %x", errMeters, b)
	}
	c.ID = binary.BigEndian.Uint32(b)
	for at := size; at < length; at += bandSize {
		c.Dropped += binary.BigEndian.Uint64(b[at:])
	}
	return c, b[length:], nil
}
