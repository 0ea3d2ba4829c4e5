package flows

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The bands of priority in a rule table, widest first, so that wide traffic does not make the
// datapath look at narrow fields. In each, plain flows are above the clauses of conjunctions: a
// clause's priority holds nothing else.
const (
	bandOpen  uint16 = 600 // ports whose egress is open
	bandAny   uint16 = 500 // rules for any address
	bandCIDR  uint16 = 400
	bandGroup uint16 = 300
)

// ruleID names a rule in conj_id, in reg3 and in the label of connections.
type ruleID uint32

// ruleOpen is the id of "egress is open". Ids below firstRuleID are never those of rules.
const (
	ruleOpen    ruleID = 1
	firstRuleID ruleID = 16
)

// maxPlain is how many plain flows a rule may take. Above it is a conjunction, so that one more
// member of a group costs one flow.
const maxPlain = 16

// RuleIDs returns the id of every rule, by [RuleKey]: a hash, so that a rule keeps its id as long
// as it is the same, on every host and after every restart. Of two with one hash the later in order
// gets the next free one.
func RuleIDs(p *policy.Policy) map[string]uint32 { return ruleIDs(p, ruleHash) }

func ruleIDs(p *policy.Policy, hash func(string) uint32) map[string]uint32 {
	ids := map[string]uint32{}
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			ids[RuleKey(g.Name, r)] = 0
		}
	}
	taken := map[uint32]bool{}
	for _, key := range sortedKeys(ids) {
		id := hash(key)
		for taken[id] {
			id = max(id+1, uint32(firstRuleID))
		}
		ids[key], taken[id] = id, true
	}
	return ids
}

// ruleHash is the id of a rule, unless another rule has it. Ids below firstRuleID are never those
// of rules.
func ruleHash(key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(key))
	return max(h.Sum32(), uint32(firstRuleID))
}

// RuleKey is what makes two rules the same rule: their group and what they admit.
func RuleKey(group string, r policy.Rule) string { return group + "\x00" + r.String() }

// rule is one rule of a group, and the unit of the flow that admits what meets all clauses of its
// conjunction.
type rule struct {
	written
	policy.Rule
	key        string // of [RuleKey]
	id         ruleID
	renumbered bool // since its encoding was settled
	band       uint16
	table      TableID
	owner      *group
	groups     []*group            // whose members are its peers
	networks   []*peer             // that it names, beside groups; none where it is for any address
	services   [2][]*sharedService // by family
	encoding   encoding
	clauses    [maxParts]openflow.Action // "k of all", which the flows of many peers share
}

// maxParts is how many clauses a conjunction has at most: port, peer, service.
const maxParts = 3

// encoding is how a rule is written here. It follows from how many ports, peers and services it
// has.
type encoding struct {
	kind     encodingKind
	families [2]bool // in which it has both peers and services
	parts    int     // clauses of the conjunction
	service  int     // the number of its services' clause; 0 = any service
}

type encodingKind uint8

// The zero encoding is a rule that nothing here can match.
const (
	encodingNone        encodingKind = iota
	encodingPlain                    // a flow for each combination of port, peer and service
	encodingConjunction              // ports + peers + services + 1
)

func newRule(key string, r policy.Rule, owner *group) *rule {
	out := &rule{Rule: r, key: key, owner: owner, table: tableIngressRules, band: bandGroup}
	if r.Direction == policy.Egress {
		out.table = tableEgressRules
	}
	out.Peers = policy.UnionOfPeers(r.Peers)
	isGroup := func(p policy.Peer) bool { return p.Group != "" }
	isNarrow := func(p policy.Peer) bool { return p.CIDR.Bits() > 0 }
	switch {
	case slices.ContainsFunc(out.Peers, isGroup) || len(out.Peers) == 0:
	case slices.ContainsFunc(out.Peers, isNarrow):
		out.band = bandCIDR
	default:
		out.band = bandAny
	}
	return out
}

// words are those of the rule as the policy has it.
func (r *rule) words() string { return r.key[len(r.owner.name)+1:] }

// peers returns how many networks of each family are the rule's peers; one that is a peer for two
// reasons may be counted twice.
func (r *rule) peers() (n [2]int) {
	for _, g := range r.groups {
		n[0], n[1] = n[0]+g.peers[0], n[1]+g.peers[1]
	}
	for _, p := range r.Peers {
		if p.Group == "" {
			n[family(p.CIDR, 0, 1)]++
		}
	}
	return n
}

// chooseEncoding returns the encoding that the rule has now: as a conjunction, or as plain flows
// where these are fewer, and few.
func (r *rule) chooseEncoding() encoding {
	ports, peers := len(r.owner.ports), r.peers()
	if unfitRule(r.Rule) != "" {
		return encoding{}
	}
	var s encoding
	combinations, nPeers, nServices := 0, 0, 0
	anyService := r.Protocol == policy.AnyProtocol && r.band != bandAny
	for f, services := range r.services {
		if s.families[f] = peers[f] > 0 && len(services) > 0; !s.families[f] {
			continue
		}
		nPeers, nServices = nPeers+peers[f], nServices+len(services)
		combinations += ports * peers[f] * len(services)
	}
	if combinations == 0 {
		return encoding{}
	}
	s.parts = 1
	if r.band == bandAny {
		nPeers = 0
	} else {
		s.parts++
	}
	if anyService {
		nServices = 0
	} else {
		s.parts++
		s.service = s.parts
	}
	s.kind = encodingConjunction
	if combinations <= maxPlain && combinations < ports+nPeers+nServices+1 {
		s = encoding{kind: encodingPlain, families: s.families}
	}
	return s
}

