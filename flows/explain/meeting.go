package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// One address and everybody: what [Reader.Peers] asks about each of very many peers. Peers with
// the same groups have the same rules, and what the guards say is the same of all whose addresses
// and MACs are theirs alone. Invariant: the answer is that of explainer.route for each pair.

// meeting is one point, and what is known of those who meet it.
type meeting struct {
	x     *explainer
	at    Point
	d     policy.Direction // of the point
	asked Services

	rules   []ruleAt            // of the point that admit something of what is asked
	theirs  map[string]*side    // by the peer's groups
	both    map[string]*found   // by the rules that admit the peer, and its groups
	passing map[likeness]bool   // whether the guards let any way pass
	gates   map[string]bool     // ports with the address of a gateway
	special map[netip.Addr]bool // gateways and DHCP servers
	key     []byte
}

// ruleAt is a rule of the point and what it admits of what is asked.
type ruleAt struct {
	Admits
	rule *policy.Rule
}

// side is what the rules of one end admit.
type side struct {
	services Services
	admits   []Admits
	id       int
}

// found is what is said of all peers that are admitted by the same rules.
type found struct {
	Reached
	at int // its place in the answer; -1 = none yet
}

func (x *explainer) newMeeting(at Point, d policy.Direction, asked Services) *meeting {
	m := &meeting{x: x, at: at, d: d, asked: asked, theirs: map[string]*side{},
		both: map[string]*found{}, passing: map[likeness]bool{}, gates: map[string]bool{},
		special: map[netip.Addr]bool{}}
	if at.isJudged() {
		for g, r := range x.rulesOf(at, d) {
			if s := admittedBy(*r, at.Address.Is6()).Intersect(asked); len(s) > 0 {
				m.rules = append(m.rules, ruleAt{Admits{Named: x.name(g, r), Services: s}, r})
			}
		}
	}
	for _, a := range slices.Concat(x.Site.Gateways, x.Site.DHCPServers) {
		m.special[a] = true
		for _, p := range x.index.using(a) {
			m.gates[x.index.placed(p).Port.Name] = true
		}
	}
	return m
}

// isOpen says whether no rule of a point is asked in a direction.
func (x *explainer) isOpen(at Point, d policy.Direction) bool {
	return !at.isJudged() || d == policy.Egress && x.closedBy(at) == nil
}

// with returns what the rules of both ends say of a peer; nil = they admit nothing.
func (m *meeting) with(peer Point) *found {
	theirs := m.sideOf(peer)
	if theirs == nil {
		return nil
	}
	m.key = append(m.key[:0], byte(theirs.id), byte(theirs.id>>8), byte(theirs.id>>16))
	for n := range m.rules {
		if m.x.hasPeer(m.rules[n].rule, peer.Address) {
			m.key = append(m.key, byte(n), byte(n>>8))
		}
	}
	if known, ok := m.both[string(m.key)]; ok {
		return known
	}
	ours := &side{services: m.asked}
	if !m.x.isOpen(m.at, m.d) {
		ours.services = nil
	}
	for n := range m.rules {
		if m.x.hasPeer(m.rules[n].rule, peer.Address) {
			ours.admits = append(ours.admits, m.rules[n].Admits)
			ours.services = ours.services.Union(m.rules[n].Services)
		}
	}
	var f *found
	if both := m.asked.Intersect(ours.services).Intersect(theirs.services); len(both) > 0 {
		f = &found{Reached{Services: both, Rules: namedOf(ours.admits, both),
			Theirs: namedOf(theirs.admits, both)}, -1}
	}
	m.both[string(m.key)] = f
	return f
}

// sideOf returns what a peer's rules admit to or from the point; nil = nothing.
func (m *meeting) sideOf(peer Point) *side {
	key := "\x00trusted"
	if peer.isJudged() {
		key = strings.Join(peer.local.Instance.Groups, "\x00")
	}
	known, ok := m.theirs[key]
	if ok {
		return known
	}
	d := m.d.Opposite()
	s := &side{services: m.asked, id: len(m.theirs)}
	if !m.x.isOpen(peer, d) {
		s.services = nil
		s.admits = m.x.admitting(d, peer, m.at.Address, m.asked)
		for _, a := range s.admits {
			s.services = s.services.Union(a.Services)
		}
		if len(s.services) == 0 {
			s = nil
		}
	}
	m.theirs[key] = s
	return s
}

// namedOf returns the rules that admit some of the services.
func namedOf(admits []Admits, s Services) []Named {
	var out []Named
	for _, r := range admits {
		if len(r.Services.Intersect(s)) > 0 {
			out = append(out, r.Named)
		}
	}
	return out
}

// place adds a peer to an answer, beside those that are admitted alike.
func (f *found) place(list []Reached, peer Point) []Reached {
	if f.at < 0 {
		f.at = slices.IndexFunc(list, f.isLike)
	}
	if f.at < 0 {
		f.at, list = len(list), append(list, f.Reached)
	}
	list[f.at].Peers = append(list[f.at].Peers, peer)
	return list
}

// likeness is what the guards can tell apart of peers that are plain.
type likeness struct{ host string }

// passes says whether the guards let a packet between the point and a peer pass by any way.
func (m *meeting) passes(peer Point) bool {
	from, to := m.at, peer
	if m.d == policy.Ingress {
		from, to = peer, m.at
	}
	if nowhere(from, to) != "" {
		return false
	}
	if !m.isPlain(peer) {
		return m.x.guard(m.x.ways(from, to, m.asked), from, to) > 0
	}
	like := likeness{peer.Host}
	passes, known := m.passing[like]
	if !known {
		passes = m.x.guard(m.x.ways(from, to, m.asked), from, to) > 0
		m.passing[like] = passes
	}
	return passes
}

// isPlain says whether nothing but a peer's host tells it apart from others, for the guards: an
// ordinary address of its own that nobody else may use, with a MAC that nobody else has.
func (m *meeting) isPlain(peer Point) bool {
	p, a := peer.local.Port, peer.Address
	if p == nil || p.Trusted || len(p.Allowed)+len(p.EtherTypes) > 0 || peer.Network != "" ||
		peer.mac != p.MAC || !a.IsGlobalUnicast() || m.special[a] || m.gates[p.Name] ||
		m.at.mac.IsMulticast() || p.MAC.IsMulticast() {
		return false
	}
	return len(m.x.index.having(p.MAC)) == 1 && len(m.x.index.using(a)) == 1
}
