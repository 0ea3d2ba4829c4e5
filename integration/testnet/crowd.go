package testnet

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Crowd is everybody who sends and receives: the instances at the ports of one or more switches,
// and whoever is beyond their uplinks. A [World] has one, with one switch.
type Crowd struct {
	hosts    map[string]*Host
	switches func() []*Switch
	isInside func(name string) bool // whether it is an instance
	isKnown  func(name string) bool // whether it can be expected to hear the others
}

// NewCrowd makes an empty crowd.
func NewCrowd(switches func() []*Switch, isInside, isKnown func(name string) bool) *Crowd {
	return &Crowd{hosts: map[string]*Host{}, switches: switches, isInside: isInside,
		isKnown: isKnown}
}

// Add makes a host, with the other end of its wire in a namespace: that of a switch, say.
func (w *Crowd) Add(at *Namespace, spec HostSpec) (*Host, error) {
	h, err := newHost(at, spec)
	if err != nil {
		return nil, err
	}
	w.hosts[spec.Name] = h
	return h, nil
}

// AddOutside makes a host beyond the uplinks.
func (w *Crowd) AddOutside(f *Fabric, spec HostSpec) error {
	if _, err := w.Add(f.Namespace, spec); err != nil {
		return err
	}
	return f.join(spec.Port)
}

// Remove takes a host away: both ends of its wire, of which the other is in a namespace, and its
// own.
func (w *Crowd) Remove(name string, at *Namespace) error {
	h := w.Host(name)
	delete(w.hosts, name)
	h.close()
	link, err := at.Links.LinkByName(h.Port)
	if err != nil {
		return nil //nolint:nilerr // the namespace has taken it along
	}
	if err := at.Links.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s: %w", h.Port, err)
	}
	return nil
}

// Host returns a host by its name. It panics if there is none: a mistake of the caller, not of what
// is tested.
func (w *Crowd) Host(name string) *Host {
	h, ok := w.hosts[name]
	if !ok {
		panic("world: no host " + name)
	}
	return h
}

// Names returns the names of all hosts, sorted.
func (w *Crowd) Names() []string {
	var out []string
	for name := range w.hosts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// awaitDrained returns when no switch has a frame in hand.
func (w *Crowd) awaitDrained() error {
	for _, s := range w.switches() {
		if err := s.awaitDrained(); err != nil {
			return err
		}
	}
	return nil
}
