package policyfile

import (
	"iter"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Fragment is what one policy file says, checked as far as one file alone can be. It never changes once made.
//
// There are as many of its values as the policy has, for as long as the daemon runs: it holds nothing of the file's text and tree.
type Fragment struct {
	strictyaml.Report
	File      string
	groups    []group
	instances []*policy.Instance
	places    []place  // of the values of each instance, one instance after another: see ports
	first     []uint32 // parallel to instances: the first of its places
	sharing   []uint32 // the instances that have allowed addresses
	wide      []uint32 // the instances that have wide networks
	// incomplete = groups may be missing because the file could not be read to its end.
	incomplete bool
}

// place is where a value stands in its file. A [spot] says the same in five times the memory.
type place struct {
	line, column uint32
	index        uint32 // in the list that holds it, where refused and repeated entries count too
}

// readGroup is a group, and where its name and the groups that its rules name stand. The index of a peer's place is that of its rule.
type group struct {
	*policy.Group
	at    place
	peers []peerPlace
}

type peerPlace struct {
	name string
	at   place
}

// Parse reads one policy file. What is wrong with it is kept in the fragment and returned by [Join], together with what is wrong
// with the others.
func ParseFragment(file strictyaml.File) *Fragment {
	out := &Fragment{File: file.Name}
	root, ok := strictyaml.Document(file, &out.Report)
	if !ok {
		out.incomplete = true
		return out
	}
	if root.IsEmpty() {
		// Not taken for an empty policy, which would close every port: it may be a file that is just being written.
		top := strictyaml.Spot{Pos: policy.Position{File: file.Name, Line: 1, Column: 1}}
		out.Errorf(top, "the file has no content; an empty policy is written as groups: []")
		out.incomplete = true
		return out
	}
	f, ok := root.Fields(policyKeys...)
	if !ok {
		out.incomplete = true
		return out
	}
	pack := packer{Fragment: out, words: make(map[string]string)}
	if g, ok := f["groups"]; ok {
		entries, isList := g.Entries()
		out.incomplete = !isList
		for _, e := range entries {
			pack.group(readGroup(e))
		}
	}
	if i, ok := f["instances"]; ok {
		entries, _ := i.Entries()
		for _, e := range entries {
			pack.instance(readInstance(e))
		}
	}
	return out
}

// packer adds to a fragment what was read, without what only the reading needs.
type packer struct {
	*Fragment
	words map[string]string // one copy of each, apart from the text of the file
}

func (p *packer) word(s string) string {
	if known, ok := p.words[s]; ok {
		return known
	}
	s = strings.Clone(s)
	p.words[s] = s
	return s
}

func placeOf(s strictyaml.Spot) place {
	out := place{line: uint32(s.Pos.Line), column: uint32(s.Pos.Column)}
	if s.Path != nil {
		out.index = uint32(s.Path.Index)
	}
	return out
}

func (p *packer) group(raw rawGroup) {
	g := group{Group: &raw.Group, at: placeOf(raw.at)}
	g.Name, g.Description = strings.Clone(g.Name), strings.Clone(g.Description)
	for i := range g.Rules {
		rule := &g.Rules[i]
		rule.Peer.Group, rule.Description = p.word(rule.Peer.Group), strings.Clone(rule.Description)
	}
	for _, peer := range raw.peers {
		at := placeOf(peer.at)
		at.index = uint32(peer.at.Path.Parent.Index)
		g.peers = append(g.peers, peerPlace{p.word(peer.name), at})
	}
	p.groups = append(p.groups, g)
}

func (p *packer) instance(raw rawInstance) {
	i := new(policy.Instance) // not within raw, which holds more
	*i = raw.Instance
	i.Name, i.Host = strings.Clone(i.Name), p.word(i.Host)
	p.first = append(p.first, uint32(len(p.places)))
	p.places = append(p.places, placeOf(raw.at))
	for n, g := range raw.groups {
		i.Groups[n] = p.word(g.name)
		p.places = append(p.places, placeOf(g.at))
	}
	allowed := 0
	for n, port := range raw.ports {
		i.Ports[n].Name = strings.Clone(port.Name)
		p.places = append(p.places, placeOf(port.name), placeOf(port.mac))
		for _, at := range port.addresses {
			p.places = append(p.places, placeOf(at))
		}
		for _, at := range port.allowed {
			p.places = append(p.places, placeOf(at))
		}
		allowed += len(port.allowed)
	}
	if allowed > 0 {
		p.sharing = append(p.sharing, uint32(len(p.instances)))
	}
	if hasWide(i) {
		p.wide = append(p.wide, uint32(len(p.instances)))
	}
	p.instances = append(p.instances, i)
}

// spot returns a place in full.
func (f *Fragment) spot(at place, way *strictyaml.Path) strictyaml.Spot {
	return strictyaml.Spot{Pos: policy.Position{File: f.File, Line: int(at.line), Column: int(at.column)}, Path: way}
}

func (f *Fragment) groupPath(index int) *strictyaml.Path {
	return strictyaml.Top("groups").Entry(uint32(index))
}

// peerSpot is where a rule of a group names a group.
func (f *Fragment) peerSpot(group int, at place) strictyaml.Spot {
	return f.spot(at, f.groupPath(group).Field("rules").Entry(at.index).Field("group"))
}

func (f *Fragment) groupSpot(index int) strictyaml.Spot {
	return f.spot(f.groups[index].at, f.groupPath(index).Field("name"))
}

func (f *Fragment) instancePath(index int) *strictyaml.Path {
	return strictyaml.Top("instances").Entry(uint32(index))
}

func (f *Fragment) instanceSpot(index int) strictyaml.Spot {
	return f.spot(f.places[f.first[index]], f.instancePath(index).Field("name"))
}

// memberSpot is where an instance names the nth of its groups.
func (f *Fragment) memberSpot(index, nth int) strictyaml.Spot {
	at := f.places[int(f.first[index])+1+nth]
	return f.spot(at, f.instancePath(index).Field("groups").Entry(at.index))
}

// localPort is a port and the host on which it is.
type localPort struct {
	*policy.Port
	host     string
	in       *Fragment
	instance int
	number   int     // among the ports of the instance
	places   []place // of the name, the MAC, each of Addresses and each of Allowed
}

// ports returns the ports of an instance.
func (f *Fragment) ports(index int) iter.Seq[localPort] {
	return func(yield func(localPort) bool) {
		i := f.instances[index]
		places := f.places[int(f.first[index])+1+len(i.Groups):]
		for n := range i.Ports {
			p := &i.Ports[n]
			size := 2 + len(p.Addresses) + len(p.Allowed)
			if !yield(localPort{p, i.Host, f, index, n, places[:size]}) {
				return
			}
			places = places[size:]
		}
	}
}

func (p *localPort) path() *strictyaml.Path {
	return p.in.instancePath(p.instance).Field("ports").Entry(uint32(p.number))
}

func (p *localPort) nameSpot() strictyaml.Spot { return p.in.spot(p.places[0], p.path().Field("name")) }

func (p *localPort) macSpot() strictyaml.Spot { return p.in.spot(p.places[1], p.path().Field("mac")) }

func (p *localPort) addressSpot(nth int) strictyaml.Spot {
	at := p.places[2+nth]
	return p.in.spot(at, p.path().Field("addresses").Entry(at.index))
}

func (p *localPort) allowedSpot(nth int) strictyaml.Spot {
	at := p.places[2+len(p.Addresses)+nth]
	return p.in.spot(at, p.path().Field("allowed_addresses").Entry(at.index))
}
