package ofswitch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file puts a program on the switch: meters before the flows that name them, limits of zones
// before the flows that fill them, flows in one bundle, then what is no longer needed. The agent's
// apply calls it.

// MeterTable is what a switch has beside its flows to hold ports to limits. [Switch] implements it.
type MeterTable interface {
	// LastMeter returns the highest number of a meter that may be used; 0 = the switch has no
	// meters.
	LastMeter(ctx context.Context) (uint32, error)
	// Meters returns all meters.
	Meters(ctx context.Context) ([]flows.Meter, error)
	// PutMeters adds and changes meters. If the error wraps a *[MeterError], the switch will not
	// have that meter.
	PutMeters(ctx context.Context, d flows.MeterDelta) error
	// DeleteMeters deletes meters that no flow names any more.
	DeleteMeters(ctx context.Context, meters []flows.Meter) error
	// MakeRoom has the datapath hold as many fragments as it can. The error says why it is too few.
	MakeRoom(ctx context.Context) error
	// ZoneLimits returns the limits of all conntrack zones.
	ZoneLimits(ctx context.Context) ([]flows.ZoneLimit, error)
	// LimitZones sets limits, and takes away those of other zones.
	LimitZones(ctx context.Context, limits []flows.ZoneLimit, unlimited []uint16) error
}

// BundleSender changes flows. [Switch] implements it.
type BundleSender interface {
	// Apply makes the changes, all or none. If the error wraps a *[RejectedError], nothing was
	// changed; after any other it may have been.
	Apply(ctx context.Context, delta openflow.Delta) error
}

// Program is what a switch is to hold.
type Program struct {
	Delta  openflow.Delta // turns the flows that it holds into those of the program
	Limits flows.Limits
	// Zones are all that are ours: those that are not in Limits have no limit.
	Zones []uint16
	// ZonesMoved says that a zone was another port's, and may have its limit.
	ZonesMoved bool
}

// ErrFewerMeters says that the switch has fewer meters than was thought, and that no flow was sent:
// the program is to be compiled again for [Installer.LastMeter].
var ErrFewerMeters = errors.New("the switch has fewer meters than was thought")

// NotBegunError is an error that ended an Apply before any flow was sent.
type NotBegunError struct{ Err error }

// Error is that of the cause.
func (e *NotBegunError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *NotBegunError) Unwrap() error { return e.Err }

const (
	// limitTime bounds what is done for limits and can be left undone.
	limitTime = 5 * time.Second
	// limitFirstTime bounds how long flows wait for limits of zones, as there may be a revocation
	// among them.
	limitFirstTime = time.Second
)

// Installer puts programs on a switch: meters and limits, then flows, then what the flows no longer
// need. It remembers the meters and limits that the switch holds. A limit that cannot be had holds
// up nobody: it is left out, and Warnings say so. For one goroutine.
type Installer struct {
	sender BundleSender
	table  MeterTable // nil = the switch has none of this
	log    *logrus.Entry

	lastMeter   uint32
	meters      []flows.Meter // as last read or acknowledged
	metersKnown bool
	zones       map[uint16]uint32 // likewise
	zonesKnown  bool
	// isLimitLate says that limits could not be set last: flows do not wait for them until they can.
	isLimitLate bool

	unmetered, meterError, zoneError, roomError string // what is not in force, and why
}

// NewInstaller returns an installer; table may be nil.
func NewInstaller(sender BundleSender, table MeterTable, log *logrus.Entry) *Installer {
	return &Installer{sender: sender, table: table, log: log}
}

// LastMeter is the highest meter that a program may name.
func (in *Installer) LastMeter() uint32 { return in.lastMeter }

// Begin asks anew what the switch can do, and forgets what it holds: it may be another one.
func (in *Installer) Begin(ctx context.Context) {
	in.lastMeter, in.metersKnown, in.zonesKnown, in.meterError = 0, false, false, ""
	if in.table == nil {
		return
	}
	var err error
	if in.lastMeter, err = in.table.LastMeter(ctx); err != nil {
		in.complain(&in.meterError, fmt.Errorf("packets are not limited: %w", err))
	}
	in.complain(&in.roomError, in.table.MakeRoom(ctx))
	_ = in.readMeters(ctx) // who needs them tries again
	in.isLimitLate = in.readZones(ctx) != nil
}

// Invalidate has the meters read again before they are used.
func (in *Installer) Invalidate() { in.metersKnown = false }

// Apply makes the switch hold a program. The time is that of the bundle; 0 = no flow was to be
// changed. An error is [ErrFewerMeters], a *[NotBegunError], or of the bundle: see
// [BundleSender.Apply].
func (in *Installer) Apply(ctx context.Context, p Program) (time.Duration, error) {
	if err := in.putMeters(ctx, p.Limits.Meters); err != nil {
		return 0, err
	}
	in.zonesKnown = in.zonesKnown && !p.ZonesMoved
	var elapsed time.Duration
	if !p.Delta.Empty() {
		in.limitFirst(ctx, p)
		began := time.Now()
		err := in.sender.Apply(ctx, p.Delta)
		elapsed = max(time.Since(began), 1)
		if err != nil {
			return elapsed, err
		}
	}
	in.finish(ctx, p)
	return elapsed, nil
}

