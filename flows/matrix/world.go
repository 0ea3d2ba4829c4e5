package matrix

import (
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// A policy as points, peers and ends. Who is a member of what is found once for each peer, not for
// each cell: a matrix of groups costs what their members are, and then what their rules are.

// class says which rules are asked about a point.
type class uint8

const (
	closed  class = iota // those of both directions
	open                 // those of ingress alone
	trusted              // none
	classes
)

// point is one address at one port; a network that a port uses stands there by its first address.
type point struct {
	address  netip.Addr
	port     int32
	instance int32
	class    class
}

// peer is the other side of rules: its points, sorted, and the networks that it is beside them.
type peer struct {
	policy.Peer
	points []int32
	beside *netipx.IPSet // nil = none
	hits   []hit         // by end
}

// hit is what a peer has of an end.
type hit struct {
	end int32
	pointCounts
}

// entry is what the rules of an end admit of one peer.
type entry struct {
	peer     int32
	services [2]explain.Services // by family: IPv4, IPv6
}

// entries are what the rules of an end admit in one direction, each peer once.
type entries struct {
	all      []entry
	number   map[int32]int          // of peers
	networks map[netip.Prefix][]int // of peers that are networks
	groups   []int                  // of the others
}

func newEntries() entries {
	return entries{number: map[int32]int{}, networks: map[netip.Prefix][]int{}}
}

// add adds what a rule admits of a peer.
func (e *entries) add(p int32, of policy.Peer, services [2]explain.Services) {
	n, known := e.number[p]
	if known {
		for v6, s := range services {
			e.all[n].services[v6] = e.all[n].services[v6].Union(s)
		}
		return
	}
	n = len(e.all)
	e.number[p], e.all = n, append(e.all, entry{p, services})
	if of.Group != "" {
		e.groups = append(e.groups, n)
	} else if of.CIDR.IsValid() {
		e.networks[of.CIDR.Masked()] = append(e.networks[of.CIDR.Masked()], n)
	}
}

// end is an [End] with what is asked about it.
type end struct {
	End
	points          []int32
	counts          pointCounts
	ingress, egress entries
	sends, receives bool
}

// world is a policy that is asked about.
type world struct {
	policy  *policy.Policy
	groups  map[string]*policy.Group
	members map[string][]int32 // instances, by group
	points  []point            // by address
	at      [][]int32          // by instance: its points
	peers   []peer
	number  map[policy.Peer]int32
	ends    []end
	// firstNetwork is the number of the first end that is a network; from there on all are.
	firstNetwork int
	// anything is all that rules are asked about, by family.
	anything [2]explain.Services
}

func newWorld(p *policy.Policy) *world {
	w := &world{policy: p, groups: map[string]*policy.Group{}, members: map[string][]int32{},
		number: map[policy.Peer]int32{}, anything: everyService(), at: make([][]int32, len(p.Instances))}
	closing := map[string]bool{}
	for _, g := range p.Groups {
		w.groups[g.Name] = g
		closing[g.Name] = slices.ContainsFunc(g.Rules,
			func(r policy.Rule) bool { return r.Direction == policy.Egress })
	}
	port := int32(0)
	for n, i := range p.Instances {
		is := open
		for _, g := range distinct(i.Groups) {
			w.members[g] = append(w.members[g], int32(n))
			if closing[g] {
				is = closed
			}
		}
		for at := range i.Ports {
			w.addPort(&i.Ports[at], point{port: port, instance: int32(n), class: is})
			port++
		}
	}
	slices.SortStableFunc(w.points, func(a, b point) int { return a.address.Compare(b.address) })
	for n, at := range w.points {
		w.at[at.instance] = append(w.at[at.instance], int32(n))
	}
	return w
}

// addPort adds a point for each address that the policy lists for a port.
func (w *world) addPort(p *policy.Port, at point) {
	if p.Trusted {
		at.class = trusted
	}
	from := len(w.points)
	for _, n := range p.Networks() {
		at.address = n.Masked().Addr()
		if !slices.Contains(w.points[from:], at) {
			w.points = append(w.points, at)
		}
	}
}

func distinct(names []string) []string {
	if len(names) < 2 {
		return names
	}
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// within returns the points of a network: those from first to below last.
func (w *world) within(n netip.Prefix) (first, last int) {
	first = sort.Search(len(w.points), func(i int) bool {
		return w.points[i].address.Compare(n.Addr()) >= 0
	})
	for last = first; last < len(w.points) && n.Contains(w.points[last].address); {
		last++
	}
	return first, last
}

// peer returns the number of a rule's peer.
func (w *world) peer(of policy.Peer) int32 {
	if n, known := w.number[of]; known {
		return n
	}
	p := peer{Peer: of}
	networks := []netip.Prefix{of.CIDR}
	var beside netipx.IPSetBuilder
	if of.Group != "" {
		networks = w.networks(of.Group, &beside)
	} else {
		beside.AddPrefix(of.CIDR)
	}
	for _, n := range networks {
		first, last := w.within(n)
		for i := first; i < last; i++ {
			p.points = append(p.points, int32(i))
		}
	}
	slices.Sort(p.points)
	p.points = slices.Compact(p.points)
	p.beside, _ = beside.IPSet() // valid networks alone were added
	n := int32(len(w.peers))
	w.peers, w.number[of] = append(w.peers, p), n
	return n
}

// networks returns what stands for a group, and adds what others than instances may have of it.
func (w *world) networks(name string, beside *netipx.IPSetBuilder) []netip.Prefix {
	var out []netip.Prefix
	if g := w.groups[name]; g != nil {
		for _, n := range g.ExternalSources {
			out = append(out, n.Masked())
			beside.AddPrefix(n)
		}
	}
	for _, i := range w.members[name] {
		for n := range w.policy.Instances[i].Ports {
			for _, network := range w.policy.Instances[i].Ports[n].Networks() {
				out = append(out, network.Masked())
				if !network.IsSingleIP() {
					beside.AddPrefix(network)
				}
			}
		}
	}
	return out
}

// holds says whether a point is one of a peer's.
func (w *world) holds(p int32, at int32) bool {
	of := &w.peers[p]
	if of.Group == "" {
		return of.CIDR.Contains(w.points[at].address)
	}
	_, found := slices.BinarySearch(of.points, at)
	return found
}

// touch finds what each peer has of each end.
func (w *world) touch() {
	endsAt := make([][]int32, len(w.points))
	for n := range w.ends {
		for _, at := range w.ends[n].points {
			endsAt[at] = append(endsAt[at], int32(n))
		}
	}
	slot := make([]int32, len(w.ends)) // of a peer's hits, plus one
	for n := range w.peers {
		p := &w.peers[n]
		for _, at := range p.points {
			for _, e := range endsAt[at] {
				if slot[e] == 0 {
					p.hits = append(p.hits, hit{end: e})
					slot[e] = int32(len(p.hits))
				}
				p.hits[slot[e]-1].add(w.points[at])
			}
		}
		for _, h := range p.hits {
			slot[h.end] = 0
		}
		slices.SortFunc(p.hits, func(a, b hit) int { return int(a.end) - int(b.end) })
	}
}

// hit returns what a peer has of an end, nil if nothing.
func (w *world) hit(p int32, e int) *pointCounts {
	hits := w.peers[p].hits
	n, found := slices.BinarySearchFunc(hits, int32(e),
		func(h hit, e int32) int { return int(h.end) - int(e) })
	if !found {
		return nil
	}
	return &hits[n].pointCounts
}
