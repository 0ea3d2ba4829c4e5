package telemetry

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file lists live connections with the rules that admitted them. api calls
// [ListConnections].

const (
	// DefaultConnections is how many connections are listed if nobody asks for another number,
	// MaxConnections how many at most.
	DefaultConnections = 1000
	MaxConnections     = 100_000
	// connectionsTime bounds one question to the switch.
	connectionsTime = 30 * time.Second
)

// ConntrackLister lists what the switch remembers of connections.
type ConntrackLister interface {
	// Connections hands each connection of a zone (0 = of all zones) to take until there are no
	// more or take returns false.
	Connections(ctx context.Context, zone uint16, take func(ofswitch.Connection) bool) error
}

// ConnectionList is live connections of local ports, as JSON of the API.
type ConnectionList struct {
	Connections []Connection `json:"connections"` // by port, address and number
	// there are more than were asked for; which ones are left out is the switch's choice
	More bool `json:"more"`
}

// Connection is one live connection in the zone of one port. One between two local ports is there
// twice, once for each.
type Connection struct {
	Port     string `json:"port"`
	Instance string `json:"instance"`
	// of its first packet, seen from the instance: ingress or egress
	Direction string     `json:"direction"`
	Protocol  string     `json:"protocol"` // a name as in policy files, or a number
	Src       netip.Addr `json:"src"`      // of its first packet, as all that follows
	SrcPort   uint16     `json:"src_port,omitempty"`
	Dst       netip.Addr `json:"dst"`
	DstPort   uint16     `json:"dst_port,omitempty"`
	ICMP      *ICMP      `json:"icmp,omitempty"`
	State     string     `json:"state,omitempty"` // of TCP, and of SCTP on the kernel's datapath
	// false: the rules judge it anew when its next packet comes
	Current bool   `json:"current"`
	Epoch   uint32 `json:"epoch"` // in which it was admitted
	RuleID  uint32 `json:"rule_id"`
	Group   string `json:"group,omitempty"` // whose rule admitted it
	Rule    string `json:"rule"`            // in words
	At      string `json:"at,omitempty"`    // file:line:column of the rule
}

// ICMP is what an ICMP or ICMPv6 connection has instead of ports.
type ICMP struct {
	ID   uint16 `json:"id"`
	Type uint8  `json:"type"`
	Code uint8  `json:"code"`
}

// The words for rules that the policy does not have.
const (
	ruleOpenText = "egress is open: no group of the instance has an egress rule"
	ruleGoneText = "a rule that is gone"
	ruleNoneText = "none: it was not remembered by the rules"
)

// ConnectionsQuery says which connections are asked for. The zero value: those of all local ports,
// up to DefaultConnections.
type ConnectionsQuery struct {
	Port     string // its name, "" = any
	Instance string // its name, "" = any
	Group    string // of the instance, "" = any
	Peer     string // the other end: an address, a network or an instance; "" = any
	Protocol string // a name as in policy files, or a number; "" = any
	// those of any of these ports; nil = any
	Ports []string
	Limit int // 0 = DefaultConnections
}

// ErrUnknownPort says that this host has not what is asked for.
var ErrUnknownPort = errors.New("`portcullis status` lists what this host has")

// ListConnections asks the switch which connections are live, and the policy in force which rules
// admitted them.
func ListConnections(ctx context.Context, lister ConntrackLister, status *agent.Snapshot,
	q ConnectionsQuery) (*ConnectionList, error) {
	if lister == nil {
		return nil, errors.New("this switch lists no connections")
	}
	asked, err := newAsked(status, q)
	if err != nil {
		return nil, err
	}
	zones := asked.zones
	words := newRuleWords(status.InForce, status.Host)
	out := &ConnectionList{Connections: []Connection{}}
	limit := cmp.Or(q.Limit, DefaultConnections)
	ctx, cancel := context.WithTimeout(ctx, connectionsTime)
	defer cancel()
	err = lister.Connections(ctx, onlyZone(zones), func(t ofswitch.Connection) bool {
		port, ok := zones[t.Zone]
		switch {
		case !ok || t.Mark < status.OwnEpoch[port.Name] || !asked.wants(t):
		case len(out.Connections) == limit:
			out.More = true
		default:
			out.Connections = append(out.Connections, words.describe(t, port))
		}
		return !out.More
	})
	slices.SortFunc(out.Connections, compareConnections)
	return out, err
}

