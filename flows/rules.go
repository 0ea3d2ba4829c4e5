package flows

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// The bands of priority in a rule table, widest first, so that wide traffic does not make the datapath look at narrow fields. In each,
// plain flows are above the clauses of conjunctions: a clause's priority holds nothing else.
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

// maxClauses is how many conjunctions one flow may carry: 16 bytes each, in the 64 KiB of actions that OpenFlow allows.
const maxClauses = 4000

// RuleIDs returns the id of every rule, by [RuleKey]: a hash, so that a rule keeps its id as long as it is the same, on every host and
// after every restart. Of two with one hash the later in order gets the next free one.
func RuleIDs(p *policy.Policy) map[string]uint32 {
	ids := map[string]uint32{}
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			ids[RuleKey(g.Name, r)] = 0
		}
	}
	taken := map[uint32]bool{}
	for _, key := range sortedKeys(ids) {
		h := fnv.New32a()
		h.Write([]byte(key))
		id := max(h.Sum32(), uint32(firstRuleID))
		for taken[id] {
			id = max(id+1, uint32(firstRuleID))
		}
		ids[key], taken[id] = id, true
	}
	return ids
}

// RuleKey is what makes two rules the same rule: their group and what they admit.
func RuleKey(group string, r policy.Rule) string { return group + "\x00" + r.String() }

// ruleSet is one rule with everything that it is made of here: its group's ports × its peers × its services.
type ruleSet struct {
	id       ruleID
	band     uint16
	table    TableID
	ports    []*port
	peers    []netip.Prefix // nil = any address
	services []service      // nil = any service
}

// rules compiles every rule of the groups that have a port here.
func (c *compiler) rules() {
	byGroup := map[string][]*port{}
	for i := range c.ports {
		p := &c.ports[i]
		for _, g := range p.groups {
			if !p.Trusted {
				byGroup[g] = append(byGroup[g], p)
			}
		}
	}
	members, ids := c.Policy.Members(), RuleIDs(c.Policy)
	restricted := map[string]bool{}
	for _, g := range c.Policy.Groups {
		for _, r := range g.Rules {
			restricted[g.Name] = restricted[g.Name] || r.Direction == policy.Egress
			if set, ok := newRuleSet(r, byGroup[g.Name], members); ok {
				set.id = ruleID(ids[RuleKey(g.Name, r)])
				c.rule(set)
			}
		}
	}
	c.flush()
	for _, p := range c.ports {
		open := !slices.ContainsFunc(p.groups, func(g string) bool { return restricted[g] })
		if open && !p.Trusted {
			c.add(tableEgressRules, bandOpen, on(portKey(p.Zone)), admit(ruleOpen)...)
		}
	}
}

// admit is what a rule table says of a packet: yes, and by which rule.
func admit(id ruleID) []ovs.Action {
	return []ovs.Action{set(regFlags, flagAdmitted), set(regRule, hex(uint32(id)))}
}

// newRuleSet puts a rule together; false if nothing here can match it.
func newRuleSet(r policy.Rule, ports []*port, members map[string][]netip.Prefix) (ruleSet, bool) {
	set := ruleSet{table: tableIngressRules, ports: ports}
	if r.Direction == policy.Egress {
		set.table = tableEgressRules
	}
	peers := members[r.Peer.Group]
	set.band = bandGroup
	if r.Peer.Group == "" {
		peers, set.band = []netip.Prefix{r.Peer.CIDR}, bandCIDR
	}
	for _, v6 := range []bool{false, true} {
		s := services(r, v6)
		in := slices.DeleteFunc(slices.Clone(peers), func(p netip.Prefix) bool { return p.Addr().Is6() != v6 })
		if len(s) > 0 && len(in) > 0 {
			set.services, set.peers = append(set.services, s...), append(set.peers, in...)
		}
	}
	if len(ports) == 0 || len(set.peers) == 0 {
		return ruleSet{}, false
	}
	if r.Peer.Group == "" && r.Peer.CIDR.Bits() == 0 {
		set.peers, set.band = nil, bandAny
	} else if r.Protocol == policy.AnyProtocol {
		set.services = nil
	}
	return set, true
}

