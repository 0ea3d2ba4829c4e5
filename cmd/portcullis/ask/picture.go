package ask

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/cmd/portcullis/draw"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
)

// Answers as pictures: that of matrix, and what a plan changes drawn over it.

// The formats beside those of package term.
const (
	asCSV  term.Format = "csv"
	asSVG  term.Format = "svg"
	asHTML term.Format = "html"
	asDOT  term.Format = "dot"
)

// formatFlag is a format that may be one of some; it implements pflag.Value.
type formatFlag struct {
	*term.Format
	known []string
}

// Type is what the help calls the value.
func (f formatFlag) Type() string { return strings.Join(f.known, "|") }

// Set accepts the name of a format.
func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.known, s) {
		return errors.New("want " + strings.Join(f.known, ", "))
	}
	*f.Format = term.Format(s)
	return nil
}

// planFormats are those of a plan.
func planFormats() []string { return []string{"table", "json", "svg", "html"} }

func isPicture(f term.Format) bool { return f == asSVG || f == asHTML || f == asDOT }

func drawAs(w io.Writer, f term.Format, p draw.Picture) error {
	switch f {
	case asHTML:
		return draw.HTML(w, p)
	case asDOT:
		return draw.DOT(w, p)
	}
	return draw.SVG(w, p)
}

// drawPlan draws what would be, and over it the access that comes and goes. Of more groups than a
// picture holds it draws those that are gained or lost by, with what they have to do with.
func drawPlan(w io.Writer, f term.Format, after *policy.Policy, access *explain.AccessChanges,
	notes []string) error {
	if access == nil {
		return errors.New("a picture of a plan needs the daemon, which knows what is in force: " +
			"leave --dump out")
	}
	answer, err := matrix.Ask(after, matrix.Question{})
	if err != nil {
		return err
	}
	p := draw.Picture{Title: "What would change: nobody gains or loses access", Answer: answer,
		Notes: notes}
	for _, c := range access.Loses {
		p.Changes = append(p.Changes, changes(answer, draw.Lost, c)...)
	}
	for _, c := range access.Gains {
		p.Changes = append(p.Changes, changes(answer, draw.Gained, c)...)
	}
	if len(p.Changes) > 0 {
		p.Title = "What would change"
	}
	if len(after.Groups) > draw.MostGroups {
		for _, c := range p.Changes {
			p.Around = append(p.Around, changedEnd(c))
		}
	}
	return drawAs(w, f, p)
}

// changedEnd is the end at which a change is told.
func changedEnd(c draw.Change) string {
	if c.Direction == policy.Egress.String() {
		return c.From
	}
	return c.To
}

// changes returns the arrows that a change of access is: one, or one for each network that has an
// end of its own.
func changes(a *matrix.Answer, state draw.State, c explain.AccessChange) []draw.Change {
	subject := c.Group
	if subject == "" {
		subject = some(c.Instances)
	}
	var out []draw.Change
	for _, peer := range peersOf(a, c) {
		change := draw.Change{State: state, From: peer, To: subject, Direction: c.Direction,
			Services: wordsOf(a, c, peer, subject)}
		if c.Direction == policy.Egress.String() {
			change.From, change.To = subject, peer
		}
		for _, r := range c.Rules {
			change.Rules = append(change.Rules, matrix.Rule{Group: r.Group, Rule: r.Rule, At: r.At})
		}
		switch {
		case c.ClosedBy != nil:
			change.Reason = "Egress was open, and is closed by " + c.ClosedBy.String() + "."
		case c.OpenedBy:
			change.Reason = "Egress is open: no group has an egress rule any more."
		}
		if len(c.Except) > 0 {
			change.Reason = strings.TrimSpace(change.Reason + " Not meant: " +
				some(networkTexts(c.Except)) + ".")
		}
		out = append(out, change)
	}
	return out
}

// wordsOf returns the services of a change; where one family of everybody is meant, and the subject
// has both, they say so.
func wordsOf(a *matrix.Answer, c explain.AccessChange, peer, subject string) []string {
	words := c.Services.Words()
	dual := slices.ContainsFunc(a.Ends,
		func(e matrix.End) bool { return e.Name == subject && e.IsDual() })
	has := func(v6 bool) bool {
		return slices.ContainsFunc(c.Networks,
			func(n netip.Prefix) bool { return n.Bits() == 0 && n.Addr().Is6() == v6 })
	}
	if peer != matrix.Outside || !dual || has(false) == has(true) {
		return words
	}
	family := " (IPv4)"
	if has(true) {
		family = " (IPv6)"
	}
	for n := range words {
		words[n] += family
	}
	return words
}

// peersOf returns the ends whom a change is about: a group, networks by their names, or what is
// said of them in words.
func peersOf(a *matrix.Answer, c explain.AccessChange) []string {
	if c.Peer != "" {
		return []string{c.Peer}
	}
	var names []string
	rest := c
	rest.Networks = nil
	for _, n := range c.Networks {
		name := endAt(a, n)
		switch {
		case name == "" || len(c.Except) > 0 && name != matrix.Outside:
			rest.Networks = append(rest.Networks, n)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if len(rest.Networks) > 0 {
		names = append(names, peersText(rest))
	}
	return names
}

// endAt returns the name of the end that is a network, "" if none is.
func endAt(a *matrix.Answer, n netip.Prefix) string {
	for _, e := range a.Ends {
		if slices.Contains(e.Networks, n) && (len(e.Networks) == 1 || n.Bits() == 0) {
			return e.Name
		}
	}
	return ""
}
