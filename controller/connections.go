package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// connectionsPath lists live connections: ?port=NAME or ?instance=NAME or those of all local ports, at most ?limit=N of them. 404 = no
	// such port or instance here, 502 = the switch does not say.
	connectionsPath = "/" + StatusVersion + "/connections"
	// DefaultConnections is how many connections are listed if nobody asks for another number, MaxConnections how many at most.
	DefaultConnections = 1000
	MaxConnections     = 100_000
	// connectionsTime bounds one question to the switch.
	connectionsTime = 30 * time.Second
)

// Tracker is the switch's memory of connections.
type Tracker interface {
	// Connections hands each connection of a zone (0 = of all zones) to take until there are no more or take returns false.
	Connections(ctx context.Context, zone uint16, take func(ofswitch.Connection) bool) error
	// ForgetZone makes the switch forget all connections of a zone.
	ForgetZone(ctx context.Context, zone uint16) error
	// Forget makes the switch forget a connection, if it has it and if it can.
	Forget(ctx context.Context, c ofswitch.Connection) error
}

// Connections are live connections of local ports, as JSON of [StatusVersion].
type Connections struct {
	Version     string       `json:"version"`
	Connections []Connection `json:"connections"` // by port, address and number
	More        bool         `json:"more"`        // there are more than were asked for; which ones are left out is the switch's choice
}

// Connection is one live connection in the zone of one port. One between two local ports is there twice, once for each.
type Connection struct {
	Port      string     `json:"port"`
	Instance  string     `json:"instance"`
	Direction string     `json:"direction"` // of its first packet, seen from the instance: ingress or egress
	Protocol  string     `json:"protocol"`  // a name as in policy files, or a number
	Src       netip.Addr `json:"src"`       // of its first packet, as all that follows
	SrcPort   uint16     `json:"src_port,omitempty"`
	Dst       netip.Addr `json:"dst"`
	DstPort   uint16     `json:"dst_port,omitempty"`
	ICMP      *ICMP      `json:"icmp,omitempty"`
	State     string     `json:"state,omitempty"` // of TCP, and of SCTP on the kernel's datapath
	Current   bool       `json:"current"`         // false: the rules judge it anew when its next packet comes
	Epoch     uint32     `json:"epoch"`           // in which it was admitted
	RuleID    uint32     `json:"rule_id"`
	Group     string     `json:"group,omitempty"` // whose rule admitted it
	Rule      string     `json:"rule"`            // in words
	At        string     `json:"at,omitempty"`    // file:line:column of the rule
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

// ConnectionsQuery says which connections are asked for. The zero value: those of all local ports, up to DefaultConnections.
type ConnectionsQuery struct {
	Port     string // its name, "" = any
	Instance string // its name, "" = any
	Limit    int    // 0 = DefaultConnections
}

// errUnknownPort says that no local port is asked for.
var errUnknownPort = errors.New("no such port or instance on this host; `portcullis status` lists them")

// Connections asks the switch which connections are live, and the policy in force which rules admitted them.
func (c *Controller) Connections(ctx context.Context, q ConnectionsQuery) (*Connections, error) {
	if c.opts.Tracker == nil {
		return nil, errors.New("this switch lists no connections")
	}
	status := c.Status()
	zones := map[uint16]PortStatus{}
	for _, p := range status.Ports {
		if p.Zone != 0 && (q.Port == "" || q.Port == p.Name) && (q.Instance == "" || q.Instance == p.Instance) {
			zones[p.Zone] = p
		}
	}
	if len(zones) == 0 && q.Port+q.Instance != "" {
		return nil, errUnknownPort
	}
	words := newRuleWords(status.policy)
	out := &Connections{Version: StatusVersion, Connections: []Connection{}}
	limit := cmp.Or(q.Limit, DefaultConnections)
	ctx, cancel := context.WithTimeout(ctx, connectionsTime)
	defer cancel()
	err := c.opts.Tracker.Connections(ctx, onlyZone(zones), func(t ofswitch.Connection) bool {
		port, ok := zones[t.Zone]
		switch {
		case !ok || t.Mark < port.since:
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

// onlyZone returns the zone to ask for: one alone, or all at once. The kernel reads all of its table for each question.
func onlyZone(zones map[uint16]PortStatus) uint16 {
	if len(zones) != 1 {
		return 0
	}
	for zone := range zones {
		return zone
	}
	return 0
}

func compareConnections(a, b Connection) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Protocol, b.Protocol), a.Src.Compare(b.Src),
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

func newRuleWords(p *policy.Policy) ruleWords {
	w := ruleWords{rules: rulesByID(p), ports: map[string]policy.Port{}}
	if p == nil {
		return w
	}
	for _, i := range p.Instances {
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
func (w ruleWords) describe(t ofswitch.Connection, p PortStatus) Connection {
	c := Connection{Port: p.Name, Instance: p.Instance, Protocol: t.Protocol.String(), Src: t.Src, SrcPort: t.SrcPort, Dst: t.Dst,
		DstPort: t.DstPort, State: t.State, Current: t.Mark == p.Epoch, Epoch: t.Mark, RuleID: t.Rule}
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

// serveConnections answers connectionsPath.
func (c *Controller) serveConnections(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	q := ConnectionsQuery{Port: query.Get("port"), Instance: query.Get("instance")}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxConnections {
			http.Error(w, fmt.Sprintf("limit=%q: want a number from 1 to %d", text, MaxConnections), http.StatusBadRequest)
			return
		}
		q.Limit = n
	}
	list, err := c.Connections(req.Context(), q)
	switch {
	case errors.Is(err, errUnknownPort):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	default:
		answer(w, http.StatusOK, list)
	}
}

// Connections lists live connections.
func (c *Client) Connections(ctx context.Context, q ConnectionsQuery) (*Connections, error) {
	query := url.Values{"limit": {strconv.Itoa(cmp.Or(q.Limit, DefaultConnections))}}
	if q.Port != "" {
		query.Set("port", q.Port)
	}
	if q.Instance != "" {
		query.Set("instance", q.Instance)
	}
	list := &Connections{}
	if _, err := c.ask(ctx, connectionsPath, query, list, &list.Version); err != nil {
		return nil, err
	}
	return list, nil
}
