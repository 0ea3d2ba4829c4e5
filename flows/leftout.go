package flows

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// LeftOut is something of a policy that a program does without, because it cannot be compiled: a
// port, which passes nothing, a rule, which admits nothing, or an address, which nobody is admitted
// by. All else is in the program. A group whose egress rule is left out is closed as before.
type LeftOut struct {
	At     policy.Position // the zero Position: the policy does not have it
	What   string          // such as "group web: ingress tcp 80 from 0.0.0.0/0"
	Port   string          // its name; "" = it is no port
	Rule   string          // its [RuleKey]; "" = it is no rule
	Reason string
}

// String returns "policy.yaml:14:9: group web: ingress tcp 80 from 0.0.0.0/0: left out: " and the
// reason.
func (l LeftOut) String() string {
	if l.At == (policy.Position{}) {
		return fmt.Sprintf("%s: left out: %s", l.What, l.Reason)
	}
	return fmt.Sprintf("%s: %s: left out: %s", l.At, l.What, l.Reason)
}

// leftOut is what an index does without, and why. What a unit could not write is tried again with
// the next input; so it depends on the input alone.
type leftOut struct {
	unfit    int               // rules and addresses that no flow can express
	unbound  map[string]string // ports, by name, whose binding is of no use
	ports    map[string]string // ports, by name, that cannot be written
	rules    map[*rule]string
	networks map[netip.Prefix]string
	units    []unit             // of these networks
	last     map[TableID]ruleID // where the pages begin that are too many
}

func newLeftOut() leftOut {
	return leftOut{ports: map[string]string{}, rules: map[*rule]string{},
		networks: map[netip.Prefix]string{}, last: map[TableID]ruleID{}}
}

// isOut says whether a port is left out.
func (l *leftOut) isOut(port string) bool { return l.ports[port] != "" || l.unbound[port] != "" }

// tryAgain has everything written again that could not be written. Ports are plugged as those that
// come.
func (x *index) tryAgain() {
	for r := range x.out.rules {
		x.dirtyRules[r] = true
	}
	for _, u := range x.out.units {
		u.record().out = false
		x.touch(u)
		if q, ok := u.(*peer); ok {
			x.countPeer(q, 1)
		}
	}
	unfit := x.out.unfit
	x.out = newLeftOut()
	x.out.unfit = unfit
}

// rulesError says that a unit cannot be written because of some rules.
type rulesError struct {
	rules []ruleID
	err   error
}

func (e *rulesError) Error() string { return e.err.Error() }
func (e *rulesError) Unwrap() error { return e.err }

// excessPages says that a table has more pages than can be asked for.
type excessPages struct{ from ruleID }

func (e *excessPages) Error() string {
	return fmt.Sprintf("a table has more than %d pages", maxPages)
}

// blame is what is to be left out because of what failed in one round, and why: of several
// reasons the first by its words, in whatever order units failed.
type blame struct {
	ports    map[*port]string
	rules    map[*rule]string
	networks map[unit]string // peers and listings
}

func newBlame() *blame {
	return &blame{ports: map[*port]string{}, rules: map[*rule]string{}, networks: map[unit]string{}}
}

func note[K comparable](m map[K]string, reason string, all ...K) {
	for _, k := range all {
		if known, isOut := m[k]; !isOut || reason < known {
			m[k] = reason
		}
	}
}

// of blames what a unit is about that could not be written. One that is about nothing in particular
// stays as it is.
func (b *blame) of(x *index, u unit, err error) {
	reason := err.Error()
	var rules *rulesError
	if errors.As(err, &rules) {
		for _, id := range rules.rules {
			note(b.rules, reason, x.rules.at[uint64(id)])
		}
		return
	}
	switch u := u.(type) {
	case *again:
		x.limitPages(u, err)
	case *port:
		note(b.ports, reason, u)
	case *addressOwners:
		note(b.ports, reason, u.ports...)
	case *macTarget:
		note(b.ports, reason, u.ports...)
	case *etherType:
		note(b.ports, reason, u.ports...)
	case *rule:
		note(b.rules, reason, u)
	case *sharedService:
		note(b.rules, reason, slices.Collect(maps.Keys(u.rules))...)
	case *peer:
		note(b.networks, reason, unit(u))
		note(b.rules, reason, u.rules...)
	case *listing: // what would hold others to its MACs is missing: then it admits nobody
		note(b.networks, reason, unit(u))
		if q := x.peers[u.network]; q != nil {
			b.of(x, q, err)
		}
	}
}

// leaveOut leaves out what is blamed, and has the rest written again.
func (x *index) leaveOut(b *blame) {
	for p, reason := range b.ports {
		if x.ports[p.Port.Name] == p {
			x.out.ports[p.Port.Name] = reason
			x.unbindPort(p)
		}
	}
	for r, reason := range b.rules {
		if _, known := x.out.rules[r]; !known {
			x.out.rules[r] = reason
			x.dirtyRules[r] = true
		}
	}
	for u, reason := range b.networks {
		x.leaveOutNetwork(u, reason)
	}
}

func (x *index) leaveOutNetwork(u unit, reason string) {
	if u.record().out {
		return
	}
	u.record().out = true
	x.out.units = append(x.out.units, u)
	switch u := u.(type) {
	case *peer:
		note(x.out.networks, reason, u.network)
		x.countPeer(u, -1)
	case *listing:
		note(x.out.networks, reason, u.network)
	}
}

// len grows with each thing that is left out.
func (l *leftOut) len() int { return len(l.ports) + len(l.rules) + len(l.units) + len(l.last) }

