package ask

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/explain"
)

// The answers of explain as text; plan and the flags of explain print by the same page.

// maxNames is how many names or networks one line of a table lists; JSON has all.
const maxNames = 8

// page is text for a person about policies.
type page struct{ *term.Page }

func newPage(w io.Writer) page { return page{term.NewPage(w)} }

// verdict colours a verdict, which may be padded by blanks.
func (p page) verdict(word string) string {
	colours := map[string]string{"admitted": term.Green, "gains": term.Green, "partly": term.Yellow,
		"denied": term.Red, "loses": term.Red, "cuts": term.Red, "differs": term.Red, "passes": term.Green,
		"dropped": term.Red}
	return p.Paint.Line(colours[strings.ToLower(strings.TrimSpace(word))], word)
}

func (p page) route(r explain.Route) {
	p.Line("")
	for n, pair := range r.Pairs {
		if n == maxNames {
			p.Line("… and %d more pairs of addresses", len(r.Pairs)-n)
			break
		}
		p.Line("%s → %s", pair.From, pair.To)
	}
	p.reasons(r)
}

// reasons says what the guards and the rules say of a route.
func (p page) reasons(r explain.Route) {
	if r.Guard != "" {
		p.Line("  guard  %s  %s", p.verdict("denied"), r.Guard)
		return
	}
	width := 0
	for _, j := range []*explain.Judgement{r.Egress, r.Ingress} {
		if j != nil {
			width = max(width, len(j.Direction)+len(j.Instance)+4)
		}
	}
	for _, j := range []*explain.Judgement{r.Egress, r.Ingress} {
		if j == nil {
			continue
		}
		p.Line("  %-*s  %s  %s", width, j.Direction+" of "+j.Instance,
			p.verdict(fmt.Sprintf("%-8s", j.Verdict)), j.Reason)
		for _, n := range j.Nearest {
			p.Line("    nearest: %s: %s", n.Named, n.Missing)
		}
	}
	p.ways(r)
	for _, s := range r.DHCP {
		p.step(s)
	}
	if r.Verdict == explain.Partly && len(r.Services) > 0 {
		p.Line("  of the question only %s passes", r.Services)
	}
}

// ways tells the ways of a packet apart where they are not the same.
func (p page) ways(r explain.Route) {
	if !slices.ContainsFunc(r.Ways, func(w explain.Way) bool { return w.Guard != "" }) {
		return
	}
	p.Line("  IT DEPENDS ON THE WAY of the packet, which the policy does not tell:")
	for _, w := range r.Ways {
		p.Line("    %-20s  %s  %s", w.Name, p.verdict(fmt.Sprintf("%-8s", w.Verdict)), w.Guard)
	}
}

// some joins the first names and says how many more there are.
func some(names []string) string {
	if len(names) <= maxNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
}

// printList prints who is admitted at the far end of a question.
func (q *explainOptions) printList(w io.Writer, reach []explain.Reach) error {
	if q.out == term.JSON {
		if reach == nil {
			reach = []explain.Reach{}
		}
		return term.PrintJSON(w, reach)
	}
	p := newPage(w)
	for n, r := range reach {
		if n > 0 {
			p.Line("")
		}
		p.reach(r, q.service)
	}
	return p.Err()
}

func (p page) reach(r explain.Reach, s explain.Asked) {
	names := cmp.Or(r.Points[0].Instance, "outside")
	head := map[string]string{"ingress": "who may open connections to " + names,
		"egress": "to whom " + names + " may open connections"}[r.Direction]
	var places []string
	for _, point := range r.Points {
		places = append(places, point.Place())
	}
	p.Line("%s (%s), service %s:", head, strings.Join(places, ", "), s)
	if len(r.Outside)+len(r.Instances) == 0 {
		p.Line("  nobody may: all of it is %s", p.verdict("denied"))
		return
	}
	var rows []row
	for _, o := range r.Outside {
		below := rulesText("", o.Rules)
		if len(o.Of) > 0 {
			below = append(below, "it is in "+some(o.Of))
		}
		rows = append(rows, row{"outside, " + o.Network.String(), o.Services.String(), below})
	}
	for _, i := range r.Instances {
		below := append(rulesText("", i.Rules), rulesText("at the other end ", i.Theirs)...)
		rows = append(rows, row{some(explain.PeerNames(i.Peers)), i.Services.String(), below})
	}
	p.table(rows)
}

// rulesText lists the rules that admit.
func rulesText(lead string, rules []explain.Named) []string {
	var out []string
	for _, r := range rules {
		out = append(out, lead+r.String())
	}
	return out
}

// row is a line of two columns, and lines below it.
type row struct {
	left, right string
	below       []string
}

// table aligns the columns.
func (p page) table(rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, len([]rune(r.left)))
	}
	for _, r := range rows {
		p.Line("  %s%s  %s", r.left, strings.Repeat(" ", width-len([]rune(r.left))), r.right)
		for _, text := range r.below {
			p.Line("      %s", text)
		}
	}
}

// endsText is the head of an answer.
func endsText(e explain.Explanation) string {
	if e.To == "" {
		return e.From
	}
	return e.From + " → " + e.To
}

// exchange prints a conversation of one port.
func (p page) exchange(e explain.Exchange) {
	p.Line("")
	p.Line("%s", e.From)
	for _, s := range e.Steps {
		p.step(s)
	}
}

// step prints a frame: what it is, who gets it, and why nobody else does.
func (p page) step(s explain.Step) {
	const indent = "           "
	word := "passes "
	if s.Verdict != explain.Admitted {
		word = "dropped"
	}
	p.Line("  %s  %s", p.verdict(word), s.What)
	p.Line("%s%s", indent, s.Frame)
	p.Line("%senters by %s; %s", indent, entrance(s), receivers(s))
	if s.Verdict != explain.Admitted {
		p.Line("%swhy: %s", indent, s.Reason)
		if s.Missing != "" {
			p.Line("%smissing: %s", indent, s.Missing)
		}
		if s.Optional != "" {
			p.Line("%snot needed: %s", indent, s.Optional)
		}
	}
}

// entrance says by which port a frame enters, and of which host if that is another.
func entrance(s explain.Step) string {
	port := s.Enters
	if port == explain.UplinkEntrance {
		port = "an uplink"
	}
	if s.Host != "" {
		port += " of host " + s.Host
	}
	return port
}

func receivers(s explain.Step) string {
	who := s.Ports
	if s.Uplink {
		who = append([]string{"the uplinks"}, who...)
	}
	if len(who) == 0 {
		return "nobody gets it"
	}
	return "got by " + some(who)
}