// putMeters adds and changes meters. A switch that refuses one is taken to have none of that number
// or above.
func (in *Installer) putMeters(ctx context.Context, want []flows.Meter) error {
	if in.table == nil {
		return nil
	}
	if !in.metersKnown {
		if err := in.readMeters(ctx); err != nil && len(want) > 0 {
			return &NotBegunError{err}
		}
	}
	d := flows.DiffMeters(want, in.meters)
	if len(d.Add)+len(d.Change) == 0 {
		return nil
	}
	in.metersKnown = false
	err := in.table.PutMeters(ctx, d)
	if refused := new(MeterError); errors.As(err, &refused) {
		in.complain(&in.meterError, fmt.Errorf("switch: %w", err))
		in.lastMeter = refused.Meter.ID - 1
		return ErrFewerMeters
	}
	if err != nil {
		return &NotBegunError{err}
	}
	in.meters, in.metersKnown = append(slices.Clone(want), d.Delete...), true
	return nil
}

// limitFirst sets the limits of zones: the kernel's datapath counts no connection that was opened
// before its zone had one. What cannot be set in time is set by finish.
func (in *Installer) limitFirst(ctx context.Context, p Program) {
	if in.table == nil || in.isLimitLate || len(p.Limits.ZoneLimits) == 0 {
		return
	}
	p.Zones = nil // those without a limit keep theirs until the flows have left them
	ctx, cancel := context.WithTimeout(ctx, limitFirstTime)
	defer cancel()
	if err := in.limitZones(ctx, p); err != nil {
		in.log.WithError(err).Warn("limits of connections are not set before the flows: what is " +
			"opened until they are may not count")
	}
}

// finish deletes the meters that the flows no longer name, and limits the zones as they are to be.
func (in *Installer) finish(ctx context.Context, p Program) {
	if in.table == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limitTime)
	defer cancel()
	in.complain(&in.unmetered, missing(p.Limits.Unmetered))
	if old := flows.DiffMeters(p.Limits.Meters, in.meters).Delete; in.metersKnown && len(old) > 0 {
		in.metersKnown = false
		if err := in.table.DeleteMeters(ctx, old); err != nil {
			in.log.WithError(err).Debug("meters are left over")
		} else {
			in.meters, in.metersKnown = p.Limits.Meters, true
		}
	}
	err := in.limitZones(ctx, p)
	if in.isLimitLate = err != nil; err != nil {
		err = fmt.Errorf("connections are not limited: %w", err)
	}
	in.complain(&in.zoneError, err)
}

// limitZones gives zones their limits, and takes away those of the others in p.Zones.
func (in *Installer) limitZones(ctx context.Context, p Program) error {
	wanted := zoneMap(p.Limits.ZoneLimits)
	if !in.zonesKnown {
		if err := in.readZones(ctx); err != nil && len(wanted) > 0 {
			return err
		}
		in.zonesKnown = true // where none are wanted, what cannot be read has none
	}
	change := slices.DeleteFunc(slices.Clone(p.Limits.ZoneLimits), func(z flows.ZoneLimit) bool {
		return in.zones[z.Zone] == z.Connections
	})
	unlimited := slices.DeleteFunc(slices.Clone(p.Zones), func(zone uint16) bool {
		return in.zones[zone] == 0 || wanted[zone] != 0
	})
	if len(change)+len(unlimited) == 0 {
		return nil
	}
	if err := in.table.LimitZones(ctx, change, unlimited); err != nil {
		in.zonesKnown = false
		return err
	}
	for _, zone := range unlimited {
		delete(in.zones, zone)
	}
	for _, z := range change {
		in.zones[z.Zone] = z.Connections
	}
	return nil
}

func (in *Installer) readMeters(ctx context.Context) error {
	held, err := in.table.Meters(ctx)
	in.meters, in.metersKnown = held, err == nil
	return err
}

func (in *Installer) readZones(ctx context.Context) error {
	held, err := in.table.ZoneLimits(ctx)
	in.zones, in.zonesKnown = zoneMap(held), err == nil
	return err
}

// complain notes the first trouble of a kind, and logs it when it is new. No error ends it.
func (in *Installer) complain(about *string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != *about {
		in.log.Warn(text)
	}
	*about = text
}

// Warnings say which limits are not in force.
func (in *Installer) Warnings() []string {
	all := []string{in.unmetered, in.meterError, in.zoneError, in.roomError}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func zoneMap(limits []flows.ZoneLimit) map[uint16]uint32 {
	out := make(map[uint16]uint32, len(limits))
	for _, z := range limits {
		out[z.Zone] = z.Connections
	}
	return out
}

// missing says which ports the switch has no meters for.
func missing(ports []string) error {
	const most = 5
	if len(ports) == 0 {
		return nil
	}
	names := strings.Join(ports[:min(most, len(ports))], ", ")
	switch more := len(ports) - most; {
	case more == 1:
		names += " and another port"
	case more > 1:
		names = fmt.Sprintf("%s and %d other ports", names, more)
	}
	return fmt.Errorf("packets are not limited, and denied ones not logged: "+
		"the switch has no meters for %s", names)
}
