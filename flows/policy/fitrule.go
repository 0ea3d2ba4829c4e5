package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// How the fields of one rule must fit each other, and what is said of a name that nothing has: a
// part of [Validate].

// What is said of keys, too, before there is a value.
const (
	NeedsDirection = "a rule needs a direction: ingress (to the instance) or egress (from it)"
	NeedsPeer      = "a rule needs a peer: cidr (0.0.0.0/0 is all of IPv4, ::/0 all of IPv6) " +
		"or group"
)

func (v *Validator) rule(at location, r *Rule) {
	if r.Direction != Ingress && r.Direction != Egress {
		v.wrong(at, NeedsDirection)
	}
	if r.Protocol > AnyProtocol {
		v.wrong(at.at(keyProtocol), "must be a number from 0 to 255, or any")
	} else {
		v.rulePorts(at, r)
		v.ruleTypes(at, r)
	}
	v.peers(at, r)
	v.wrong(at.at(keyDescription), BadText(r.Description))
}

// peers judges each peer of a rule, up to the first that is too many.
func (v *Validator) peers(at location, r *Rule) {
	switch {
	case len(r.Peers) == 0:
		v.wrong(at, NeedsPeer)
	case len(r.Peers) > MaxRuleItems:
		v.wrongf(at, "has %d peers; at most %d are possible: name the networks in networks, "+
			"or write several rules", len(r.Peers), MaxRuleItems)
		return
	}
	nth, all := [2]int{}, [2]int{}
	for _, p := range r.Peers {
		all[p.kind()]++
	}
	for _, p := range r.Peers {
		k := p.kind()
		here := at.at([...]key{keyCIDR, keyGroup}[k])
		if all[k] > 1 {
			here = here.of(here.key, nth[k])
		}
		nth[k]++
		v.peer(here, at, r, p)
	}
}

// kind returns 0 of what is written as cidr, 1 of what is written as group.
func (p Peer) kind() int {
	if p.Group == "" || p.IsNetwork {
		return 0
	}
	return 1
}

// peer judges a peer of a rule: here is where it stands, at where the rule does.
func (v *Validator) peer(here, at location, r *Rule, p Peer) {
	switch {
	case p.Group != "" && p.CIDR.IsValid():
		v.wrong(at, "cidr and group are both given as one peer; a peer is one of them")
	case p.Group != "":
		v.reference(here, p)
	case p.CIDR.IsValid():
		v.wrong(here, badNetwork(p.CIDR))
		v.wrong(here, badFamily(r, p))
	default:
		v.wrong(at, NeedsPeer)
	}
}

func (v *Validator) rulePorts(at location, r *Rule) {
	switch p := r.Protocol; {
	case p.HasPorts() && len(r.Ports) == 0:
		v.wrongf(at, "%s needs ports, such as 80 or 8000-8999; 1-65535 are all", p)
	case p.HasPorts() && len(r.Ports) > MaxRuleItems:
		v.wrongf(at.at(keyRulePorts), "has %d entries; at most %d are possible: "+
			"write several rules", len(r.Ports), MaxRuleItems)
	case p.HasPorts():
		for n, ports := range r.Ports {
			here := at.at(keyRulePorts)
			if len(r.Ports) > 1 {
				here = here.of(keyRulePorts, n)
			}
			if !ports.isValid() {
				v.wrong(here, badRange(ports))
			}
		}
	case len(r.Ports) == 0:
	case p == AnyProtocol:
		v.wrong(at.at(keyRulePorts), "protocol any is every port of every protocol; "+
			"leave ports out, or name tcp, udp or sctp")
	default:
		v.wrongf(at.at(keyRulePorts), "protocol %s has no ports; leave ports out", p)
	}
}

func badRange(ports PortRange) string {
	return fmt.Sprintf("is %s; must be a range of ports from 1 to 65535, such as 8000-8999", ports)
}

func (v *Validator) ruleTypes(at location, r *Rule) {
	if !r.Protocol.HasTypes() {
		for n, number := range [...]int16{r.ICMPType, r.ICMPCode} {
			if number != AnyICMP {
				v.wrongf(at.at(keyType+key(n)),
					"protocol %s has no ICMP types and codes; leave it out",
					r.Protocol)
			}
		}
		return
	}
	for n, number := range [...]int16{r.ICMPType, r.ICMPCode} {
		if number < AnyICMP || number > 255 {
			v.wrongf(at.at(keyType+key(n)), "must be a decimal number from -1 to 255, not %d",
				number)
		}
	}
	if r.ICMPCode != AnyICMP && r.ICMPType == AnyICMP {
		v.wrong(at.at(keyCode),
			"a code has a meaning only with a type; add icmp_type, or leave icmp_code out")
	}
}

