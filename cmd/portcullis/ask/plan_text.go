package ask

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The answer of plan as text.

// plan says a plan in words first, then in flows, and counts at the end.
func (p page) plan(a *plan.Plan) error {
	if a.InSync {
		p.Line("in sync: %s is in force, and the switch holds its flows; nothing would change",
			a.Policy)
		return p.Err()
	}
	p.Line("%s would change:", a.Policy)
	for _, n := range a.Notes {
		p.Line("  %s", n)
	}
	if len(a.Leave) > 0 {
		p.Line("  this host %s ports, which pass nothing from then on: %s", p.verdict("loses"),
			some(portNames(a.Leave)))
	}
	if a.Access != nil && (len(a.Leave) == 0 || !a.Access.Empty()) {
		p.access(*a.Access)
	}
	if len(a.Cut) > 0 {
		p.Line("connections are judged again at %d of this host's ports: %s", len(a.Cut),
			some(a.Cut))
	}
	p.cuts(a)
	p.Line("flows: %d added, %d removed", a.Added.Count, a.Removed.Count)
	p.flows("+", a.Added)
	p.flows("-", a.Removed)
	p.Line("%s", a.Summary)
	return p.Err()
}

// cuts names the live connections that end, each with its rule.
func (p page) cuts(a *plan.Plan) {
	one := func(c plan.CutConnection) string { return fmt.Sprintf("%s (%s)", c, c.By()) }
	head := p.verdict("cuts") + " " + wording.Count(len(a.Connections), "connection") + " now:"
	switch n := len(a.Connections); {
	case n == 1:
		p.Line("%s %s", head, one(a.Connections[0]))
	case n > 1:
		p.Line("%s", head)
		for _, c := range a.Connections[:min(n, maxNames)] {
			p.Line("  %s", one(c))
		}
		if n > maxNames {
			p.Line("  and %d more", n-maxNames)
		}
	}
	if a.Unlisted != "" {
		p.Line("  %s", a.Unlisted)
	}
}

func (p page) access(c explain.AccessChanges) {
	for _, change := range c.Ports {
		p.Line("  %s: %s", change.What, some(portNames(change.Ports)))
	}
	for _, l := range c.Loses {
		p.change("loses", l)
	}
	for _, g := range c.Gains {
		p.change("gains", g)
	}
	if c.Empty() {
		p.Line("  nobody gains or loses access")
	}
}

func portNames(ports []explain.PortRef) []string {
	names := make([]string, len(ports))
	for i, ref := range ports {
		names[i] = ref.Port + " of " + ref.Instance
	}
	return names
}

// change is one line about who, and lines about the rules below it.
func (p page) change(word string, c explain.AccessChange) {
	p.Line("  %s %s %s %s %s %s", subject(c), p.verdict(word), c.Direction, c.Services,
		map[string]string{"ingress": "from", "egress": "to"}[c.Direction], peersText(c))
	for n, r := range c.Rules {
		if n == maxNames {
			p.Line("      and %d more rules", len(c.Rules)-n)
			break
		}
		p.Line("      %s", r)
	}
	if c.ClosedBy != nil {
		p.Line("      egress was open, and is closed by %s", *c.ClosedBy)
	}
	if c.OpenedBy {
		p.Line("      egress is open: no group of these instances has an egress rule any more")
	}
}

// subject names a group by its members' number, or the instances.
func subject(c explain.AccessChange) string {
	switch {
	case c.Group != "" && len(c.Instances) == 1:
		return fmt.Sprintf("group %s (%s)", c.Group, c.Instances[0])
	case c.Group != "":
		return fmt.Sprintf("group %s (%d instances)", c.Group, len(c.Instances))
	}
	return some(c.Instances)
}

func peersText(c explain.AccessChange) string {
	if c.Peer != "" {
		return "group " + c.Peer
	}
	words := some(networkTexts(c.Networks))
	if len(c.Except) > 0 {
		words += " except " + some(networkTexts(c.Except))
	}
	return words
}

// networkTexts writes networks, one address without its length.
func networkTexts(networks []netip.Prefix) []string {
	words := make([]string, len(networks))
	for i, n := range networks {
		if words[i] = n.String(); n.IsSingleIP() {
			words[i] = n.Addr().String()
		}
	}
	return words
}

func (p page) flows(sign string, set plan.FlowSet) {
	sign = p.Paint.Line(map[string]string{"+": term.Green, "-": term.Red}[sign], sign)
	for _, f := range set.Flows {
		p.Line("%s %s", sign, f.Flow)
		p.Line("    %s", f.Sentence)
	}
	if more := set.Count - len(set.Flows); more > 0 && len(set.Flows) > 0 {
		p.Line("%s … and %d more", sign, more)
	}
}
