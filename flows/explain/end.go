package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// End is one side of a question: some places, or anywhere.
type End struct {
	Name string // as it was asked for
	Any  bool   // every instance, and the rest of the world
	// Outside is somebody behind the uplinks, whoever it is: a gateway, where the settings list any.
	// Only a [Conversation] is held with it.
	Outside bool
	Points  []Point
}

// Point is one address at one place: at a port of an instance, or behind the uplinks.
type Point struct {
	Instance string     `json:"instance,omitempty"` // "" = of no instance
	Port     string     `json:"port,omitempty"`
	Host     string     `json:"host,omitempty"` // of the instance; "" = every host
	Address  netip.Addr `json:"address"`
	// that the address stands for, where the port has more than one address by it
	Network string `json:"network,omitempty"`

	local placed
	mac   policy.MAC
}

// placed is a port and the instance that has it; the zero value is nowhere.
type placed struct {
	Instance *policy.Instance
	Port     *policy.Port
}

// String returns "web-1 203.0.113.11", or the address alone.
func (p Point) String() string {
	return strings.TrimSpace(p.Instance + " " + p.Place())
}

// Place returns the address, or the network that it stands for; "" if it has none.
func (p Point) Place() string {
	switch {
	case p.Network != "":
		return p.Network
	case p.Address.IsValid():
		return p.Address.String()
	}
	return ""
}

// The words for everywhere, and for somebody behind the uplinks.
const (
	AnyEnd     = "any"
	OutsideEnd = "outside"
)

// ErrUnknownEnd says that a word names no instance, no port and no address.
type ErrUnknownEnd struct{ Name string }

func (e *ErrUnknownEnd) Error() string {
	return fmt.Sprintf("%q is no instance, no port and no address", e.Name)
}

// FindEnd finds what a word names: "any", "outside" if nothing has that name, an instance, a port,
// an address, or NAME@ADDRESS for an instance or a port that uses one address, its own or not. The
// error is an [*ErrUnknownEnd].
func FindEnd(w spec.World, name string) (End, error) { return Read(w).FindEnd(name) }

// FindEnd is the function [FindEnd].
func (r Reader) FindEnd(name string) (End, error) {
	x, end := r.explainer(), End{Name: name, Any: name == AnyEnd}
	if end.Any {
		return end, nil
	}
	if end.Points = x.pointsOf(name); end.Points != nil {
		return end, nil
	}
	if name == OutsideEnd {
		end.Outside = true
		return end, nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		end.Points = x.pointsAt(a.Unmap().WithZone(""))
		return end, nil
	}
	if cut := strings.LastIndexByte(name, '@'); cut > 0 {
		a, err := netip.ParseAddr(name[cut+1:])
		if points := x.pointsOf(name[:cut]); err == nil && points != nil {
			end.Points = using(points, a.Unmap())
			return end, nil
		}
	}
	return End{}, &ErrUnknownEnd{name}
}

// Names returns every name that [FindEnd] knows: of instances and of ports, sorted.
func Names(w spec.World) []string { return Read(w).Names() }

// Names is the function [Names].
func (r Reader) Names() []string { return r.index.names() }

// pointsOf returns the addresses of the instance, or else of the port, of this name.
func (x *explainer) pointsOf(name string) []Point {
	if n, known := x.index.places().instances[name]; known {
		i, all := x.Policy.Instances[n], []Point{}
		for nth := range i.Ports {
			all = append(all, pointsOfPort(i, &i.Ports[nth])...)
		}
		return all
	}
	if l := x.index.portNamed(name); l.Port != nil {
		return pointsOfPort(l.Instance, l.Port)
	}
	return nil
}

// pointsOfPort returns a point for each address, own and allowed; a network stands for its
// addresses by the first of them.
func pointsOfPort(i *policy.Instance, p *policy.Port) []Point {
	points := []Point{}
	for _, n := range p.Networks() {
		n = n.Masked()
		point := Point{Instance: i.Name, Port: p.Name, Host: i.Host, Address: n.Addr(),
			local: placed{i, p}, mac: macFor(p, n.Addr())}
		if !n.IsSingleIP() {
			point.Network = n.String()
		}
		if !slices.ContainsFunc(points, func(o Point) bool { return o.Place() == point.Place() }) {
			points = append(points, point)
		}
	}
	return points
}

// using replaces the addresses of points by one address, once for each port.
func using(points []Point, a netip.Addr) []Point {
	var out []Point
	for _, p := range points {
		if slices.ContainsFunc(out, func(o Point) bool { return o.Port == p.Port }) {
			continue
		}
		p.Address, p.Network, p.mac = a, "", macFor(p.local.Port, a)
		out = append(out, p)
	}
	return out
}

// macFor returns the MAC that a port uses with an address: its own, unless it is an allowed address
// of another MAC only.
func macFor(p *policy.Port, a netip.Addr) policy.MAC {
	mac := p.MAC
	if slices.ContainsFunc(p.Addresses, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return mac
	}
	for _, u := range p.Uses() {
		if u.Prefix.Contains(a) {
			if mac = u.MAC; mac == p.MAC {
				return mac
			}
		}
	}
	return mac
}

// pointsAt returns who has an address: the port that owns it, else those that may use it, else
// somebody behind the uplinks. Where it is one of a network that ports may use, it may be behind
// the uplinks as well: nothing there keeps others from it.
func (x *explainer) pointsAt(a netip.Addr) []Point {
	var own, allowed []Point
	single := false
	for _, at := range x.index.using(a) {
		l := x.index.placed(at)
		point := Point{Instance: l.Instance.Name, Port: l.Port.Name, Host: l.Instance.Host, Address: a,
			local: l, mac: macFor(l.Port, a)}
		if l.Port.Owns(a) {
			own = append(own, point)
			continue
		}
		allowed = append(allowed, point)
		single = single || slices.ContainsFunc(l.Port.Uses(),
			func(u policy.Use) bool { return u.Prefix.Contains(a) && u.Prefix.IsSingleIP() })
	}
	switch {
	case len(own) > 0:
		return own
	case single:
		return allowed
	}
	return append(allowed, Point{Address: a, mac: x.strangeMAC(a)})
}

// strangeMAC returns the MAC of frames from or to an address behind the uplinks: that of no port,
// or the one of a multicast address (RFC 1112, section 6.4; RFC 2464, section 7).
func (x *explainer) strangeMAC(a netip.Addr) policy.MAC {
	b := a.As16()
	switch {
	case a == policy.BroadcastAddr:
		return policy.BroadcastMAC
	case a.IsMulticast() && a.Is4():
		return policy.MAC{1, 0, 0x5e, b[13] & 0x7f, b[14], b[15]}
	case a.IsMulticast():
		return policy.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
	}
	m := policy.MAC{2, 0xff, 0xff, 0, 0, 0}
	for len(x.index.having(m)) > 0 {
		m[5]++
	}
	return m
}