// badFamily refuses an ICMP of one IP version with a network of the other, if the rule could never
// match: it has no peer that could be of its version.
func badFamily(r *Rule, p Peer) string {
	for _, other := range r.Peers {
		if other.Group != "" || r.Protocol.isOf(other) {
			return ""
		}
	}
	switch {
	case r.Protocol == ICMP:
		return p.CIDR.String() + " is IPv6, but icmp is of IPv4; write protocol icmpv6"
	case r.Protocol == ICMPv6:
		return p.CIDR.String() + " is IPv4, but icmpv6 is of IPv6; write protocol icmp"
	}
	return ""
}

// isOf says whether the protocol is one of a network's IP version.
func (p Protocol) isOf(peer Peer) bool {
	is4 := peer.CIDR.Addr().Is4()
	return !(p == ICMP && !is4 || p == ICMPv6 && is4)
}

// what is the word for the group.
func (g *Group) what() string {
	if g.IsNetwork {
		return "network"
	}
	return "group"
}

// badGroupName is of the name of a group, or of a network: that must not look like one.
func badGroupName(g *Group) string {
	problem := BadName(g.Name)
	switch {
	case problem != "" || !g.IsNetwork:
		return problem
	case !IsNetworkName(g.Name):
		return "is " + wording.Quote(g.Name) + "; the name of a network begins with a letter and " +
			`has neither "/" nor ":"`
	case meansAny(g.Name):
		return "is " + wording.Quote(g.Name) + ", which would be taken for all addresses there " +
			"are; use another name"
	}
	return ""
}

// IsNetworkName says whether what stands where a network is meant is the name of one: it begins
// with a letter, and has neither "/" nor ":".
func IsNetworkName(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.IsLetter(first) && !strings.ContainsAny(word, "/:")
}

// meansAny says whether a word is one by which people mean all addresses.
func meansAny(word string) bool {
	words := []string{"all", "any", "anyone", "anywhere", "everyone", "everywhere", "internet",
		"outside", "world"}
	return slices.Contains(words, strings.ToLower(word))
}

// reference reports the use of a group, or of a named network, that does not exist.
func (v *Validator) reference(at location, p Peer) {
	n, known := v.groups[p.Group]
	if known && v.policy.Groups[n].IsNetwork == p.IsNetwork {
		if len(v.projects) > 0 {
			v.foreign(at, v.projectOf(v.object(at).Name), v.policy.Groups[n])
		}
		return
	}
	if problem := BadName(p.Group); problem != "" {
		v.wrong(at, problem)
		return
	}
	v.wrong(at, v.hint(p))
	switch theirs, _ := SplitName(p.Group); {
	case len(v.projects) == 0:
	case p.IsNetwork || theirs == v.projectOf(v.object(at).Name):
		v.veil("there is no " + p.String())
	default:
		v.veil(hidden(p.Group))
	}
}

// hint says what is wrong with a name. What would be right is looked for for the first few only:
// looking is slow when there are many groups, and who has misspelt a hundred names has made one
// mistake in a program.
func (v *Validator) hint(p Peer) string {
	const most = 20
	hint, known := v.hints[p]
	switch {
	case known:
		return hint
	case len(v.hints) >= most:
		return "there is no " + p.String()
	}
	if v.hints == nil {
		v.hints = make(map[Peer]string)
	}
	v.hints[p] = v.missing(p)
	return v.hints[p]
}

// missing says that there is no such group or named network, and what there is.
func (v *Validator) missing(p Peer) string {
	quoted := wording.Quote(p.Group)
	switch _, isOther := v.groups[p.Group]; {
	case isOther && p.IsNetwork:
		return quoted + " is a group, not a named network; write group: " + p.Group
	case isOther:
		return quoted + " is a named network, not a group; where a rule is about it, write cidr: " +
			p.Group
	case p.IsNetwork && meansAny(p.Group):
		return "is " + quoted + "; write 0.0.0.0/0 for all of IPv4, ::/0 for all of IPv6, or " +
			`["0.0.0.0/0", "::/0"] for both`
	}
	what := (&Group{IsNetwork: p.IsNetwork}).what()
	for _, i := range v.policy.Instances {
		if i.Name == p.Group && p.Group != "" {
			return "there is no " + what + " " + quoted + "; it is an instance: name a group that " +
				"it is in, or write its address as cidr"
		}
	}
	var names []string
	for _, g := range v.policy.Groups {
		if g.IsNetwork == p.IsNetwork {
			names = append(names, g.Name)
		}
	}
	return "there is no " + what + " " + quoted + wording.DidYouMean(p.Group, names)
}
