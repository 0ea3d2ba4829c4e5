package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// maxNames is how many names or networks one line of a table lists; JSON has all.
const maxNames = 8

// page is text for a person, written line by line.
type page struct {
	w     io.Writer
	paint paint
	err   error
}

func newPage(w io.Writer) *page { return &page{w: w, paint: paintFor(w)} }

func (p *page) line(text string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, text+"\n", args...)
	}
}

// verdict colours a verdict, which may be padded by blanks.
func (p *page) verdict(word string) string {
	colours := map[string]string{"admitted": green, "gains": green, "partly": yellow, "denied": red, "loses": red, "differs": red, "passes": green, "dropped": red}
	return p.paint.line(colours[strings.ToLower(strings.TrimSpace(word))], word)
}

func (p *page) route(r explain.Route) {
	p.line("")
	for n, pair := range r.Pairs {
		if n == maxNames {
			p.line("… and %d more pairs of addresses", len(r.Pairs)-n)
			break
		}
		p.line("%s → %s", pair.From, pair.To)
	}
	if r.Guard != "" {
		p.line("  guard  %s  %s", p.verdict("denied"), r.Guard)
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
		p.line("  %-*s  %s  %s", width, j.Direction+" of "+j.Instance, p.verdict(fmt.Sprintf("%-8s", j.Verdict)), j.Reason)
		for _, n := range j.Nearest {
			p.line("    nearest: %s: %s", n.Named, n.Missing)
		}
	}
	p.ways(r)
	for _, s := range r.DHCP {
		p.step(s)
	}
	if r.Verdict == explain.Partly && len(r.Services) > 0 {
		p.line("  of the question only %s passes", r.Services)
	}
}

// ways tells the ways of a packet apart where they are not the same.
func (p *page) ways(r explain.Route) {
	if !slices.ContainsFunc(r.Ways, func(w explain.Way) bool { return w.Guard != "" }) {
		return
	}
	p.line("  IT DEPENDS ON THE WAY of the packet, which the policy does not tell:")
	for _, w := range r.Ways {
		p.line("    %-20s  %s  %s", w.Name, p.verdict(fmt.Sprintf("%-8s", w.Verdict)), w.Guard)
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
func (q *question) printList(w io.Writer, reach []explain.Reach) error {
	if q.out == formatJSON {
		if reach == nil {
			reach = []explain.Reach{}
		}
		return printJSON(w, reach)
	}
	p := newPage(w)
	for n, r := range reach {
		if n > 0 {
			p.line("")
		}
		p.reach(r, q.service)
	}
	return p.err
}

func (p *page) reach(r explain.Reach, s policy.Service) {
	names := orElse(r.Points[0].Instance, "outside")
	head := map[string]string{"ingress": "who may open connections to " + names, "egress": "to whom " + names + " may open connections"}[r.Direction]
	var places []string
	for _, point := range r.Points {
		places = append(places, point.Place())
	}
	p.line("%s (%s), service %s:", head, strings.Join(places, ", "), s)
	if len(r.Outside)+len(r.Instances) == 0 {
		p.line("  %s: nobody", p.verdict("denied"))
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
func (p *page) table(rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, len([]rune(r.left)))
	}
	for _, r := range rows {
		p.line("  %s%s  %s", r.left, strings.Repeat(" ", width-len([]rune(r.left))), r.right)
		for _, text := range r.below {
			p.line("      %s", text)
		}
	}
}
