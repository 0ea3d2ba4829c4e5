package flows

import (
	"cmp"
	"fmt"
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
	key        string
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
		w.add(r.table, r.band, on(conjID(r.id)), admit(r.id)...)
	}
}

// admit is what a rule table says of a packet: yes, and by which rule.
func admit(id ruleID) []openflow.Action {
	return []openflow.Action{setFlags(FlagAdmitted), setRule(uint32(id))}
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

// place is where clauses stand: a table and a band of priority in it.
type place struct {
	table TableID
	band  uint16
}

// part says that a match is one of the clauses of a rule.
type part struct {
	id     ruleID
	clause openflow.Action
}

// clauses are the rules that one match is a part of. A flow carries all of them: a second flow of
// the same key would replace the first.
type clauses map[place][]part

func (c clauses) add(r *rule, k int) {
	at := place{r.table, r.band}
	c[at] = append(c[at], part{r.id, r.clauses[k-1]})
}

// write writes a flow for each place, or several pages of it, each with its rules in the order of
// their ids. What the match is about is for the error.
func (c clauses) write(w *writer, about string, match func(place) []openflow.OXM) {
	var excess []ruleID
	for at, parts := range c {
		slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.id, b.id) })
		// a network may be a peer of one rule for several reasons
		parts = slices.CompactFunc(parts, func(a, b part) bool { return a.id == b.id })
		page{}.split(parts, w.capacity.clauses, func(p page, some []part) {
			if last, isLimited := w.out.last[at.table]; isLimited && p.bits > 0 && p.first >= last {
				for _, s := range some {
					excess = append(excess, s.id)
				}
				return
			}
			as := make([]openflow.Action, len(some))
			for n, s := range some {
				as[n] = s.clause
			}
			w.add(at.table, at.band, append(match(at), p.match()...), as...)
			if p.bits > 0 {
				w.pages = append(w.pages, start{at.table, p.first})
			}
		})
	}
	if len(excess) > 0 {
		w.fail(&rulesError{excess,
			fmt.Errorf("too many rules of this host's groups share %s: more than %d pages of %d", about,
				w.capacity.pages, w.capacity.clauses)})
	}
}

// rulesPort writes what the rules of the port's groups say of the port: its clauses, plain flows,
// and whether its egress is open.
func (w *writer) rulesPort(p *port) {
	if p.Trusted {
		return
	}
	shared, open := clauses{}, true
	var plain []*rule
	for _, g := range p.groups {
		open = open && !g.restricted
		for _, r := range g.rules {
			switch r.encoding.kind {
			case encodingConjunction:
				shared.add(r, 1)
			case encodingPlain:
				plain = append(plain, r)
			}
		}
	}
	shared.write(w, "the port "+p.Name, func(place) []openflow.OXM { return on(portKey(p.Zone)) })
	w.plain(p, plain)
	if open {
		w.add(tableEgressRules, bandOpen, on(portKey(p.Zone)), admit(ruleOpen)...)
	}
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
				w.add(r.table, r.band+1, match, admit(r.id)...)
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

func (q *peer) write(w *writer) {
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
	shared.write(w, "the peer "+q.network.String(),
		func(at place) []openflow.OXM { return at.table.peer(q.network) })
}
