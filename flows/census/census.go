package census

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Who is there: each address at each port once, with all that rules and guards tell it apart by.

// Census is a world in which everybody is counted. It is made once for any number of questions, of
// one goroutine.
type Census struct {
	reader explain.Reader
	policy *policy.Policy
	site   policy.Site
	via    []string // the only kinds of way; empty = all

	peers map[policy.Peer]int32 // that rules name
	rules map[string]groupRules
	nets  netMap[[]int32] // the peers that have a network
	held  map[netip.Addr]bool
	// sorted: those that ports may use beside their own, for a port with a network of them may, too
	shared []netip.Addr
	cells  [2][]cell // by family: IPv4, IPv6

	endpoints []endpoint
	first     []int32             // by instance: its first endpoint
	ports     map[string][2]int32 // the endpoints of each port, from and to
	members   map[string][]int32  // instances by group
	outside   [2][]int32          // by cell: the endpoint outside, less one; 0 = not made yet
	byPlace   [2][]int32          // endpoints by address; nil = not sorted yet
	gates     map[string]bool     // ports with the address of a gateway
	gatesAt   map[string]bool     // their hosts
	gateNets  []netip.Prefix      // what they may use
	sigs      map[string]int32
	sigPeers  [][]int32 // by signature: the peers that have the address, sorted
	sets      map[string]int32
	setRules  []ruleSet
	buffer    []int32

	crowds map[string]*crowd
	guards map[guardKey]explain.Outcome
}

// endpoint is one address, or one network whose addresses are judged alike, at one port or outside.
type endpoint struct {
	explain.Point
	port  int32 // a number of the port; -1 = outside
	rules int32 // which rules are asked: a number of setRules; 0 = none
	sig   int32
	// the guards may tell it apart from others by more than whether it is outside
	isSpecial bool
	// whoever asks for the address means this port, too
	isListed bool
}

// ruleSet is the rules that are asked about a port. The zero ruleSet asks none.
type ruleSet struct {
	groups []string
	isOpen bool // no group has an egress rule
}

// groupRules is what the rules of one group admit, by direction.
type groupRules struct{ ingress, egress []rule }

// rule is one rule, its peers by their numbers.
type rule struct {
	peers    []int32
	services [2]explain.Services
}

// New counts everybody of a world, for questions about some ends; only is as for
// [explain.Reader.Explain].
func New(r explain.Reader, ends []explain.End, only ...string) *Census {
	w := r.World()
	c := &Census{reader: r, policy: w.Policy, site: w.Site, via: only,
		peers: map[policy.Peer]int32{}, rules: map[string]groupRules{}, nets: newNetMap[[]int32](),
		held: map[netip.Addr]bool{}, ports: map[string][2]int32{}, members: map[string][]int32{},
		gates: map[string]bool{}, gatesAt: map[string]bool{}, sigs: map[string]int32{},
		sets: map[string]int32{}, setRules: []ruleSet{{}}, crowds: map[string]*crowd{},
		guards: map[guardKey]explain.Outcome{}}
	c.addRules()
	networks := c.addNetworks()
	c.addShared()
	for _, e := range ends {
		if e.Network.IsValid() {
			networks[e.Network] = true
		}
		for _, p := range e.Points {
			if p.Instance == "" {
				networks[netip.PrefixFrom(p.Address, p.Address.BitLen())] = true
			}
		}
	}
	c.cut(networks)
	c.addGates()
	c.addSpots()
	return c
}

// addRules numbers the peers and reads what each rule admits.
func (c *Census) addRules() {
	for _, g := range c.policy.Groups {
		rules := c.rules[g.Name]
		for n := range g.Rules {
			r := &g.Rules[n]
			out := rule{services: [2]explain.Services{explain.RuleServices(r, false),
				explain.RuleServices(r, true)}}
			for _, p := range r.Peers {
				number, known := c.peers[p]
				if !known {
					number = int32(len(c.peers))
					c.peers[p] = number
				}
				out.peers = append(out.peers, number)
			}
			switch r.Direction {
			case policy.Ingress:
				rules.ingress = append(rules.ingress, out)
			case policy.Egress:
				rules.egress = append(rules.egress, out)
			}
		}
		c.rules[g.Name] = rules
	}
}