// onlyZone returns the zone to ask for: one alone, or all at once. The kernel reads all of its
// table for each question.
func onlyZone(zones map[uint16]agent.PortStatus) uint16 {
	if len(zones) != 1 {
		return 0
	}
	for zone := range zones {
		return zone
	}
	return 0
}

func compareConnections(a, b Connection) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Direction, b.Direction),
		cmp.Compare(a.Protocol, b.Protocol), a.Src.Compare(b.Src),
		cmp.Compare(a.SrcPort, b.SrcPort), a.Dst.Compare(b.Dst), cmp.Compare(a.DstPort, b.DstPort))
}

// namedRule is a rule and its group's name.
type namedRule struct {
	group string
	policy.Rule
}

// ruleWords knows the rules of a policy by id, and the local ports' own addresses.
type ruleWords struct {
	rules map[uint32]namedRule
	ports map[string]policy.Port
}

func newRuleWords(p *policy.Policy, host string) ruleWords {
	w := ruleWords{rules: rulesByID(p), ports: map[string]policy.Port{}}
	if p == nil {
		return w
	}
	for _, i := range p.Instances {
		if !i.IsLocal(host) {
			continue
		}
		for _, port := range i.Ports {
			w.ports[port.Name] = port
		}
	}
	return w
}

// rulesByID names the rules of a policy, which may be nil.
func rulesByID(p *policy.Policy) map[uint32]namedRule {
	rules := map[uint32]namedRule{}
	if p == nil {
		return rules
	}
	ids := flows.RuleIDs(p)
	for _, g := range p.Groups {
		for _, r := range g.Rules {
			id := ids[flows.RuleKey(g.Name, r)]
			if _, ok := rules[id]; !ok { // a rule that is written twice is one rule
				rules[id] = namedRule{g.Name, r}
			}
		}
	}
	return rules
}

// describe puts a connection into words.
func (w ruleWords) describe(t ofswitch.Connection, p agent.PortStatus) Connection {
	c := Connection{Port: p.Name, Instance: p.Instance, Protocol: t.Protocol.String(), Src: t.Src,
		SrcPort: t.SrcPort, Dst: t.Dst,
		DstPort: t.DstPort, State: t.State, Current: t.Mark == p.Epoch, Epoch: t.Mark,
		RuleID: t.Rule}
	if t.Protocol.HasTypes() {
		c.ICMP = &ICMP{ID: t.ICMPID, Type: t.ICMPType, Code: t.ICMPCode}
	}
	rule, known := w.rules[t.Rule]
	direction := w.direction(p.Name, t.Src)
	switch {
	case known:
		direction = rule.Direction
		c.Group, c.Rule, c.At = rule.group, rule.String(), rule.At.String()
	case t.Rule == flows.RuleOpen:
		direction = policy.Egress
		c.Rule = ruleOpenText
	case t.Rule == 0:
		c.Rule = ruleNoneText
	default:
		c.Rule = ruleGoneText
	}
	c.Direction = direction.String()
	return c
}

// direction says who opened a connection: the port, if its first packet came from an address of it.
func (w ruleWords) direction(port string, src netip.Addr) policy.Direction {
	p := w.ports[port]
	for _, a := range p.Addresses {
		if a.Contains(src) {
			return policy.Egress
		}
	}
	for _, a := range p.Allowed {
		if a.Prefix.Contains(src) {
			return policy.Egress
		}
	}
	return policy.Ingress
}
