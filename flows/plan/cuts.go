package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Which live connections a change cuts: those that nothing admits any more at the port in whose
// zone they are. The switch drops their next packet.

// LiveConnection is one that the switch remembers in the zone of a port, and by which rule.
type LiveConnection struct {
	Port      string
	Direction policy.Direction // of its first packet, seen from the port's instance
	Tuple     spec.Tuple       // of its first packet
	Group     string           // whose rule admitted it; "" = none did
	Rule      string           // in words
	At        string           // file:line:column of the rule
}

// CutConnection is a live connection that nothing would admit any more.
type CutConnection struct {
	Port      string     `json:"port"` // that would judge it
	Instance  string     `json:"instance"`
	Direction string     `json:"direction"` // of its first packet, seen from the instance
	Protocol  string     `json:"protocol"`
	From      string     `json:"from,omitempty"` // the instance that opened it; "" = none
	Src       netip.Addr `json:"src"`
	SrcPort   uint16     `json:"src_port,omitempty"`
	To        string     `json:"to,omitempty"` // the instance that it was opened to; "" = none
	Dst       netip.Addr `json:"dst"`
	DstPort   uint16     `json:"dst_port,omitempty"`
	ICMPType  uint8      `json:"icmp_type,omitempty"`
	ICMPCode  uint8      `json:"icmp_code,omitempty"`
	Group     string     `json:"group,omitempty"` // whose rule admitted it
	Rule      string     `json:"rule"`            // in words
	At        string     `json:"at,omitempty"`    // file:line:column of the rule
}

// String returns "web-1 203.0.113.11:41166 → db-1:3306".
func (c CutConnection) String() string {
	from := c.Src.String()
	if c.SrcPort != 0 {
		from = netip.AddrPortFrom(c.Src, c.SrcPort).String()
	}
	if c.From != "" {
		from = c.From + " " + from
	}
	to := c.To
	switch {
	case to == "" && c.DstPort != 0:
		to = netip.AddrPortFrom(c.Dst, c.DstPort).String()
	case to == "":
		to = c.Dst.String()
	case c.DstPort != 0:
		to += fmt.Sprintf(":%d", c.DstPort)
	}
	if c.SrcPort == 0 {
		to += " " + c.Protocol
	}
	return from + " → " + to
}

// By says by which rule the connection was admitted: "rule web: ingress tcp 80 from 0.0.0.0/0,
// policy.yaml:6:9".
func (c CutConnection) By() string {
	if c.Group == "" {
		return c.Rule
	}
	return "rule " + c.Group + ": " + c.Rule + ", " + c.At
}

// Endangered returns the ports whose connections may be cut: those that lose a permission, that go,
// or that change in any way.
func (p *Plan) Endangered(before, after flows.Input) []string {
	out, is := slices.Clone(p.Cut), portsOf(after)
	was := portsOf(before)
	for _, b := range before.Bindings {
		if l, stays := is[b.Port]; !stays || l.instance != was[b.Port].instance {
			out = append(out, b.Port)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// portsOf returns the ports of this host that are bound.
func portsOf(in flows.Input) map[string]local {
	out, bound := map[string]local{}, boundPorts(in)
	for _, l := range locals(in) {
		if bound[l.port.Name] {
			out[l.port.Name] = l
		}
	}
	return out
}

// Cuts lists those of some live connections that are cut, each once: one between two ports of this
// host is remembered at both.
func (p *Plan) Cuts(r Running, after flows.Input, live []LiveConnection) {
	p.Connections = append(p.Connections,
		cutOf(portsOf(after), r.Index, explain.NewIndex(after.Policy), live)...)
	p.Finish()
}

// CutAt lists those of some live connections of a host that are cut where one policy takes the
// place of another, for whoever knows no more of the host.
func CutAt(host string, before, after *explain.Index, live []LiveConnection) []CutConnection {
	if len(live) == 0 {
		return nil
	}
	is := map[string]local{}
	for _, l := range locals(flows.Input{Policy: after.Policy(), Site: policy.Site{Host: host}}) {
		is[l.port.Name] = l
	}
	return cutOf(is, before, after, live)
}

// cutOf lists the connections that the ports that there are then do not admit.
func cutOf(ports map[string]local, before, after *explain.Index,
	live []LiveConnection) (out []CutConnection) {
	known := map[spec.Tuple]bool{}
	for _, c := range live {
		l, stays := ports[c.Port]
		if known[c.Tuple] || stays && l.mayUse(c) &&
			after.Admits(l.instance, l.port, c.Direction, c.Tuple) {
			continue
		}
		known[c.Tuple] = true
		out = append(out, cut(before, c))
	}
	slices.SortStableFunc(out, func(a, b CutConnection) int {
		return strings.Compare(a.String(), b.String())
	})
	return out
}

// mayUse says whether a port may still use its own address of a connection.
func (l local) mayUse(c LiveConnection) bool {
	own := c.Tuple.Dst
	if c.Direction == policy.Egress {
		own = c.Tuple.Src
	}
	return l.port.Trusted || slices.ContainsFunc(l.port.Uses(),
		func(u policy.Use) bool { return u.Prefix.Contains(own) })
}

func cut(before *explain.Index, c LiveConnection) CutConnection {
	t := c.Tuple
	return CutConnection{Port: c.Port, Instance: before.InstanceOf(c.Port),
		Direction: c.Direction.String(), Protocol: policy.Protocol(t.Protocol).String(),
		From: before.OwnerOf(t.Src), Src: t.Src, SrcPort: t.SrcPort,
		To: before.OwnerOf(t.Dst), Dst: t.Dst, DstPort: t.DstPort, ICMPType: t.ICMPType,
		ICMPCode: t.ICMPCode, Group: c.Group, Rule: c.Rule, At: c.At}
}