// join notes which groups an instance is in, and returns the peers that it is thereby of.
func (c *Census) join(n int, i *policy.Instance) []int32 {
	peers := []int32{}
	for at, g := range i.Groups {
		if !slices.Contains(i.Groups[:at], g) {
			c.members[g] = append(c.members[g], int32(n))
			peers = append(peers, c.named(g)...)
		}
	}
	return peers
}

// addNetworks notes which networks are of which peers, and returns those that tell addresses apart,
// but for the addresses of ports.
func (c *Census) addNetworks() map[netip.Prefix]bool {
	out := map[netip.Prefix]bool{}
	for f := range whole {
		out[whole[f]] = true
		for _, n := range empty[f] {
			out[n] = true
		}
	}
	of := func(n netip.Prefix, peers ...int32) netip.Prefix {
		n = n.Masked()
		c.nets.put(n, append(slices.Clip(c.nets.of[n]), peers...))
		return n
	}
	for p, number := range c.peers {
		if p.Group == "" && p.CIDR.IsValid() {
			out[of(p.CIDR, number)] = true
		}
	}
	for _, g := range c.policy.Groups {
		for _, n := range g.ExternalSources {
			out[of(n, c.named(g.Name)...)] = true
		}
	}
	for n, i := range c.policy.Instances {
		peers := c.join(n, i)
		for _, p := range i.Ports {
			for _, n := range p.Networks() {
				if n = of(n, peers...); n.IsSingleIP() {
					c.held[n.Addr()] = true
				} else {
					out[n] = true
				}
			}
		}
	}
	return out
}

// addShared lists the addresses that ports may use beside their own.
func (c *Census) addShared() {
	for _, i := range c.policy.Instances {
		for _, p := range i.Ports {
			for _, a := range p.Allowed {
				if a.Prefix.IsSingleIP() {
					c.shared = append(c.shared, a.Prefix.Addr())
				}
			}
		}
	}
	slices.SortFunc(c.shared, netip.Addr.Compare)
	c.shared = slices.Compact(c.shared)
}

// named returns the numbers of the peers that a group is.
func (c *Census) named(group string) []int32 {
	var out []int32
	for _, p := range explain.GroupPeers(group) {
		if number, ok := c.peers[p]; ok {
			out = append(out, number)
		}
	}
	return out
}

// addGates notes the ports that have the address of a gateway.
func (c *Census) addGates() {
	for _, a := range c.site.Gateways {
		for _, p := range c.reader.PointsAt(a) {
			if p.Instance != "" {
				c.gates[p.Port], c.gatesAt[p.Host] = true, true
				_, port := p.At()
				c.gateNets = append(c.gateNets, port.Networks()...)
			}
		}
	}
}

// addSpots counts the addresses of all ports.
func (c *Census) addSpots() {
	c.endpoints = make([]endpoint, 0, 2*len(c.policy.Instances))
	c.first = make([]int32, 0, len(c.policy.Instances)+1)
	for _, i := range c.policy.Instances {
		c.first = append(c.first, int32(len(c.endpoints)))
		for n := range i.Ports {
			from := int32(len(c.endpoints))
			for _, p := range explain.PointsOf(i, &i.Ports[n]) {
				c.addPoint(i, &i.Ports[n], p, from)
			}
			c.ports[i.Ports[n].Name] = [2]int32{from, int32(len(c.endpoints))}
		}
	}
	c.first = append(c.first, int32(len(c.endpoints)))
}

// addPoint counts a point of a port whose endpoints begin at one; a network by its cells.
func (c *Census) addPoint(i *policy.Instance, p *policy.Port, point explain.Point, from int32) {
	if point.Network == "" {
		s := c.newEndpoint(point)
		s.port, s.isListed = from, p.Owns(point.Address) || c.isListed(point)
		c.endpoints = append(c.endpoints, s)
		return
	}
	network := netip.MustParsePrefix(point.Network)
	first, end := c.within(network)
	for _, at := range c.cells[family(point.Address)][first:end] {
		if !at.address.IsValid() || slices.ContainsFunc(c.endpoints[from:],
			func(s endpoint) bool { return s.Address == at.address }) {
			continue
		}
		inside := point
		for _, q := range c.reader.PointsAt(at.address) {
			if q.Port == p.Name {
				inside = q
			}
		}
		s := c.newEndpoint(inside.Of(at.address, at.Prefix))
		s.port, s.isListed = from, at.isFree
		c.endpoints = append(c.endpoints, s)
	}
	c.addSharedOf(p, network, from)
}