// rule adds the flows of one rule: as a conjunction, ports + peers + services + 1, or one flow for each combination where those are fewer.
func (c *compiler) rule(set ruleSet) {
	if set.combinations() < len(set.ports)+len(set.peers)+len(set.services)+1 {
		for _, p := range set.ports {
			for _, m := range set.addressed() {
				c.plain(set, append(on(portKey(p.Zone)), m...))
			}
		}
		return
	}
	n, k := 1+min(1, len(set.peers))+min(1, len(set.services)), 1
	for _, p := range set.ports {
		c.clause(set, clauseKey{port: p.Zone}, [2]int{k, n}, func() []ovs.Match { return on(portKey(p.Zone)) })
	}
	if len(set.peers) > 0 {
		k++
	}
	for _, p := range set.peers {
		c.clause(set, clauseKey{peer: p}, [2]int{k, n}, func() []ovs.Match { return set.peer(p) })
	}
	if len(set.services) > 0 {
		k++
	}
	for _, s := range set.services {
		text, _, err := matchText(s.match)
		c.fail(err)
		c.clause(set, clauseKey{service: text}, [2]int{k, n}, func() []ovs.Match { return s.match })
	}
	c.add(set.table, set.band, on(conjID(set.id)), admit(set.id)...)
}

// combinations is how many plain flows the rule would take: one for each port, peer and service of one family.
func (set ruleSet) combinations() int {
	switch {
	case set.peers == nil:
		return len(set.ports) * len(set.services)
	case set.services == nil:
		return len(set.ports) * len(set.peers)
	}
	var peers, services [2]int
	for _, p := range set.peers {
		peers[family(p, 0, 1)]++
	}
	for _, s := range set.services {
		if s.v6 {
			services[1]++
		} else {
			services[0]++
		}
	}
	return len(set.ports) * (peers[0]*services[0] + peers[1]*services[1])
}

// addressed returns the matches for each peer and service of one family.
func (set ruleSet) addressed() [][]ovs.Match {
	var out [][]ovs.Match
	switch {
	case set.peers == nil:
		for _, s := range set.services {
			out = append(out, s.match)
		}
	case set.services == nil:
		for _, p := range set.peers {
			out = append(out, set.peer(p))
		}
	}
	if out != nil {
		return out
	}
	for _, p := range set.peers {
		for _, s := range set.services {
			if s.v6 == p.Addr().Is6() {
				out = append(out, append(s.match[:len(s.match):len(s.match)], set.address(p)...))
			}
		}
	}
	return out
}

// peer matches one peer's network, with the family that it needs.
func (set ruleSet) peer(p netip.Prefix) []ovs.Match {
	return append(on(proto(ipProto(p))), set.address(p)...)
}

// address matches the peer's side of the packet; a network of length 0 is every address of the family.
func (set ruleSet) address(p netip.Prefix) []ovs.Match {
	switch {
	case p.Bits() == 0:
		return nil
	case set.table == tableEgressRules:
		return on(ipDst(p))
	}
	return on(ipSrc(p))
}

// plain adds one flow that admits by itself. Where two rules admit the same, the flow names the one with the lower id.
func (c *compiler) plain(set ruleSet, match []ovs.Match) {
	text, _, err := matchText(match)
	c.fail(err)
	key := Key{uint8(set.table), set.band + 1, text}
	if old, taken := c.admitted[key]; taken && old <= set.id {
		return
	}
	delete(c.flows, key)
	c.admitted[key] = set.id
	c.add(set.table, set.band+1, match, admit(set.id)...)
}

// clauseKey tells clauses apart without their text, which is made once for each and not once for each rule.
type clauseKey struct {
	table   TableID
	band    uint16
	port    uint16 // one of these three
	peer    netip.Prefix
	service string
}

// clause is one flow of conjunctions: a match, and every rule that it is part k of n of.
type clause struct {
	match []ovs.Match
	parts map[ruleID][2]int
}

// clause notes that a match is part k of n of a rule. A flow carries all the rules that it is part of: a second flow of the same key
// would replace the first.
func (c *compiler) clause(set ruleSet, key clauseKey, part [2]int, match func() []ovs.Match) {
	key.table, key.band = set.table, set.band
	cl := c.clauses[key]
	if cl == nil {
		cl = &clause{match: match(), parts: map[ruleID][2]int{}}
		c.clauses[key] = cl
	}
	cl.parts[set.id] = part
}

// flush adds the flows of all clauses, each with its conjunctions in the order of their ids.
func (c *compiler) flush() {
	for key, cl := range c.clauses {
		if len(cl.parts) > maxClauses {
			c.fail(fmt.Errorf("%d rules of this host's groups share a port, a peer or a service (%v); Open vSwitch takes at most %d",
				len(cl.parts), key, maxClauses))
			return
		}
		as := make([]ovs.Action, 0, len(cl.parts))
		for _, id := range sortedKeys(cl.parts) {
			as = append(as, ovs.Conjunction(int(id), cl.parts[id][0], cl.parts[id][1]))
		}
		c.add(key.table, key.band, cl.match, as...)
	}
}
