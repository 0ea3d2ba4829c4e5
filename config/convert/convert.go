package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Format is the way in which security groups are described.
type Format string

// The formats.
const (
	Detect Format = ""    // whichever it looks like
	Exo    Format = "exo" // exo compute security-group show NAME -O json
	AWS    Format = "aws" // aws ec2 describe-security-groups
)

// Formats are those that can be named.
func Formats() []string { return []string{string(Exo), string(AWS)} }

// Convert reads one or several JSON documents, or lists of them, and returns their groups. The
// notes say what is other than it was written but means the same. The error joins everything that
// could not be converted.
func Convert(data []byte, from Format) (p *policy.Policy, notes []string, err error) {
	documents, err := split(data)
	if err != nil {
		return nil, nil, err
	}
	if from == Detect {
		if from, err = detect(documents[0]); err != nil {
			return nil, nil, err
		}
	}
	b := builder{policy: &policy.Policy{}, groups: make(map[string]bool)}
	switch from {
	case Exo:
		b.exo(documents)
	case AWS:
		b.aws(documents)
	default:
		return nil, nil, fmt.Errorf("the format %q is not known; it must be one of %s", from,
			strings.Join(Formats(), ", "))
	}
	if len(b.problems) > 0 {
		return nil, b.notes, errors.Join(b.problems...)
	}
	for _, problem := range policy.Validate(b.policy) {
		b.problems = append(b.problems, errors.New(problem.String()))
	}
	if len(b.problems) > 0 {
		return nil, b.notes, fmt.Errorf("what was read is no valid policy: %w",
			errors.Join(b.problems...))
	}
	return b.policy, b.notes, nil
}

// split returns the objects of a stream of JSON documents, lists opened.
func split(data []byte) (out []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var one json.RawMessage
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("the input is not JSON: %w", err)
		}
		var many []json.RawMessage
		if json.Unmarshal(one, &many) == nil {
			out = append(out, many...)
		} else {
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the input has no security group")
	}
	return out, nil
}

// detect tells the format from the keys that only it has.
func detect(document json.RawMessage) (Format, error) {
	var keys map[string]json.RawMessage
	_ = json.Unmarshal(document, &keys) // what is no object has no keys
	for _, known := range []struct {
		key    string
		format Format
	}{{"ingress_rules", Exo}, {"SecurityGroups", AWS}, {"IpPermissions", AWS}} {
		if _, ok := keys[known.key]; ok {
			return known.format, nil
		}
	}
	return Detect,
		errors.New(
			"the input is neither the output of 'exo compute security-group show NAME -O json' (it " +
				"has no ingress_rules) nor that of " +
				"'aws ec2 describe-security-groups' (it has no SecurityGroups)")
}

// decode reads one document strictly: a key that is not known could be one that changes what a rule
// means.
func decode(document json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the description of a security group: %w", err)
	}
	return nil
}

// builder collects groups and what is wrong with them.
type builder struct {
	policy   *policy.Policy
	groups   map[string]bool // the names that may be peers
	notes    []string
	problems []error
}

// place says which rule is meant, for messages.
type place struct {
	group     string
	direction policy.Direction
	number    int // from 1
}

func (p place) String() string {
	if p.number == 0 {
		return fmt.Sprintf("group %q", p.group)
	}
	return fmt.Sprintf("group %q, %s rule %d", p.group, p.direction, p.number)
}

func (b *builder) errorf(at place, format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func (b *builder) notef(at place, format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf("%s: %s", at, fmt.Sprintf(format, args...)))
}

// declare notes a group's name, so that rules may name it.
func (b *builder) declare(name string) {
	if b.groups[name] {
		b.errorf(place{group: name}, "it is in the input twice")
	}
	b.groups[name] = true
}

// add adds a rule to a group, once.
func (b *builder) add(g *policy.Group, r policy.Rule) {
	for _, known := range g.Rules {
		if known.String() == r.String() {
			return
		}
	}
	g.Rules = append(g.Rules, r)
}

// network reads a CIDR as a peer of a rule.
func (b *builder) network(at place, text string) (policy.Peer, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		b.errorf(at, "%q is not a network", text)
		return policy.Peer{}, false
	}
	if p != p.Masked() {
		b.notef(at, "%s is taken as %s", p, p.Masked())
	}
	return policy.Peer{CIDR: p.Masked()}, true
}

// ports reads a range of ports. No rule can name port 0, which nobody can listen on.
func (b *builder) ports(at place, first, last *int) ([]policy.PortRange, bool) {
	if first == nil || last == nil {
		b.errorf(at, "it names no ports")
		return nil, false
	}
	from, to := *first, *last
	if from == 0 && to > 0 {
		b.notef(at, "ports 0-%d are taken as 1-%d", to, to)
		from = 1
	}
	if from < 1 || to > 65535 || from > to {
		b.errorf(at, "%d-%d is not a range of ports", *first, *last)
		return nil, false
	}
	return []policy.PortRange{{First: uint16(from), Last: uint16(to)}}, true
}

// icmp reads an ICMP type and code, of which none and -1 are any.
func (b *builder) icmp(at place, r *policy.Rule, kind, code *int) bool {
	number := func(n *int) (int16, bool) {
		if n == nil {
			return policy.AnyICMP, true
		}
		return int16(*n), *n >= -1 && *n <= 255
	}
	var ok1, ok2 bool
	r.ICMPType, ok1 = number(kind)
	r.ICMPCode, ok2 = number(code)
	if !ok1 || !ok2 || r.ICMPType == policy.AnyICMP && r.ICMPCode != policy.AnyICMP {
		b.errorf(at, "it has no valid ICMP type and code")
		return false
	}
	return true
}

// fits refuses a rule that could never match: its existence would still close egress.
func (b *builder) fits(at place, r policy.Rule, peer policy.Peer) bool {
	if !peer.CIDR.IsValid() {
		return true
	}
	is4 := peer.CIDR.Addr().Is4()
	if r.Protocol == policy.ICMP && !is4 || r.Protocol == policy.ICMPv6 && is4 {
		b.errorf(at, "%s with %s, which is of the other IP version, never matches", r.Protocol,
			peer.CIDR)
		return false
	}
	return true
}

// line makes a text one that descriptions may be.
func line(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), 255)])
}