// clausesOf returns the actions "k of all" of a rule of an encoding.
func (s encoding) clausesOf(id ruleID) (out [maxParts]openflow.Action) {
	for k := range s.parts {
		out[k] = openflow.Conjunction{ID: uint32(id), Clause: uint8(k + 1), Of: uint8(s.parts)}
	}
	return out
}

// has says whether the rule is a conjunction that has clauses of a family.
func (r *rule) has(f int) bool {
	return r.encoding.kind == encodingConjunction && r.encoding.families[f]
}

// write writes the flow that admits what meets all clauses.
func (r *rule) write(w *writer) {
	if r.encoding.kind == encodingConjunction {
		w.admit(r, r.table, r.band, on(conjID(r.id)))
	}
}

// admit adds a flow of a rule table that says of a packet: yes, and by which rule; nil is "egress
// is open".
func (w *writer) admit(r *rule, t TableID, priority uint16, match []openflow.OXM) {
	id := ruleOpen
	if r != nil {
		id = r.id
	}
	w.addAbout(about{verdict: VerdictAdmitted, rule: r}, t, priority, match, setFlags(FlagAdmitted),
		setRule(uint32(id)))
}

// address matches the peer's side of the packet in a rule table; a network of length 0 is every
// address of the family.
func (t TableID) address(p netip.Prefix) []openflow.OXM {
	switch {
	case p.Bits() == 0:
		return nil
	case t == tableEgressRules:
		return on(ipDst(p))
	}
	return on(ipSrc(p))
}

// peer matches any packet whose peer is in a network.
func (t TableID) peer(p netip.Prefix) []openflow.OXM {
	return append(on(proto(ipProto(p))), t.address(p)...)
}

// plain returns the matches, but for the port, of a rule that is written as plain flows: one for
// each peer and service of one family.
func (r *rule) plain() [][]openflow.OXM {
	var out [][]openflow.OXM
	for f, services := range r.services {
		if !r.encoding.families[f] {
			continue
		}
		for _, p := range r.networksOf(f) {
			if r.Protocol == policy.AnyProtocol {
				out = append(out, r.table.peer(p))
				continue
			}
			for _, s := range services {
				out = append(out, append(s.match[:len(s.match):len(s.match)], r.table.address(p)...))
			}
		}
	}
	return out
}

// networksOf returns the rule's peers of a family.
func (r *rule) networksOf(f int) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range r.Peers {
		if p.Group == "" && family(p.CIDR, 0, 1) == f {
			out = append(out, p.CIDR)
		}
	}
	for _, g := range r.groups {
		for q := range g.members {
			if !q.out && family(q.network, 0, 1) == f {
				out = append(out, q.network)
			}
		}
	}
	return out
}

// rulesPort writes what the rules of the port's groups say of the port: its clauses, plain flows,
// and whether its egress is open.
func (w *writer) rulesPort(p *port) {
	if p.Trusted {
		return
	}
	open := true
	var plain []*rule
	for _, g := range p.groups {
		open = open && !g.restricted
		for _, r := range g.rules {
			if r.encoding.kind == encodingPlain {
				plain = append(plain, r)
			}
		}
	}
	w.clauses(p)
	w.plain(p, plain)
	if open {
		w.admit(nil, tableEgressRules, bandOpen, on(portKey(p.Zone)))
	}
}

// clauses says that the port is one of the members whose rules are conjunctions.
func (p *port) clauses() (clauses, func(place) []openflow.OXM) {
	shared := clauses{}
	for _, g := range p.groups {
		for _, r := range g.rules {
			if r.encoding.kind == encodingConjunction {
				shared.add(r, 1)
			}
		}
	}
	return shared, func(place) []openflow.OXM { return on(portKey(p.Zone)) }
}

// plain writes flows that admit by themselves. Where two rules admit the same, the flow names the
// one with the lower id.
func (w *writer) plain(p *port, rules []*rule) {
	slices.SortFunc(rules, func(a, b *rule) int { return cmp.Compare(a.id, b.id) })
	written := map[openflow.Key]bool{}
	for _, r := range rules {
		for _, m := range r.plain() {
			match := append(on(portKey(p.Zone)), m...)
			m, _ := openflow.NewMatch(match...) // add will say if there is none
			if key := (openflow.Key{Table: uint8(r.table), Priority: r.band + 1, Match: m}); !written[key] {
				written[key] = true
				w.admit(r, r.table, r.band+1, match)
			}
			if w.err != nil {
				w.err = &rulesError{[]ruleID{r.id}, w.err}
				return
			}
		}
	}
}

// peer is a network that rules name or that stands for members of groups, and the unit of its
// clauses.
type peer struct {
	written
	network netip.Prefix
	groups  []*group // that have it as a member
	rules   []*rule  // that name it
}

func (q *peer) write(w *writer) { w.clauses(q) }

// clauses says that the network is a peer of the rules that name it, or a group that it is in.
func (q *peer) clauses() (clauses, func(place) []openflow.OXM) {
	f, shared := family(q.network, 0, 1), clauses{}
	add := func(r *rule) {
		if r.has(f) {
			shared.add(r, 2)
		}
	}
	for _, g := range q.groups {
		for r := range g.peerOf {
			add(r)
		}
	}
	for _, r := range q.rules {
		add(r)
	}
	return shared, func(at place) []openflow.OXM { return at.table.peer(q.network) }
}
