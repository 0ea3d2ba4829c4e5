package exoscale

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Rules. Here a rule has one range of ports and one peer; one of several is shown as several, which
// cannot be removed one by one. Invariant: what a client sent is answered in the same words, or was
// refused: clients find their rules by them.

// public is the visibility of groups that are not the key's own.
const public = "public"

// ruleBody is a rule, as it is sent and answered.
type ruleBody struct {
	ID          string    `json:"id,omitempty"`
	Description string    `json:"description,omitempty"`
	Direction   string    `json:"flow-direction"`
	Protocol    string    `json:"protocol"`
	StartPort   *int64    `json:"start-port,omitempty"`
	EndPort     *int64    `json:"end-port,omitempty"`
	ICMP        *icmpBody `json:"icmp,omitempty"`
	Network     string    `json:"network,omitempty"`
	Group       *groupRef `json:"security-group,omitempty"`
}

// icmpBody are type and code; -1, or none, is any.
type icmpBody struct {
	Type *int64 `json:"type"`
	Code *int64 `json:"code"`
}

// groupRef names a group of a rule: the key's own by its ID, a public one by its name.
type groupRef struct {
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Visibility string `json:"visibility,omitempty"`
}

// parts are what a rule is shown as.
func (s *seen) parts(id string, r policy.Rule) []ruleBody {
	ports := r.Ports
	if len(ports) == 0 {
		ports = []policy.PortRange{{}}
	}
	isOne := len(ports)*len(r.Peers) == 1
	var out []ruleBody
	for _, peer := range r.Peers {
		for _, one := range ports {
			part := s.part(r, one, peer)
			if part.ID = id; !isOne {
				part.ID = partID(id, one.String()+" "+peer.String())
			}
			out = append(out, part)
		}
	}
	return out
}

// part is a rule of one range of ports, if its protocol has any, and one peer.
func (s *seen) part(r policy.Rule, ports policy.PortRange, peer policy.Peer) ruleBody {
	out := ruleBody{Description: r.Description, Direction: r.Direction.String(),
		Protocol: r.Protocol.String()}
	if ports.First != 0 {
		out.StartPort, out.EndPort = number(ports.First), number(ports.Last)
	}
	if r.Protocol.HasTypes() {
		out.ICMP = &icmpBody{number(r.ICMPType), number(r.ICMPCode)}
	}
	if peer.Group == "" {
		out.Network = peer.CIDR.String()
		return out
	}
	out.Group = &groupRef{ID: s.Groups[peer.Group], Name: s.short(peer.Group)}
	if g := s.byName[peer.Group]; g == nil || !s.isOwn(g) {
		out.Group.Name, out.Group.Visibility = peer.Group, public
	}
	return out
}

func number[T uint16 | int16](n T) *int64 {
	out := int64(n)
	return &out
}

// rule is what a body says.
func (s *seen) rule(b *ruleBody) (policy.Rule, error) {
	out := policy.Rule{Description: b.Description, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	words := []string{policy.Ingress.String(), policy.Egress.String()}
	if n := slices.Index(words, b.Direction); n >= 0 {
		out.Direction = []policy.Direction{policy.Ingress, policy.Egress}[n]
	} else {
		return out, wrong("flow-direction: is %q; must be ingress or egress", b.Direction)
	}
	var err error
	if out.Protocol, err = protocol(b.Protocol); err != nil {
		return out, err
	}
	if out.Ports, err = ports(b); err != nil {
		return out, err
	}
	if b.ICMP != nil {
		for n, to := range []*int16{&out.ICMPType, &out.ICMPCode} {
			from := []*int64{b.ICMP.Type, b.ICMP.Code}[n]
			if from != nil && (*from < -1 || *from > 255) {
				return out, wrong("icmp: %d is no type or code; they are -1 (any) to 255", *from)
			} else if from != nil {
				*to = int16(*from)
			}
		}
	}
	peer, err := s.peer(b)
	out.Peers = []policy.Peer{peer}
	return out, err
}

func wrong(format string, args ...any) error {
	return apiserver.Refusal(http.StatusBadRequest, format, args...)
}

// protocol reads one of the protocols that can be sent here.
func protocol(text string) (policy.Protocol, error) {
	list := []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6, policy.AH, policy.ESP,
		policy.GRE, policy.IPIP}
	var words []string
	for _, p := range list {
		if p.String() == text {
			return p, nil
		}
		words = append(words, p.String())
	}
	return 0, wrong("protocol: is %q; must be one of %s; others are of /v1, and of policy files", text,
		strings.Join(words, ", "))
}

