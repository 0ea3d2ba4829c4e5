package explain

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/flows/spec"
)

// End is one side of a question: some places, a crowd of them, or anywhere. A crowd is not listed
// here, because it may be everybody: package census asks about it.
type End struct {
	Name string // as it was asked for
	Any  bool   // every instance, and the rest of the world
	// Outside is somebody behind the uplinks: in a [Conversation] a gateway, where the settings list
	// any, else every address that is no instance's.
	Outside bool
	Points  []Point
	Group   string       // its members, and its external sources
	Host    string       // its instances
	Network netip.Prefix // each of its addresses, whoever has it
}

// IsCrowd says whether an end is asked about as a whole: a group, a host, a network, or outside.
func (e End) IsCrowd() bool {
	return e.Outside || e.Group != "" || e.Host != "" || e.Network.IsValid()
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
	AnyEnd      = "any"
	OutsideEnd  = "outside"
	InternetEnd = "internet" // another word for outside
)

// Prefixes say what a name is of, where several things have it.
const (
	groupPrefix = "group:"
	hostPrefix  = "host:"
)

// ErrUnknownEnd says that a word names nobody, and what is near.
type ErrUnknownEnd struct{ Name, Near string }

func (e *ErrUnknownEnd) Error() string {
	text := fmt.Sprintf("there is no instance, port, group or host %q", e.Name)
	if strings.ContainsAny(e.Name, "./") && strings.Trim(e.Name, "0123456789./") == "" {
		text = fmt.Sprintf("%q is no address and no network", e.Name)
	}
	if e.Near != "" {
		return text + "; did you mean " + e.Near + "?"
	}
	return text
}

// FindEnd finds what a word names: "any"; an instance, a port, a group or a host; "outside", unless
// one of them has that name; an address, a network, a MAC; or NAME@ADDRESS for an instance or a
// port that uses one address, its own or not. group:NAME and host:NAME are those, whatever else has
// the name. The error is an [*ErrUnknownEnd].
func (r Reader) FindEnd(name string) (End, error) {
	x, end := r.explainer(), End{Name: name, Any: name == AnyEnd}
	if end.Any {
		return end, nil
	}
	if end.Points = x.pointsOf(name); end.Points != nil {
		return end, nil
	}
	group, host := strings.TrimPrefix(name, groupPrefix), strings.TrimPrefix(name, hostPrefix)
	switch {
	case len(x.index.groups[name]) > 0:
		end.Group = name
		return end, nil
	case len(x.index.groups[group]) > 0:
		end.Group = group
		return end, nil
	case host != "" && len(x.index.places().hosts[host]) > 0:
		end.Host = host
		return end, nil
	case name == OutsideEnd, name == InternetEnd:
		end.Outside = true
		return end, nil
	}
	if x.numbered(&end) {
		return end, nil
	}
	return End{}, &ErrUnknownEnd{name, r.near(name)}
}

// numbered finds what a word names by a number: an address, a network or a MAC.
func (x *explainer) numbered(end *End) bool {
	if a, err := netip.ParseAddr(end.Name); err == nil {
		end.Points = x.pointsAt(a.Unmap().WithZone(""))
		return true
	}
	if n, err := netip.ParsePrefix(end.Name); err == nil {
		if end.Network = n.Masked(); n.IsSingleIP() {
			end.Network, end.Points = netip.Prefix{}, x.pointsAt(n.Addr())
		}
		return true
	}
	if m, ok := parseMAC(end.Name); ok && len(x.index.having(m)) > 0 {
		end.Points = x.pointsWith(m)
		return true
	}
	if cut := strings.LastIndexByte(end.Name, '@'); cut > 0 {
		a, err := netip.ParseAddr(end.Name[cut+1:])
		if points := x.pointsOf(end.Name[:cut]); err == nil && points != nil {
			end.Points = using(points, a.Unmap())
			return true
		}
	}
	return false
}

