package flows

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// group is a security group as it is here.
type group struct {
	name       string
	ports      map[*port]bool
	members    map[*peer]int // how often each network is a member
	peers      [2]int        // how many networks of each family are
	rules      map[string]*rule
	peerOf     map[*rule]bool // rules, of whatever groups, that name it
	restricted bool           // it has an egress rule
}

func (x *index) group(name string) *group {
	return getOrCreate(x.groups, name, func() *group {
		return &group{name: name, ports: map[*port]bool{}, members: map[*peer]int{},
			rules: map[string]*rule{}, peerOf: map[*rule]bool{}}
	})
}

// drop forgets a group that nothing speaks of any more.
func (x *index) drop(g *group) {
	if len(g.ports)+len(g.members)+len(g.rules)+len(g.peerOf) == 0 {
		delete(x.groups, g.name)
	}
}

// changeGroups notes the rules and external sources that came and went.
func (x *index) changeGroups(c policy.Changes) {
	was := map[string]*policy.Group{}
	for _, g := range c.GoneGroups {
		was[g.Name] = g
	}
	for _, g := range c.NewGroups {
		x.changeGroup(was[g.Name], g)
		delete(was, g.Name)
	}
	for _, g := range was {
		x.changeGroup(g, &policy.Group{Name: g.Name})
	}
}

// changeGroup turns one version of a group into another; there may have been none.
func (x *index) changeGroup(before, after *policy.Group) {
	if before == nil {
		before = &policy.Group{}
	}
	g := x.group(after.Name)
	for _, n := range after.ExternalSources {
		x.addMember(g, n)
	}
	for _, n := range before.ExternalSources {
		x.removeMember(g, n)
	}
	stays := map[string]bool{}
	g.restricted = false
	for _, r := range after.Rules {
		g.restricted = g.restricted || r.Direction == policy.Egress
		key := RuleKey(g.name, r)
		stays[key] = true
		if g.rules[key] == nil {
			x.addRule(g, key, r)
		}
	}
	for key, r := range g.rules {
		if !stays[key] {
			x.removeRule(r)
		}
	}
	for p := range g.ports {
		x.touch(p) // its egress may be open now, or closed
	}
	x.drop(g)
}

// addMember makes a network a member of a group.
func (x *index) addMember(g *group, n netip.Prefix) {
	if !n.IsValid() {
		x.out.unfit++
		return
	}
	q := x.peer(n)
	if g.members[q]++; g.members[q] == 1 {
		q.groups = append(q.groups, g)
		x.countMember(g, q, 1)
	}
}

// removeMember takes back what addMember did once.
func (x *index) removeMember(g *group, n netip.Prefix) {
	if !n.IsValid() {
		x.out.unfit--
		return
	}
	q := x.peer(n)
	if g.members[q]--; g.members[q] == 0 {
		delete(g.members, q)
		q.groups = slices.DeleteFunc(q.groups, func(h *group) bool { return h == g })
		x.countMember(g, q, -1)
		x.dropPeer(q)
		x.drop(g)
	}
}

func (x *index) countMember(g *group, q *peer, by int) {
	g.peers[family(q.network, 0, 1)] += by
	for r := range g.peerOf {
		x.dirtyRules[r] = true
	}
	x.touch(q)
}

func (x *index) peer(n netip.Prefix) *peer {
	n = n.Masked()
	return getOrCreate(x.peers, n, func() *peer { return &peer{network: n} })
}

// dropPeer forgets a network that is nobody's peer.
func (x *index) dropPeer(q *peer) {
	if len(q.groups)+len(q.rules) == 0 {
		delete(x.peers, q.network)
	}
}

// addRule adds a rule to a group.
func (x *index) addRule(g *group, key string, spec policy.Rule) {
	r := newRule(key, spec, g)
	x.rules.insert(r, x.number)
	if unfitRule(spec) != "" {
		x.out.unfit++
	}
	for _, p := range r.Peers {
		switch {
		case p.Group != "":
			g := x.group(p.Group)
			g.peerOf[r] = true
			r.groups = append(r.groups, g)
		case r.band != bandAny:
			q := x.peer(p.CIDR)
			q.rules = append(q.rules, r)
			r.networks = append(r.networks, q)
		}
	}
	for f, v6 := range []bool{false, true} {
		for _, s := range services(spec, v6) {
			shared := x.service(place{r.table, r.band}, f, s)
			shared.rules[r] = true
			r.services[f] = append(r.services[f], shared)
		}
	}
	g.rules[key] = r
}

// numberedRules gives rules the ids of [RuleIDs].
func numberedRules(h hashes) numbering[*rule] {
	return numbering[*rule]{first: uint64(firstRuleID), size: 1<<32 - uint64(firstRuleID),
		at:      map[uint64]*rule{},
		hash:    func(r *rule) uint64 { return uint64(h.rule(r.key)) },
		compare: func(a, b *rule) int { return strings.Compare(a.key, b.key) }}
}

// number gives a rule its id, or another one because a rule with the same hash came or went.
func (x *index) number(r *rule, id uint64) {
	r.id, r.renumbered = ruleID(id), true
	x.dirtyRules[r] = true
}

func (x *index) removeRule(r *rule) {
	x.reencode(r, encoding{})
	x.rules.remove(uint64(r.id), x.number)
	delete(r.owner.rules, r.key)
	delete(x.dirtyRules, r)
	delete(x.out.rules, r)
	if unfitRule(r.Rule) != "" {
		x.out.unfit--
	}
	for _, g := range r.groups {
		delete(g.peerOf, r)
		x.drop(g)
	}
	for _, q := range r.networks {
		q.rules = slices.DeleteFunc(q.rules, func(s *rule) bool { return s == r })
		x.dropPeer(q)
	}
	for _, services := range r.services {
		for _, s := range services {
			if delete(s.rules, r); len(s.rules) == 0 {
				delete(x.services, s.key)
			}
		}
	}
}

// service returns a service; one that cannot be matched is found out when it is written.
func (x *index) service(at place, f int, s service) *sharedService {
	match, _ := openflow.NewMatch(s.match...)
	key := serviceKey{at, match}
	return getOrCreate(x.services, key, func() *sharedService {
		return &sharedService{key: key, v6: f, match: s.match, rules: map[*rule]bool{}}
	})
}

// encodeDirtyRules finds out how the rules whose ports, peers, services or id changed are written
// now.
func (x *index) encodeDirtyRules() {
	for r := range x.dirtyRules {
		now := r.chooseEncoding()
		if _, isOut := x.out.rules[r]; isOut {
			now = encoding{}
		}
		if now != r.encoding || now.kind == encodingPlain || r.renumbered {
			x.reencode(r, now)
		}
	}
	clear(x.dirtyRules)
}

// reencode touches all units that a rule is part of, as it was written and as it is to be.
func (x *index) reencode(r *rule, now encoding) {
	for _, s := range []encoding{r.encoding, now} {
		if s.kind == encodingNone {
			continue
		}
		for p := range r.owner.ports {
			x.touch(p)
		}
		if s.kind == encodingPlain {
			continue
		}
		x.touch(r)
		for _, services := range r.services {
			for _, shared := range services {
				x.touch(shared)
			}
		}
		for _, q := range r.networks {
			x.touch(q)
		}
		for _, g := range r.groups {
			for q := range g.members {
				x.touch(q)
			}
		}
	}
	r.encoding, r.clauses, r.renumbered = now, now.clausesOf(r.id), false
}
