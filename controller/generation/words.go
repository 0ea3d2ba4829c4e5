// Who gained and lost access, in words. Pure. Invariant: each line says who, what, and by which
// rule of which file.

package generation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

const (
	// mostLines is how many lines of one change are told.
	mostLines = 20
	// mostNames is how many instances, networks or rules one line names.
	mostNames = 4
)

// InWords tells of a change: losses first, as these cut somebody off.
func InWords(c explain.AccessChanges) *history.Access {
	out := &history.Access{Gained: len(c.Gains), Lost: len(c.Loses), Ports: len(c.Ports)}
	var lines []string
	for _, change := range c.Loses {
		lines = append(lines, sentence(change, "can no longer"))
	}
	for _, change := range c.Gains {
		lines = append(lines, sentence(change, "may now"))
	}
	for _, p := range c.Ports {
		names := make([]string, len(p.Ports))
		for i, ref := range p.Ports {
			names[i] = ref.Port + " of " + ref.Instance
		}
		lines = append(lines, wording.Count(len(names), "port")+" "+p.What+": "+some(names))
	}
	if n := len(lines) - mostLines; n > 0 {
		lines = append(lines[:mostLines], fmt.Sprintf("and %d more", n))
	}
	out.Lines = lines
	return out
}

// sentence is "web-1 may now be reached from 198.51.100.0/24 by tcp 22: policy.yaml:12:9 (web: …)".
func sentence(c explain.AccessChange, may string) string {
	how := "be reached from"
	if c.Direction == "egress" {
		how = "reach"
	}
	line := fmt.Sprintf("%s %s %s %s by %s", who(c), may, how, peers(c), c.Services)
	switch {
	case c.ClosedBy != nil:
		line += ": egress is closed by " + byRule(*c.ClosedBy)
	case c.OpenedBy:
		line += ": egress is open, as no group of these has an egress rule any more"
	case len(c.Rules) > 0:
		rules := make([]string, len(c.Rules))
		for i, r := range c.Rules {
			rules[i] = byRule(r)
		}
		line += ": " + some(rules)
	}
	return line
}

// byRule is a rule by where it stands.
func byRule(n explain.Named) string {
	if n.At == (policy.Position{}).String() { // of no file
		return fmt.Sprintf("rule of %s: %s", n.Group, n.Rule)
	}
	return fmt.Sprintf("%s (rule of %s: %s)", n.At, n.Group, n.Rule)
}

func who(c explain.AccessChange) string {
	if c.Group != "" && len(c.Instances) > 1 {
		return fmt.Sprintf("group %s (%d instances)", c.Group, len(c.Instances))
	}
	return some(c.Instances)
}

func peers(c explain.AccessChange) string {
	if c.Peer != "" {
		return "group " + c.Peer
	}
	words := some(texts(c.Networks))
	if len(c.Except) > 0 {
		words += " except " + some(texts(c.Except))
	}
	return words
}

func texts(networks []netip.Prefix) []string {
	out := make([]string, len(networks))
	for i, n := range networks {
		if out[i] = n.String(); n.IsSingleIP() {
			out[i] = n.Addr().String()
		}
	}
	return out
}

// some names the first of a list, and says how many more there are.
func some(names []string) string {
	if n := len(names) - mostNames; n > 0 {
		names = append(slices.Clone(names[:mostNames]), fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}
