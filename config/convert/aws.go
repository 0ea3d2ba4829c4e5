package convert

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// awsPage is what 'aws ec2 describe-security-groups' prints (EC2 API, DescribeSecurityGroups).
//
// The meaning differs from Portcullis' in egress alone: a group of AWS that has no egress rule
// admits none, and one that is open has a rule that says so. Both are written out, as the groups of
// an instance add up: an open group beside a strict one is open in AWS, and must stay so. What
// admits nothing names a group without members: see nobody.
type awsPage struct {
	SecurityGroups   []awsGroup
	NextToken        string
	ResponseMetadata json.RawMessage // of some clients
}

type awsGroup struct {
	GroupId, GroupName, Description    string
	IpPermissions, IpPermissionsEgress []awsPermission
	OwnerId, VpcId, SecurityGroupArn   string
	Tags                               json.RawMessage
}

// awsPermission is one service for many peers. Of icmp, the ports are type and code.
type awsPermission struct {
	IpProtocol       string
	FromPort, ToPort *int
	IpRanges         []awsRange
	Ipv6Ranges       []awsRange
	UserIdGroupPairs []awsPair
	PrefixListIds    []struct{ PrefixListId, Description string }
}

type awsRange struct{ CidrIp, CidrIpv6, Description string }

type awsPair struct {
	GroupId, GroupName, Description, UserId string
	PeeringStatus, VpcId                    string
	VpcPeeringConnectionId                  string
}

func (b *builder) aws(documents []json.RawMessage) {
	var groups []awsGroup
	for _, d := range documents {
		page, err := awsDocument(d)
		if err != nil {
			b.problems = append(b.problems, err)
			continue
		}
		if page.NextToken != "" {
			b.problems = append(b.problems, fmt.Errorf(
				"the input ends with a NextToken: there are more groups; ask for all of them, or "+
					"add the next pages"))
		}
		groups = append(groups, page.SecurityGroups...)
	}
	names := b.awsNames(groups)
	closed := false
	for _, g := range groups {
		out := &policy.Group{Name: names[g.GroupId], Description: line(g.Description)}
		b.awsRules(out, policy.Ingress, g.IpPermissions, names)
		b.awsRules(out, policy.Egress, g.IpPermissionsEgress, names)
		if len(g.IpPermissionsEgress) == 0 {
			closed = true
			b.add(out, policy.Rule{Direction: policy.Egress, Protocol: policy.AnyProtocol,
				ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP,
				Peers: []policy.Peer{{Group: b.nobody()}}, Description: "no egress at all"})
		}
		b.policy.Groups = append(b.policy.Groups, out)
	}
	if closed {
		b.policy.Groups = append(b.policy.Groups,
			&policy.Group{Name: b.nobody(),
				Description: "no members: a rule that names it admits nothing, and closes egress"})
	}
}

// awsDocument reads a page, or a single group as --query picks it.
func awsDocument(d json.RawMessage) (page awsPage, err error) {
	var keys map[string]json.RawMessage
	_ = json.Unmarshal(d, &keys) // decode says what is wrong
	if _, isPage := keys["SecurityGroups"]; isPage {
		return page, decode(d, &page)
	}
	page.SecurityGroups = make([]awsGroup, 1)
	return page, decode(d, &page.SecurityGroups[0])
}

// nobody is the name of a group that no group of the input has.
func (b *builder) nobody() string {
	name := "nobody"
	for b.groups[name] {
		name += "-"
	}
	return name
}

// awsNames returns the name of each group by its id. Where several have one name, as groups of
// different VPCs may, the id follows it.
func (b *builder) awsNames(groups []awsGroup) map[string]string {
	count := make(map[string]int)
	for _, g := range groups {
		count[g.GroupName]++
	}
	names := make(map[string]string, len(groups))
	for _, g := range groups {
		name := g.GroupName
		if count[name] > 1 {
			name += " " + g.GroupId
		}
		if g.GroupId == "" {
			b.errorf(place{group: name}, "it has no GroupId")
		}
		b.declare(name)
		names[g.GroupId] = name
	}
	return names
}

func (b *builder) awsRules(g *policy.Group, direction policy.Direction, permissions []awsPermission,
	names map[string]string) {
	for i, p := range permissions {
		at := place{g.Name, direction, i + 1}
		service, ok := b.awsService(at, p)
		if !ok {
			continue
		}
		service.Direction = direction
		if len(p.IpRanges)+len(p.Ipv6Ranges)+len(p.UserIdGroupPairs)+len(p.PrefixListIds) == 0 {
			b.errorf(at, "it has no peer")
		}
		for _, one := range p.PrefixListIds {
			b.errorf(at,
				"the networks of the prefix list %s are not in the input; write a rule for each "+
					"of them instead", one.PrefixListId)
		}
		for _, one := range append(p.IpRanges[:len(p.IpRanges):len(p.IpRanges)], p.Ipv6Ranges...) {
			r := service
			r.Description = line(one.Description)
			peer, ok := b.network(at, one.CidrIp+one.CidrIpv6)
			if r.Peers = []policy.Peer{peer}; ok && b.fits(at, r, peer) {
				b.add(g, r)
			}
		}
		for _, one := range p.UserIdGroupPairs {
			r := service
			r.Description = line(one.Description)
			name, ok := names[one.GroupId]
			if r.Peers = []policy.Peer{{Group: name}}; !ok {
				b.errorf(at, "the group %s is not in the input",
					strings.TrimSpace(one.GroupId+" "+one.GroupName))
				continue
			}
			b.add(g, r)
		}
	}
}

// awsService reads what a permission is about. Ports are of tcp and udp alone: of any other
// protocol, AWS admits all of them.
func (b *builder) awsService(at place, p awsPermission) (r policy.Rule, ok bool) {
	r.ICMPType, r.ICMPCode = policy.AnyICMP, policy.AnyICMP
	if r.Protocol, ok = awsProtocol(p.IpProtocol); !ok {
		b.errorf(at, "the protocol %q is not known", p.IpProtocol)
		return r, false
	}
	switch {
	case r.Protocol == policy.SCTP:
		r.Ports = []policy.PortRange{{First: 1, Last: 65535}}
	case r.Protocol.HasPorts():
		r.Ports, ok = b.ports(at, p.FromPort, p.ToPort)
	case r.Protocol.HasTypes():
		ok = b.icmp(at, &r, p.FromPort, p.ToPort)
	}
	return r, ok
}

// awsProtocol reads a name, a number, or -1 for all.
func awsProtocol(word string) (policy.Protocol, bool) {
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6} {
		if p.String() == word {
			return p, true
		}
	}
	n, err := strconv.Atoi(word)
	if n == -1 {
		return policy.AnyProtocol, true
	}
	return policy.Protocol(n), err == nil && n >= 0 && n <= 255
}
