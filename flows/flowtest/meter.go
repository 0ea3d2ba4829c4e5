package flowtest

import (
	"errors"
	"fmt"
)

// meter is meter:N. A meter that is exhausted drops the packet with everything that would come
// after; the others let it pass. That the switch has the meter is not checked here: see
// [flows.Program.Meters].
type meter struct{ id uint32 }

func (a meter) String() string { return fmt.Sprintf("meter:%d", a.id) }

// errMetered ends the way of a packet, or of a copy, that a meter drops.
var errMetered = errors.New("dropped by a meter")

func (a meter) run(w *walk) error {
	w.result.Meters = append(w.result.Meters, a.id)
	if w.sw.exhausted[a.id] {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%s drops", a))
		return errMetered
	}
	return nil
}

// Exhaust makes meters drop every packet from now on. Without any, all meters let pass again.
func (s *Switch) Exhaust(ids ...uint32) {
	s.exhausted = map[uint32]bool{}
	for _, id := range ids {
		s.exhausted[id] = true
	}
}

// unmetered takes a drop by a meter for what it is: no mistake.
func unmetered(err error) error {
	if errors.Is(err, errMetered) {
		return nil
	}
	return err
}

func parseMeter(args string) (action, error) {
	n, err := parseNumber(args, 32)
	if err == nil && n.lo == 0 {
		err = errors.New("meters are numbered from 1")
	}
	return meter{uint32(n.lo)}, err
}

// checkMeter refuses a meter that is not the first action, as Open vSwitch does ("meter must appear
// before apply_actions").
func checkMeter(as []action) error {
	for i, a := range as {
		if _, ok := a.(meter); ok && i > 0 {
			return fmt.Errorf("%s is not the first action", a)
		}
	}
	return nil
}

// checkShow refuses to send packets to controllers unless a meter stands before it, and nothing
// behind: a flood would keep the switch busy.
func checkShow(as []action) error {
	for i, a := range as {
		if _, ok := a.(show); !ok {
			continue
		}
		if _, metered := as[0].(meter); !metered || i != len(as)-1 {
			return fmt.Errorf("%s without a meter before it, or with more behind it", a)
		}
	}
	return nil
}