// parseMAC reads six bytes in hexadecimal, with colons or dashes.
func parseMAC(word string) (m policy.MAC, ok bool) {
	parts := strings.Split(strings.ReplaceAll(word, "-", ":"), ":")
	if len(parts) != len(m) {
		return m, false
	}
	for n, part := range parts {
		b, err := strconv.ParseUint(part, 16, 8)
		if err != nil || len(part) > 2 {
			return m, false
		}
		m[n] = byte(b)
	}
	return m, true
}

// pointsWith returns the addresses that ports use with a MAC.
func (x *explainer) pointsWith(m policy.MAC) []Point {
	out := []Point{}
	for _, at := range x.index.having(m) {
		l := x.index.placed(at)
		for _, p := range pointsOfPort(l.Instance, l.Port) {
			a, n := p.Address, p.Network
			uses := func(u policy.Use) bool { return u.MAC == m && u.Prefix.Contains(a) }
			if slices.ContainsFunc(l.Port.Uses(), uses) {
				p.Network, p.mac = n, m
				out = append(out, p)
			}
		}
	}
	return out
}

// near says which names are like an unknown one, and what they are.
func (r Reader) near(name string) string {
	x := r.index.places()
	kinds := map[string]string{AnyEnd: "", OutsideEnd: ""}
	for host := range x.hosts {
		kinds[host] = "host"
	}
	for port := range x.ports {
		kinds[port] = "port"
	}
	for name, group := range r.index.groups {
		kinds[name] = "group"
		if group[0].IsNetwork {
			kinds[name] = "network"
		}
	}
	for instance := range x.instances {
		kinds[instance] = "instance"
	}
	delete(kinds, "")
	near, ok := wording.Nearest(name, slices.Collect(maps.Keys(kinds)))
	if !ok {
		return ""
	}
	return strings.TrimSpace(kinds[near] + " " + wording.Quote(near))
}

// Names returns every name that [Reader.FindEnd] knows: of instances and of ports, sorted.
func (r Reader) Names() []string { return r.index.names() }

// Groups returns the names of all groups, sorted.
func (r Reader) Groups() []string { return slices.Sorted(maps.Keys(r.index.groups)) }

// What package census asks one pair of points at a time.

// World returns what is read. It must not be changed.
func (r Reader) World() spec.World { return spec.World{Policy: r.index.policy, Site: r.site} }

// Route says what becomes of services between two points of one family; only is as for
// [Reader.Explain].
func (r Reader) Route(from, to Point, s Asked, only ...string) Route {
	x := r.explainer()
	x.routed, x.only = true, only
	return x.route(from, to, s)
}

// PointsAt returns who has an address: ports, or somebody behind the uplinks.
func (r Reader) PointsAt(a netip.Addr) []Point { return r.explainer().pointsAt(a) }

// HostsOfMAC returns the hosts of the ports that use a MAC, each as often as it has one.
func (r Reader) HostsOfMAC(m policy.MAC) (hosts []string) {
	for _, at := range r.index.having(m) {
		i := r.index.policy.Instances[at.instance]
		if hosts = append(hosts, i.Host); i.MigratingTo != "" {
			hosts = append(hosts, i.MigratingTo)
		}
	}
	return hosts
}

// PointsOf returns a point for each address of a port, own and allowed; a network stands for its
// addresses by the first of them.
func PointsOf(i *policy.Instance, p *policy.Port) []Point { return pointsOfPort(i, p) }

// At returns the port that has the point, and its instance; nil = it is behind the uplinks.
func (p Point) At() (*policy.Instance, *policy.Port) { return p.local.Instance, p.local.Port }

// Of returns the point for another address of the same place.
func (p Point) Of(a netip.Addr, n netip.Prefix) Point {
	p.Address, p.Network = a, ""
	if n.IsValid() && !n.IsSingleIP() {
		p.Network = n.String()
	}
	return p
}

// MAC returns the MAC that frames have from there.
func (p Point) MAC() policy.MAC { return p.mac }

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
