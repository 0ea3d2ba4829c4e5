package convert

import (
	"encoding/json"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// exoGroup is what 'exo compute security-group show -O json' prints (exoscale/cli,
// securityGroupShowOutput).
//
// The meaning is Portcullis' own: rules only admit, ingress is denied by default, egress is open
// until there is an egress rule.
type exoGroup struct {
	ID              string            `json:"id"`
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	ExternalSources []string          `json:"external_sources"`
	IngressRules    []exoRule         `json:"ingress_rules"`
	EgressRules     []exoRule         `json:"egress_rules"`
	Instances       []json.RawMessage `json:"instances"`
}

type exoRule struct {
	ID          string  `json:"id"`
	Description string  `json:"description"`
	ICMPCode    *int    `json:"icmp_code"`
	ICMPType    *int    `json:"icmp_type"`
	Network     *string `json:"network"`
	Protocol    string  `json:"protocol"`
	// SG:NAME, or PUBLIC-SG:NAME for a group that Exoscale has
	SecurityGroup *string `json:"security_group"`
	StartPort     *int    `json:"start_port"`
	EndPort       *int    `json:"end_port"`
}

func (b *builder) exo(documents []json.RawMessage) {
	var groups []exoGroup
	for _, d := range documents {
		var g exoGroup
		if err := decode(d, &g); err != nil {
			b.problems = append(b.problems, err)
			continue
		}
		b.declare(g.Name)
		groups = append(groups, g)
	}
	for _, g := range groups {
		out := &policy.Group{Name: g.Name, Description: line(g.Description)}
		for _, s := range g.ExternalSources {
			if peer, ok := b.network(place{group: g.Name}, s); ok {
				out.ExternalSources = append(out.ExternalSources, peer.CIDR)
			}
		}
		b.exoRules(out, policy.Ingress, g.IngressRules)
		b.exoRules(out, policy.Egress, g.EgressRules)
		if len(g.Instances) > 0 {
			b.notef(place{group: g.Name}, "not converted: its %s",
				wording.Count(len(g.Instances), "instance"))
		}
		b.policy.Groups = append(b.policy.Groups, out)
	}
}

func (b *builder) exoRules(g *policy.Group, direction policy.Direction, rules []exoRule) {
	for i, raw := range rules {
		at := place{g.Name, direction, i + 1}
		r := policy.Rule{Direction: direction, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
			Description: line(raw.Description)}
		var ok bool
		if r.Protocol, ok = exoProtocol(raw.Protocol); !ok {
			b.errorf(at, "the protocol %q is not known", raw.Protocol)
			continue
		}
		if r.Protocol.HasPorts() {
			if r.Ports, ok = b.ports(at, raw.StartPort, raw.EndPort); !ok {
				continue
			}
		}
		if r.Protocol.HasTypes() && !b.icmp(at, &r, raw.ICMPType, raw.ICMPCode) {
			continue
		}
		peer, ok := b.exoPeer(at, raw)
		if r.Peers = []policy.Peer{peer}; ok && b.fits(at, r, peer) {
			b.add(g, r)
		}
	}
}

// exoProtocol reads a protocol of the Exoscale API.
func exoProtocol(word string) (policy.Protocol, bool) {
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6,
		policy.AH, policy.ESP, policy.GRE, policy.IPIP} {
		if p.String() == strings.ToLower(word) {
			return p, true
		}
	}
	return 0, false
}

func (b *builder) exoPeer(at place, r exoRule) (policy.Peer, bool) {
	switch {
	case r.Network != nil && r.SecurityGroup != nil, r.Network == nil && r.SecurityGroup == nil:
		b.errorf(at, "it must have either a network or a security_group")
		return policy.Peer{}, false
	case r.Network != nil:
		return b.network(at, *r.Network)
	}
	kind, name, _ := strings.Cut(*r.SecurityGroup, ":")
	switch {
	case kind != "SG":
		b.errorf(at,
			"the networks behind %s are not in the input; make a group with these as its "+
				"external_sources, and a rule that names it", *r.SecurityGroup)
	case !b.groups[name]:
		b.errorf(at,
			"the group %q is not in the input; add the output of 'exo compute security-group "+
				"show %s -O json'", name, name)
	default:
		return policy.Peer{Group: name}, true
	}
	return policy.Peer{}, false
}
