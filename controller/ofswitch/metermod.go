package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// The commands of a meter mod (OpenFlow 1.5, section 7.3.4.4).
const (
	meterAdd    = 0
	meterModify = 1
	meterDelete = 2
)

// ourMeter is the flags of every meter of ours: its rate is in packets a second, it has a burst, and it counts.
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

// PutMeters adds, changes and deletes meters, in this order (OpenFlow 1.5, section 7.3.4.4). All of them are told before the first
// answer is waited for. The error may be a *[MeterRefusal], about the first meter that was refused; those before it are as wanted, and
// of those behind it nothing is known. The switch is named as for [Send].
func PutMeters(ctx context.Context, target string, d flows.MeterDelta) error {
	return converse(ctx, target, func(c *conversation) error {
		first := c.xid + 1
		told, err := c.meters(d)
		if err == nil {
			err = c.settle()
		}
		refused := new(RefusedError)
		if n := c.blamed - first; errors.As(err, &refused) && n < uint32(len(told)) {
			return &MeterRefusal{told[n], refused}
		}
		return err
	})
}

// meters tells meter mods, and returns whose in this order.
func (c *conversation) meters(d flows.MeterDelta) (told []flows.Meter, err error) {
	for command, list := range [...][]flows.Meter{meterAdd: d.Add, meterModify: d.Change, meterDelete: d.Delete} {
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

// Meters returns every meter of a switch, whoever made it. One of a kind that no program has is returned with a rate of 0, so that it is
// equal to none.
func Meters(ctx context.Context, target string) ([]flows.Meter, error) {
	return ofAllMeters(ctx, target, multipartMeterConfig, readMeter)
}

// ofAllMeters asks for something of every meter, and reads one answer after the other.
func ofAllMeters[T any](ctx context.Context, target string, kind uint16, read func([]byte) (T, []byte, error)) ([]T, error) {
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
	if binary.BigEndian.Uint16(b[2:]) == ourMeter && len(band) == meterBandSize && binary.BigEndian.Uint16(band) == dropBand {
		m.Rate, m.Burst = binary.BigEndian.Uint32(band[4:]), binary.BigEndian.Uint32(band[8:])
	}
	return m, b[length:], nil
}

// request asks a switch one multipart request and hands each part of the answer to take.
func request(ctx context.Context, target string, kind uint16, body []byte, take func(body []byte) error) error {
	conn, err := dial(ctx, target)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	const number, more = 2, 1
	if _, err := conn.Write(appendRequest(appendHello(nil, 1), number, kind, body)); err != nil {
		return ended(ctx, err)
	}
	for {
		m, err := receive(conn)
		if err == nil {
			err = m.refusal()
		}
		if err != nil {
			return ended(ctx, err)
		}
		if m.kind() != typeMultipartReply || m.xid() != number {
			continue
		}
		part := m.body()
		if len(part) < multipartSize || binary.BigEndian.Uint16(part) != kind {
			return fmt.Errorf("%w: %x", errMeters, m)
		}
		if err := take(part[multipartSize:]); err != nil {
			return err
		}
		if binary.BigEndian.Uint16(part[2:])&more == 0 {
			return nil
		}
	}
}

// appendRequest appends a multipart request (OpenFlow 1.5, section 7.3.5).
func appendRequest(b []byte, xid uint32, kind uint16, body []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(openflow.AppendHeader(b, typeMultipartRequest, xid), kind)
	return openflow.PutLength(append(append(b, 0, 0, 0, 0, 0, 0), body...), at)
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