// countPeer counts a network in the groups that it is a member of, or counts it there no more.
func (x *index) countPeer(q *peer, by int) {
	for _, g := range q.groups {
		x.countMember(g, q, by)
	}
}

// limitPages has the units that have pages beyond the last possible one say which rules these are.
func (x *index) limitPages(a *again, err error) {
	var excess *excessPages
	if !errors.As(err, &excess) {
		return
	}
	x.out.last[a.table] = excess.from
	for u := range x.units() {
		if slices.ContainsFunc(u.record().pages,
			func(s start) bool { return s.table == a.table && s.first >= excess.from }) {
			x.touch(u)
		}
	}
}

// resolve blames one of two units that have written different flows of one key: the later in order,
// or the one that is about something where the other is about static.
func (x *index) resolve(b *blame, u unit, e *entry, err error) {
	if compareUnit(e.of.unit, u) > 0 {
		u = e.of.unit
	}
	b.of(x, u, err)
}

// compareUnit orders units by what they are about.
func compareUnit(a, b unit) int {
	rank := func(u unit) (int, string) {
		switch u := u.(type) {
		case *port:
			return 1, u.Port.Name
		case *addressOwners:
			return 2, u.network.String()
		case *macTarget:
			return 3, u.mac.String()
		case *etherType:
			return 4, fmt.Sprintf("%04x", u.number)
		case *rule:
			return 5, u.key
		case *sharedService:
			return 6, fmt.Sprint(u.key)
		case *peer:
			return 7, u.network.String()
		case *listing:
			return 8, u.network.String()
		}
		return 0, ""
	}
	rankA, nameA := rank(a)
	rankB, nameB := rank(b)
	return cmp.Or(cmp.Compare(rankA, rankB), cmp.Compare(nameA, nameB))
}

// unfitRule says why no flow can express a rule; "" = some can. Package config refuses such rules.
func unfitRule(r policy.Rule) string {
	if len(policy.UnionOfPeers(r.Peers)) == 0 {
		return "it names neither a group nor a network"
	}
	return ""
}

// unfitPort says why no flow can express a port; "" = some can.
func unfitPort(p policy.Port) string {
	for _, n := range p.Networks() {
		if !n.IsValid() {
			return fmt.Sprintf("%q is no address", n)
		}
	}
	return ""
}

// units returns all units, in any order.
func (x *index) units() iter.Seq[unit] {
	return func(yield func(unit) bool) {
		if !yield(&x.static) {
			return
		}
		_ = eachUnit(x.again, yield) && eachUnit(x.ports, yield) && eachUnit(x.addressOwners, yield) &&
			eachUnit(x.macTargets, yield) &&
			eachUnit(x.types, yield) && eachUnit(x.rules.at, yield) && eachUnit(x.services, yield) &&
			eachUnit(x.peers, yield) &&
			eachUnit(x.listings, yield)
	}
}

func eachUnit[K comparable, U unit](m map[K]U, yield func(unit) bool) bool {
	for _, u := range m {
		if !yield(u) {
			return false
		}
	}
	return true
}

// list returns what is left out, in the order in which the policy has it.
func (l *leftOut) list(in Input) []LeftOut {
	if l.len()+len(l.unbound)+l.unfit == 0 {
		return nil
	}
	var out []LeftOut
	unknown := map[string]string{}
	for name, reason := range l.unbound {
		unknown[name] = reason
	}
	for _, i := range in.Policy.Instances {
		out = append(out, l.ofInstance(i, in.Site.Host)...)
		for _, p := range i.Ports {
			if i.IsLocal(in.Site.Host) {
				delete(unknown, p.Name)
			}
		}
	}
	for name, reason := range unknown {
		out = append(out, LeftOut{What: "port " + name, Port: name, Reason: reason})
	}
	keys := make(map[string]string, len(l.rules))
	for r, reason := range l.rules {
		keys[r.key] = reason
	}
	for _, g := range in.Policy.Groups {
		out = append(out, l.ofGroup(g, keys)...)
	}
	slices.SortStableFunc(out, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column),
			cmp.Compare(a.What, b.What))
	})
	return out
}

// why says why a network is left out; "" = it is not.
func (l *leftOut) why(n netip.Prefix) string {
	if !n.IsValid() {
		return "it is no address"
	}
	return l.networks[n.Masked()]
}

func (l *leftOut) ofInstance(i *policy.Instance, host string) []LeftOut {
	var out []LeftOut
	for _, p := range i.Ports {
		if i.IsLocal(host) && l.isOut(p.Name) {
			out = append(out, LeftOut{At: p.At, What: "port " + p.Name, Port: p.Name,
				Reason: cmp.Or(l.unbound[p.Name], l.ports[p.Name])})
		}
		for _, n := range p.Networks() {
			if reason := l.why(n); reason != "" {
				out = append(out, LeftOut{At: p.At, What: fmt.Sprintf("address %s of port %s", n, p.Name),
					Reason: reason})
			}
		}
	}
	return out
}

func (l *leftOut) ofGroup(g *policy.Group, keys map[string]string) []LeftOut {
	var out []LeftOut
	for _, n := range g.ExternalSources {
		if reason := l.why(n); reason != "" {
			out = append(out, LeftOut{At: g.At, What: fmt.Sprintf("group %s: external source %s", g.Name, n),
				Reason: reason})
		}
	}
	told := map[string]bool{}
	for _, r := range g.Rules {
		key := RuleKey(g.Name, r)
		reason := cmp.Or(keys[key], unfitRule(r))
		if reason != "" && !told[key] {
			told[key] = true
			out = append(out, LeftOut{At: r.At, What: fmt.Sprintf("group %s: %s", g.Name, r), Rule: key,
				Reason: reason})
		}
	}
	return out
}
