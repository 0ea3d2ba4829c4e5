// The ports of a rule: numbers, ranges and names of services. Called by rule.go.

package policyfile

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// ports reads one port, range or service of a protocol, or a list of them. What is there already is
// warned of, and left out if it is the same.
func (r *reader) ports(n strictyaml.Node, p policy.Protocol) []policy.PortRange {
	var out []policy.PortRange
	var at []strictyaml.Node
	seen := once[policy.PortRange]{}
	for _, item := range n.Items() {
		ranges, problem := readPorts(item, p)
		if problem != "" {
			item.Errorf("%s", problem)
			continue
		}
		for _, ports := range ranges {
			if seen.first(ports, item) {
				if n.IsList() {
					r.noteEntry(item, "ports", len(out))
				}
				out, at = append(out, ports), append(at, item)
			}
		}
	}
	if len(out) <= policy.MaxRuleItems {
		warnOfOverlaps(out, at)
	}
	return out
}

func warnOfOverlaps(list []policy.PortRange, at []strictyaml.Node) {
	for n, r := range list {
		for _, s := range list[:n] {
			if r.First <= s.Last && s.First <= r.Last {
				at[n].Warnf("%s and %s, which is in this list, too, have ports in common", r, s)
				break
			}
		}
	}
}

const portForms = "a port, a range such as 8000-8999, or a service such as https"

// readPorts reads 80, "80", 8000-8999 or ssh. A service may have several ports.
func readPorts(n strictyaml.Node, p policy.Protocol) (ports []policy.PortRange, problem string) {
	word, ok := n.Word()
	if !ok {
		return nil, "must be " + portForms + ", or a list of them, not " + n.Kind()
	}
	first, last, isRange := strings.Cut(word, "-")
	if !isRange {
		last = first
	}
	from, ok1 := strictyaml.Decimal(strings.TrimSpace(first))
	to, ok2 := strictyaml.Decimal(strings.TrimSpace(last))
	if !ok1 || !ok2 {
		if s, ok := policy.FindService(word); ok {
			return s.Ports(p), badService(s, p)
		}
	}
	switch {
	case !ok1 || !ok2:
		return nil, "is " + wording.Quote(word) + "; must be " + portForms + portHint(word)
	case from < 1 || to < 1 || from > 65535 || to > 65535:
		problem = fmt.Sprintf("is %s; ports are from 1 to 65535", word)
	case from > to:
		problem = fmt.Sprintf("is %s, which begins after its end; write %d-%d", word, to, from)
	case strings.ContainsRune(word, ' '):
		problem = fmt.Sprintf("is %s; write it without spaces: %d-%d", wording.Quote(word), from, to)
	}
	return []policy.PortRange{{First: uint16(from), Last: uint16(to)}}, problem
}

// badService is of the name of a service with another protocol than its own. Of a protocol that has
// no ports that is said already.
func badService(s policy.NamedService, p policy.Protocol) string {
	if len(s.Ports(p)) > 0 || !p.HasPorts() {
		return ""
	}
	for _, own := range []policy.Protocol{policy.TCP, policy.UDP} {
		if ports := s.Ports(own); len(ports) > 0 {
			return fmt.Sprintf("%s is a service of %s, not of %s; write protocol %s, or the number %s",
				s.Name, own, p, own, ports[0])
		}
	}
	return s.Name + " is no service that has ports"
}

// portHint says how what is not one port or range is written.
func portHint(word string) string {
	isSeparator := func(r rune) bool { return r == ',' || r == ' ' || r == ';' }
	if parts := strings.FieldsFunc(word, isSeparator); len(parts) > 1 {
		return "; write several as a list: [" + strings.Join(parts, ", ") + "]"
	}
	first, last, _ := strings.Cut(word, ":")
	_, ok1 := strictyaml.Decimal(first)
	if _, ok2 := strictyaml.Decimal(last); ok1 && ok2 {
		return "; write the range " + first + "-" + last
	}
	switch strings.ToLower(word) {
	case "any", "all", "*":
		return "; 1-65535 are all"
	}
	return wording.DidYouMean(word, serviceNames())
}
