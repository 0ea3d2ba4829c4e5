package flows

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// Binding says where a port of the policy is on the switch.
type Binding struct {
	Port   string // the interface's name
	OFPort uint32 // its OpenFlow port number, never 0
	Zone   uint16 // its conntrack zone, never 0, and its key in the pipeline: no two ports of a bridge share one
	Epoch  uint32 // the revision at which it last lost a permission, never 0
}

// Uplink is a port of the bridge toward the physical network.
type Uplink struct {
	Name   string
	OFPort uint32
}

// Input is all that a program depends on.
type Input struct {
	Policy   *policy.Policy
	Site     policy.Site
	Bindings []Binding // of the local ports that the switch has; the others are left out, but count as members
	Uplinks  []Uplink
	// LastMeter is the highest meter that the switch has; limits that need a later one are left out. 0 = it cannot meter.
	LastMeter uint32
}

// port is a local port that is on the switch.
type port struct {
	Binding
	policy.Port
	groups []string
	uses   []policy.Use
	limits policy.Limits
}

// compiler is one compilation: the input, looked up once, and the flows so far.
type compiler struct {
	*builder
	Input
	ports   []port // by zone
	uplinks []ovs.Action
	// admitted says which rule each plain flow of the rule tables names.
	admitted map[Key]ruleID
	clauses  map[clauseKey]*clause
	meters   map[uint32]Meter
	// unmetered are ports whose limits are left out.
	unmetered map[string]bool
}

// Compile turns a policy into the program of this host's bridge. The same input gives the same bytes, whatever the order of groups,
// rules, instances and bindings. Errors: a binding that is not of a local port, or is incomplete, or shares its zone or OpenFlow port.
func Compile(in Input) (*Program, error) {
	ports, err := join(in)
	if err != nil {
		return nil, err
	}
	c := &compiler{builder: newBuilder(), Input: in, ports: ports, uplinks: uplinkOutputs(in.Uplinks),
		admitted: map[Key]ruleID{}, clauses: map[clauseKey]*clause{}, meters: map[uint32]Meter{}, unmetered: map[string]bool{}}
	c.classify()
	c.sourceGuard()
	c.outsideGuard()
	c.dispatch()
	c.arp()
	c.nd()
	c.dhcp()
	c.track()
	c.state(egress)
	c.state(ingress)
	c.rules()
	c.destination()
	c.destinationGuard()
	c.output()
	p, err := c.program()
	if err != nil {
		return nil, err
	}
	c.limit(p)
	return p, nil
}

// join puts what the policy and the switch say of each port together.
func join(in Input) ([]port, error) {
	bound := make(map[string]Binding, len(in.Bindings))
	zones, numbers := map[uint16]string{}, map[uint32]string{}
	for _, u := range in.Uplinks {
		numbers[u.OFPort] = u.Name
	}
	for _, b := range in.Bindings {
		if b.OFPort == 0 || b.Zone == 0 || b.Epoch == 0 {
			return nil, fmt.Errorf("port %s: OpenFlow port %d, zone %d, epoch %d: none may be 0", b.Port, b.OFPort, b.Zone, b.Epoch)
		}
		if other, taken := zones[b.Zone]; taken {
			return nil, fmt.Errorf("ports %s and %s: both have zone %d", other, b.Port, b.Zone)
		}
		if other, taken := numbers[b.OFPort]; taken {
			return nil, fmt.Errorf("ports %s and %s: both are OpenFlow port %d", other, b.Port, b.OFPort)
		}
		zones[b.Zone], numbers[b.OFPort], bound[b.Port] = b.Port, b.Port, b
	}
	var ports []port
	for _, i := range in.Policy.Instances {
		if !i.IsLocal(in.Site.Host) {
			continue
		}
		for _, p := range i.Ports {
			if b, ok := bound[p.Name]; ok {
				ports = append(ports, port{Binding: b, Port: p, groups: distinct(i.Groups), uses: p.Uses(), limits: limitsOf(p, in.Site)})
				delete(bound, p.Name)
			}
		}
	}
	for _, name := range sortedKeys(bound) {
		return nil, fmt.Errorf("port %s is bound, but no instance of this host has it", name)
	}
	slices.SortFunc(ports, func(a, b port) int { return cmp.Compare(a.Zone, b.Zone) })
	return ports, nil
}

func uplinkOutputs(uplinks []Uplink) []ovs.Action {
	numbers := make([]uint32, len(uplinks))
	for i, u := range uplinks {
		numbers[i] = u.OFPort
	}
	return outputs(numbers)
}

func outputs(numbers []uint32) []ovs.Action {
	numbers = distinct(numbers)
	as := make([]ovs.Action, len(numbers))
	for i, n := range numbers {
		as[i] = ovs.Output(int(n))
	}
	return as
}

func distinct[T cmp.Ordered](in []T) []T {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Which ports own an address, or a MAC, or have a family.

func (c *compiler) where(keep func(*port) bool) []*port {
	var out []*port
	for i := range c.ports {
		if keep(&c.ports[i]) {
			out = append(out, &c.ports[i])
		}
	}
	return out
}

func (p *port) has(want func(netip.Addr) bool) bool {
	return slices.ContainsFunc(p.uses, func(u policy.Use) bool { return want(u.Prefix.Addr()) })
}

func (p *port) has4() bool    { return p.has(netip.Addr.Is4) }
func (p *port) has6() bool    { return p.has(netip.Addr.Is6) }
func (p *port) trusted() bool { return p.Trusted }

// networks returns the distinct networks of a family that the port may use.
func (p *port) networks(want func(netip.Addr) bool) []netip.Prefix {
	var out []netip.Prefix
	for _, u := range p.uses {
		if want(u.Prefix.Addr()) {
			out = append(out, u.Prefix.Masked())
		}
	}
	slices.SortFunc(out, policy.ComparePrefix)
	return slices.Compact(out)
}

// owners groups the ports by the networks of a family that they may use.
func (c *compiler) owners(want func(netip.Addr) bool) map[netip.Prefix][]*port {
	out := map[netip.Prefix][]*port{}
	for i := range c.ports {
		for _, n := range c.ports[i].networks(want) {
			out[n] = append(out[n], &c.ports[i])
		}
	}
	return out
}

// macs groups the ports by the MACs that they use with a family; the MAC of the port itself counts if want is nil.
func (c *compiler) macs(want func(netip.Addr) bool) map[policy.MAC][]*port {
	out := map[policy.MAC][]*port{}
	for i := range c.ports {
		p := &c.ports[i]
		seen := map[policy.MAC]bool{}
		for _, u := range p.uses {
			seen[u.MAC] = want == nil || p.has(want)
		}
		if want == nil {
			seen[p.MAC] = true
		}
		for m, ok := range seen {
			if ok {
				out[m] = append(out[m], p)
			}
		}
	}
	return out
}

// deliver returns the outputs to ports, except to one.
func deliver(ports []*port, except *port) []ovs.Action {
	var numbers []uint32
	for _, p := range ports {
		if p != except {
			numbers = append(numbers, p.OFPort)
		}
	}
	return outputs(numbers)
}

// on is a list of matches, as it reads best where flows are listed.
func on(ms ...ovs.Match) []ovs.Match { return ms }

// join of action lists.
func all(lists ...[]ovs.Action) []ovs.Action { return slices.Concat(lists...) }
