package explain

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Reach says who may open connections to one end (its ingress), or to whom it may open them (its
// egress). It holds for every address: those of instances are told one by one, with the rules of
// both ends, for packets that go directly; all others are outside.
type Reach struct {
	Direction string    `json:"direction"` // ingress: who may reach it; egress: whom it may reach
	Points    []Point   `json:"points"`    // for which of the end's addresses
	Open      bool      `json:"open,omitempty"`
	Outside   []Outside `json:"outside"`
	Instances []Reached `json:"instances"`
}

// Outside is a network of which every address that is no instance's is admitted by a rule.
type Outside struct {
	Network netip.Prefix `json:"network"`
	// why a group has it: "allowed_addresses of web-1", "external_sources of vpn"
	Of       []string `json:"of,omitempty"`
	Services Services `json:"services"`
	Rules    []Named  `json:"rules,omitempty"` // none where egress is open
}

// Reached are instances that are admitted alike.
type Reached struct {
	Peers    []Point  `json:"peers"`
	Services Services `json:"services"`         // admitted by both ends
	Rules    []Named  `json:"rules,omitempty"`  // of this end
	Theirs   []Named  `json:"theirs,omitempty"` // of the other end
}

// Peers answers who may reach an end by a service (d is Ingress), or whom it may reach (Egress).
// Addresses of the end for which the answer is the same share one; what is not admitted at all is
// left out. One answer comes after the other.
func (r Reader) Peers(end End, d policy.Direction, s Asked) iter.Seq[Reach] {
	return func(yield func(Reach) bool) {
		x := r.explainer()
		var ofPort []Reach // those of the last port: only these can be alike
		for p := range x.pointsIn(end) {
			if len(ofPort) > 0 && ofPort[0].Points[0].Port != p.Port {
				if !yieldAll(ofPort, yield) {
					return
				}
				ofPort = nil
			}
			answer := x.reach(p, d, s)
			if n := slices.IndexFunc(ofPort, answer.isLike); n >= 0 {
				ofPort[n].Points = append(ofPort[n].Points, p)
				continue
			}
			ofPort = append(ofPort, answer)
		}
		yieldAll(ofPort, yield)
	}
}

func yieldAll(list []Reach, yield func(Reach) bool) bool {
	for _, r := range list {
		if !yield(r) {
			return false
		}
	}
	return true
}

// pointsIn returns the points of an end; those of every instance if it is anywhere.
func (x *explainer) pointsIn(end End) iter.Seq[Point] {
	if end.Any {
		return x.everyPoint
	}
	return slices.Values(end.Points)
}

func (x *explainer) everyPoint(yield func(Point) bool) {
	for _, i := range x.Policy.Instances {
		for n := range i.Ports {
			for _, p := range pointsOfPort(i, &i.Ports[n]) {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// isLike says whether another answer is the same for another address of the same port.
func (r Reach) isLike(o Reach) bool {
	outside := func(a, b Outside) bool {
		return a.Network == b.Network && slices.Equal(a.Services, b.Services) &&
			slices.Equal(a.Rules, b.Rules) &&
			slices.Equal(a.Of, b.Of)
	}
	reached := func(a, b Reached) bool { return a.isLike(b) && slices.Equal(a.Peers, b.Peers) }
	return r.Points[0].Port == o.Points[0].Port && r.Open == o.Open &&
		slices.EqualFunc(r.Outside, o.Outside, outside) &&
		slices.EqualFunc(r.Instances, o.Instances, reached)
}

func (r Reached) isLike(o Reached) bool {
	return slices.Equal(r.Services, o.Services) && slices.Equal(r.Rules, o.Rules) &&
		slices.Equal(r.Theirs, o.Theirs)
}

// reach answers for one address.
func (x *explainer) reach(at Point, d policy.Direction, s Asked) Reach {
	r := Reach{Direction: d.String(), Points: []Point{at}, Outside: x.outside(at, d, s),
		Instances: []Reached{}}
	r.Open = !at.isJudged() || d == policy.Egress && x.closedBy(at) == nil
	asked := s.Of(at.Address.Is6())
	if len(asked) == 0 {
		return r
	}
	m := x.newMeeting(at, d, asked)
	for peer := range x.everyPoint {
		if peer.Address.Is4() != at.Address.Is4() {
			continue
		}
		if found := m.with(peer); found != nil && m.passes(peer) {
			r.Instances = found.place(r.Instances, peer)
		}
	}
	return r
}

// outside returns the networks that a point's rules are about; whoever there is no instance has no
// rules of its own.
func (x *explainer) outside(at Point, d policy.Direction, s Asked) []Outside {
	v6 := at.Address.Is6()
	asked := s.Of(v6)
	out := []Outside{}
	if len(asked) == 0 || at.Instance == "" {
		return out
	}
	if !at.isJudged() || d == policy.Egress && x.closedBy(at) == nil {
		all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if v6 {
			all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return []Outside{{Network: all, Services: asked}}
	}
	for g, r := range x.rulesOf(at, d) {
		services := admittedBy(*r, v6).Intersect(asked)
		for _, n := range x.networksOutside(r) {
			if n.Network.Addr().Is6() == v6 && len(services) > 0 {
				out = addOutside(out, n, services, x.name(g, r))
			}
		}
	}
	slices.SortStableFunc(out,
		func(a, b Outside) int { return policy.ComparePrefix(a.Network, b.Network) })
	return out
}

// networksOutside returns what the peers of a rule are beside instances: a network, external
// sources, and networks of which a member may use each address, because nothing keeps others behind
// the uplinks from using them. A single address that members may use is told of as theirs.
func (x *explainer) networksOutside(r *policy.Rule) []networkOf {
	var out []networkOf
	for _, p := range r.Peers {
		if p.Group == "" {
			out = append(out, networkOf{Network: p.CIDR})
			continue
		}
		for _, n := range x.beside(p.Group) {
			if !n.Network.IsSingleIP() || !n.isMembers {
				out = append(out, n)
			}
		}
	}
	return out
}

func addOutside(list []Outside, n networkOf, s Services, r Named) []Outside {
	at := slices.IndexFunc(list, func(o Outside) bool { return o.Network == n.Network })
	if at < 0 {
		at, list = len(list), append(list, Outside{Network: n.Network})
	}
	o := &list[at]
	o.Services = o.Services.Union(s)
	if !slices.Contains(o.Rules, r) {
		o.Rules = append(o.Rules, r)
	}
	if n.Of != "" && !slices.Contains(o.Of, n.Of) {
		o.Of = append(o.Of, n.Of)
	}
	return list
}

// PeerNames lists points as instances where all their addresses are among them: "web-1, web-2
// (203.0.113.12 only)". Networks are told.
func PeerNames(points []Point) []string {
	var names []string
	byInstance := map[string][]Point{}
	for _, p := range points {
		if byInstance[p.Instance] == nil {
			names = append(names, p.Instance)
		}
		byInstance[p.Instance] = append(byInstance[p.Instance], p)
	}
	for n, name := range names {
		var places []string
		for _, p := range byInstance[name] {
			places = append(places, p.Place())
		}
		if has := byInstance[name][0].local.Instance; has != nil &&
			len(places) < len(sameFamily(has, byInstance[name])) {
			names[n] = name + " (" + strings.Join(places, ", ") + " only)"
		} else if slices.ContainsFunc(byInstance[name], func(p Point) bool { return p.Network != "" }) {
			names[n] = name + " (" + strings.Join(places, ", ") + ")"
		}
	}
	return names
}

// sameFamily returns the addresses of an instance that are of the families of points.
func sameFamily(i *policy.Instance, points []Point) []Point {
	var out []Point
	for n := range i.Ports {
		for _, p := range pointsOfPort(i, &i.Ports[n]) {
			if slices.ContainsFunc(points,
				func(o Point) bool { return o.Address.Is4() == p.Address.Is4() }) {
				out = append(out, p)
			}
		}
	}
	return out
}