// addSharedOf counts the addresses of a port's network that others may use as well, and nobody
// owns.
func (c *Census) addSharedOf(p *policy.Port, network netip.Prefix, from int32) {
	at, _ := slices.BinarySearchFunc(c.shared, network.Addr(), netip.Addr.Compare)
	for _, a := range c.shared[at:] {
		if !network.Contains(a) {
			return
		}
		for _, q := range c.reader.PointsAt(a) {
			if q.Port != p.Name {
				continue
			}
			same := func(s endpoint) bool { return s.Address == a }
			if known := slices.IndexFunc(c.endpoints[from:], same); known >= 0 {
				c.endpoints[int(from)+known].isListed = true
				continue
			}
			s := c.newEndpoint(q)
			s.port, s.isListed = from, true
			c.endpoints = append(c.endpoints, s)
		}
	}
}

// isListed says whether a port is among those that an address stands for.
func (c *Census) isListed(p explain.Point) bool {
	return slices.ContainsFunc(c.reader.PointsAt(p.Address),
		func(q explain.Point) bool { return q.Port == p.Port && q.Instance != "" })
}

// endpoint says what tells a point apart.
func (c *Census) newEndpoint(p explain.Point) endpoint {
	s := endpoint{Point: p, port: -1, sig: c.sign(p.Address)}
	i, port := p.At()
	special := !p.Address.IsGlobalUnicast() || p.MAC().IsMulticast()
	if port == nil {
		s.isSpecial = special || len(c.reader.PointsAt(p.Address)) > 1
		return s
	}
	if !port.Trusted {
		s.rules = c.set(i.Groups)
	}
	s.isSpecial = special || c.gates[p.Port] || !mayUse(port, p) || c.isOnSeveralHosts(port)
	return s
}

// isOnSeveralHosts says whether a MAC that a port may use is on other hosts, too, or on none.
func (c *Census) isOnSeveralHosts(p *policy.Port) bool {
	several := func(m policy.MAC) bool { return len(c.reader.HostsOfMAC(m)) != 1 }
	return several(p.MAC) ||
		slices.ContainsFunc(p.Allowed, func(a policy.AllowedAddress) bool {
			return !a.MAC.IsZero() && several(a.MAC)
		})
}

// mayUse says whether a port may use the address of a point with its MAC.
func mayUse(port *policy.Port, p explain.Point) bool {
	if p.MAC() == port.MAC && slices.ContainsFunc(port.Addresses,
		func(n netip.Prefix) bool { return n.Contains(p.Address) }) {
		return true
	}
	return slices.ContainsFunc(port.Uses(),
		func(u policy.Use) bool { return u.MAC == p.MAC() && u.Prefix.Contains(p.Address) })
}

// set numbers the rules of some groups, in whatever order.
func (c *Census) set(groups []string) int32 {
	groups = slices.Compact(slices.Sorted(slices.Values(groups)))
	key := strings.Join(groups, "\x00")
	if number, ok := c.sets[key]; ok {
		return number
	}
	out := ruleSet{groups: groups, isOpen: true}
	for _, g := range groups {
		out.isOpen = out.isOpen && len(c.rules[g].egress) == 0
	}
	c.sets[key] = int32(len(c.setRules))
	c.setRules = append(c.setRules, out)
	return c.sets[key]
}

// sign numbers the set of peers that have an address.
func (c *Census) sign(a netip.Addr) int32 {
	peers := c.buffer[:0]
	for of := range c.nets.around(a) {
		peers = append(peers, of...)
	}
	slices.SortFunc(peers, cmp.Compare[int32])
	peers = slices.Compact(peers)
	c.buffer = peers
	key := make([]byte, 0, 64)
	for _, p := range peers {
		key = binary.AppendVarint(key, int64(p))
	}
	number, known := c.sigs[string(key)]
	if !known {
		number = int32(len(c.sigPeers))
		c.sigs[string(key)] = number
		c.sigPeers = append(c.sigPeers, slices.Clone(peers))
	}
	return number
}
