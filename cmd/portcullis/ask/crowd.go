package ask

import (
	"fmt"
	"io"
	"strings"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/census"
	"github.com/portcullis/portcullis/flows/explain"
)

// The answers about groups, networks, hosts and everybody outside, as text and JSON: explain prints
// them.

// isCrowd says whether the ends are asked about as wholes.
func isCrowd(from, to explain.End) bool {
	return from.IsCrowd() || to.IsCrowd() || from.Any && to.Any
}

// isGroup says whether an end is no single place, nor somebody outside.
func isGroup(e explain.End) bool { return e.IsCrowd() && !e.Outside }

// crowd answers for all pairs of two ends.
func (q *explainOptions) crowd(w io.Writer, r explain.Reader, from, to explain.End) error {
	switch {
	case q.talk.Word != "":
		return fmt.Errorf("%s is asked of an instance, a port, an address or %s", q.talk.Word,
			explain.OutsideEnd)
	case q.live:
		return fmt.Errorf("--live needs two ends that are instances, ports or addresses")
	}
	a, err := census.Answered(r, from, to, q.service, q.ways()...)
	if err != nil {
		return err
	}
	if err := printAnswer(w, a, q.out); err != nil {
		return err
	}
	if a.Verdict != explain.Admitted {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

func printAnswer(w io.Writer, a *census.Answer, format term.Format) error {
	if format == term.JSON {
		return term.PrintJSON(w, a)
	}
	p := newPage(w)
	words := map[explain.Outcome]string{explain.Admitted: " for all", explain.Partly: "",
		explain.Denied: " for all"}[a.Verdict]
	p.Line("%s → %s %s: %s%s", a.From, a.To, a.Service,
		p.verdict(strings.ToUpper(a.Verdict.String())), words)
	if a.Reason != "" {
		p.Line("  %s", a.Reason)
	}
	if a.Verdict == explain.Partly {
		p.Line("  %s", countsText(a.Pairs))
	}
	for _, k := range a.Kinds {
		p.Line("")
		p.kind(k)
	}
	return p.Err()
}

// countsText says of how many pairs the verdicts are.
func countsText(c census.Counts) string {
	var out []string
	for _, v := range []struct {
		n    int
		what string
	}{{c.Admitted, "admitted"}, {c.Partly, "admitted in part"}, {c.Denied, "denied"}} {
		if v.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", v.n, v.what))
		}
	}
	return "of " + fmt.Sprint(c.All()) + " pairs of addresses: " + strings.Join(out, ", ")
}

// kind prints pairs that are judged alike, and why by one of them.
func (p page) kind(k census.Kind) {
	p.Line("%s → %s (%s): %s", k.From, k.To, k.Family, p.verdict(k.Verdict.String()))
	if one := k.Example.Pairs[0]; k.Pairs > 1 {
		p.Line("  such as %s → %s", one.From, one.To)
	}
	p.reasons(k.Example)
}