// ports reads the range; none is left to the judge of rules.
func ports(b *ruleBody) ([]policy.PortRange, error) {
	switch {
	case b.StartPort == nil && b.EndPort == nil:
		return nil, nil
	case b.StartPort == nil || b.EndPort == nil:
		return nil, wrong("start-port and end-port belong together: give both, or none")
	case *b.StartPort < 1 || *b.EndPort > 65535 || *b.StartPort > *b.EndPort:
		return nil, wrong("start-port and end-port: are %d and %d; must be a range of 1 to 65535",
			*b.StartPort, *b.EndPort)
	}
	return []policy.PortRange{{First: uint16(*b.StartPort), Last: uint16(*b.EndPort)}}, nil
}

// network reads a network. Clients look for the text that they have sent, so one that has another
// than the usual form is refused.
func network(key, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, wrong("%s: is %q; must be a network, such as 192.0.2.0/24 or 2001:db8::/32", key, text)
	}
	if usual := p.Masked().String(); usual != text {
		return p, wrong("%s: is %q; write %s", key, text, usual)
	}
	return p, nil
}

// peer reads the other side.
func (s *seen) peer(b *ruleBody) (policy.Peer, error) {
	switch {
	case (b.Network == "") == (b.Group == nil):
		return policy.Peer{}, wrong("a rule needs a peer: network or security-group, one of them")
	case b.Network != "":
		one, err := network("network", b.Network)
		return policy.Peer{CIDR: one}, err
	}
	ref := b.Group
	switch ref.Visibility {
	case public:
		return s.publicPeer(ref)
	case "", "private":
	default:
		return policy.Peer{}, wrong("security-group: visibility is %q; must be private or public",
			ref.Visibility)
	}
	g := s.byID[ref.ID]
	switch {
	case ref.ID == "":
		return policy.Peer{}, wrong("security-group: is named by its id, or, if it is public, by its " +
			"name with visibility public")
	case g == nil:
		return policy.Peer{}, none("security group", ref.ID)
	case !s.isOwn(g):
		return policy.Peer{}, wrong("security-group: %s is public; name it by its name, with "+
			"visibility public", wording.Quote(g.Name))
	}
	return policy.Peer{Group: g.Name}, nil
}

// publicPeer finds a public group by its name.
func (s *seen) publicPeer(ref *groupRef) (policy.Peer, error) {
	if g := s.byName[ref.Name]; g != nil && s.isPublic(g) {
		return policy.Peer{Group: g.Name, IsNetwork: g.IsNetwork}, nil
	}
	var names []string
	for name, g := range s.byName {
		if s.isPublic(g) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return policy.Peer{}, apiserver.Refusal(http.StatusNotFound, "security-group: there is no public "+
		"group %s%s", wording.Quote(ref.Name), wording.DidYouMean(ref.Name, names))
}

func addRule(r *request) (change, error) {
	id := r.PathValue("id")
	var body ruleBody
	if err := decode(r.body, &body); err != nil {
		return change{}, err
	}
	if body.ID != "" {
		return change{}, wrong("id: a rule is given one; leave it out")
	}
	return change{group: id, edit: func(s *seen) (policydb.Edited, error) {
		g, err := s.own(id)
		if err != nil {
			return policydb.Edited{}, err
		}
		rule, err := s.rule(&body)
		if err != nil {
			return policydb.Edited{}, err
		}
		return s.edited(edit.SetGroup(g.Name, func(g *policy.Group) {
			g.Rules = append(slices.Clone(g.Rules), rule) // also one of the same words
		}))
	}}, nil
}

func deleteRule(r *request) (change, error) {
	id, rule := r.PathValue("id"), r.PathValue("rule")
	return change{group: id, edit: func(s *seen) (policydb.Edited, error) {
		g, err := s.own(id)
		if err != nil {
			return policydb.Edited{}, err
		}
		at := slices.Index(s.Rules[g.Name], rule)
		if at < 0 {
			return policydb.Edited{}, s.noRule(g, rule)
		}
		out, err := s.edited(edit.SetGroup(g.Name, func(g *policy.Group) {
			g.Rules = slices.Delete(slices.Clone(g.Rules), at, at+1)
		}))
		out.Gone = []string{rule}
		return out, err
	}}, nil
}

// noRule says why a rule cannot be removed that has no row of this ID.
func (s *seen) noRule(g *policy.Group, id string) error {
	for n, r := range g.Rules {
		for _, part := range s.parts(s.Rules[g.Name][n], r) {
			if part.ID == id {
				return apiserver.Refusal(http.StatusConflict, "this is a part of the rule %s, which lists "+
					"several ports or peers and goes as a whole: by /v1, or 'portcullis rule remove'",
					wording.Quote(r.String()))
			}
		}
	}
	return none("rule", id)
}
