package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// The command top: what rules admitted and ports were denied, with rates.

const (
	// topPause is how often top --watch asks.
	topPause = 2 * time.Second
	// topTimeout bounds one question: a switch with very many flows takes its time.
	topTimeout = 40 * time.Second
	// topRows is how many rules, and how many ports, are shown.
	topRows = 20
)

// topping is how top shows.
type topping struct {
	watch bool
	rows  int
	out   term.Format
}

const topHelp = "Top asks the daemon what the switch has counted since the daemon began: packets " +
	"that each rule was asked about and admitted, which is\n" +
	"about one for each connection, packets that each port was denied, in each " +
	"direction, and what was dropped without a rule being asked.\n" +
	"docs/monitoring/README.md says exactly what each number means.\n\n" +
	"With --watch it goes on until Ctrl-C, every two seconds, with rates: on a terminal " +
	"in place, else block by block, with -o json as one\n" +
	"line each. Exit codes: 0 shown; 1 no daemon, or the switch does not say."

// NewTop makes the command top.
func NewTop(f *cli.Files) *cobra.Command {
	how := topping{rows: topRows, out: term.Table}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what the rules admit and deny, by packets",
		Long:  topHelp,
		Args:  cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { // wrong usage
			if how.rows < 1 {
				return fmt.Errorf("--rows %d: want a number from 1", how.rows)
			}
			return nil
		},
		RunE: cli.Action(func(cmd *cobra.Command) error {
			client, err := f.Client()
			if err != nil {
				return err
			}
			if how.watch {
				return watch(cmd, how.out, topPause, how.looks(f, client))
			}
			counts, err := askCounts(cmd.Context(), client)
			if err != nil {
				return f.Unanswered(err)
			}
			if how.out == term.JSON {
				return term.PrintJSON(cmd.OutOrStdout(), counts)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), topText(nil, counts, how.rows))
			return err
		}),
	}
	cmd.Flags().BoolVarP(&how.watch, "watch", "w", false, "go on, with rates")
	cmd.Flags().IntVar(&how.rows, "rows", topRows, "show at most this many rules, and ports")
	cmd.Flags().VarP(&how.out, "output", "o", "format")
	return cmd
}

// askCounts returns counts that say something.
func askCounts(ctx context.Context, client *api.Client) (*api.Counts, error) {
	ctx, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	counts, err := client.Counts(ctx)
	if err == nil && counts.At.IsZero() {
		return nil, errors.New("nothing is counted yet: " +
			cmp.Or(counts.Error, "the switch was not programmed yet"))
	}
	return counts, err
}

// looks asks for the counts, and shows them with rates since the last look.
func (t topping) looks(f *cli.Files, client *api.Client) func(context.Context) (string, error) {
	var before *api.Counts
	shown := shown[api.Counts]{
		format: t.out,
		text:   func(now *api.Counts) string { return topText(before, now, t.rows) },
		advise: func(failure error) string { return f.Unanswered(failure).Error() },
		failed: func(failure error) *api.Counts {
			return &api.Counts{Version: api.Version,
				Counts: telemetry.Counts{Error: failure.Error()}}
		},
	}
	return func(ctx context.Context) (string, error) {
		counts, failure := askCounts(ctx, client)
		text, err := shown.block(counts, failure)
		if failure == nil {
			before = counts
		}
		return text, err
	}
}

// topHead says what the numbers are of.
func topHead(now *api.Counts) string {
	var b strings.Builder
	if now.Error != "" {
		fmt.Fprintf(&b, "the counters cannot be read, these are old: %s\n", now.Error)
	}
	fmt.Fprintf(&b, "counted from %s to %s\n", moment(now.Since), moment(now.At))
	if c := now.Connections; c != nil {
		fmt.Fprintf(&b, "connections: %d of at most %d\n", c.Known, c.Limit)
	}
	var dropped []string
	for _, t := range now.Dropped {
		if t.Count > 0 {
			dropped = append(dropped, fmt.Sprintf("%s %d", t.Table, t.Count))
		}
	}
	fmt.Fprintf(&b, "dropped without a rule being asked: %s\n",
		cmp.Or(strings.Join(dropped, ", "), "nothing"))
	return b.String()
}

// topText is counts for people: rules by what they have done since the counts before, else by what
// they have done at all; the same of ports.
func topText(before, now *api.Counts, rows int) string {
	var b bytes.Buffer
	b.WriteString(topHead(now))
	r := newRates(before, now)
	r.rules(&b, now.Rules, rows)
	r.ports(&b, now.Ports, rows)
	return b.String()
}

// rates are what was counted between two looks.
type rates struct {
	isKnown bool
	seconds float64
	before  map[string]uint64
}

func newRates(before, now *api.Counts) rates {
	r := rates{before: map[string]uint64{}}
	if before == nil || !before.Since.Equal(now.Since) {
		return r // or of another run of the daemon
	}
	r.seconds = now.At.Sub(before.At).Round(time.Millisecond).Seconds()
	r.isKnown = r.seconds > 0
	for _, rule := range before.Rules {
		r.before[ruleKey(rule)] = rule.Admitted.Packets
	}
	for _, p := range before.Ports {
		r.before[portKey(p)] = deniedOf(p)
	}
	return r
}

func ruleKey(r telemetry.RuleCount) string { return "rule " + strconv.Itoa(int(r.ID)) }
func portKey(p telemetry.PortCount) string { return "port " + p.Port }

func deniedOf(p telemetry.PortCount) uint64 {
	return p.Ingress.Denied.Packets + p.Egress.Denied.Packets
}

// of is how many packets a second were counted under a key that has a total now.
func (r rates) of(key string, total uint64) float64 {
	if !r.isKnown || total < r.before[key] {
		return 0
	}
	return float64(total-r.before[key]) / r.seconds
}

// text is a rate, "-" where none is known.
func (r rates) text(key string, total uint64) string {
	if !r.isKnown {
		return "-"
	}
	return strconv.FormatFloat(r.of(key, total), 'f', 1, 64)
}

func (r rates) rules(w io.Writer, rules []telemetry.RuleCount, rows int) {
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, b telemetry.RuleCount) int {
		return cmp.Compare(r.of(ruleKey(b), b.Admitted.Packets),
			r.of(ruleKey(a), a.Admitted.Packets))
	})
	t := term.Columns(w)
	fmt.Fprintln(t, "\nADMITTED\tPER SECOND\tBYTES\tRULE")
	for _, rule := range rules[:min(rows, len(rules))] {
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\n", rule.Admitted.Packets,
			r.text(ruleKey(rule), rule.Admitted.Packets), rule.Admitted.Bytes, ruleText(rule))
	}
	_ = t.Flush() // of a buffer
	tellRest(w, len(rules)-rows, "rules")
}

func ruleText(r telemetry.RuleCount) string {
	if r.Group == "" {
		return r.Rule
	}
	return fmt.Sprintf("%s: %s (%s)", r.Group, r.Rule, r.At)
}

func (r rates) ports(w io.Writer, ports []telemetry.PortCount, rows int) {
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports, func(a, b telemetry.PortCount) int {
		return cmp.Or(cmp.Compare(r.of(portKey(b), deniedOf(b)), r.of(portKey(a), deniedOf(a))),
			cmp.Compare(deniedOf(b), deniedOf(a)))
	})
	t := term.Columns(w)
	fmt.Fprintln(t,
		"\nPORT\tINSTANCE\tDENIED IN\tDENIED OUT\tPER SECOND\tESTABLISHED IN\tESTABLISHED "+
			"OUT\tCONNECTIONS")
	for _, p := range ports[:min(rows, len(ports))] {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%d\t%d\t%s\n", p.Port, p.Instance,
			p.Ingress.Denied.Packets, p.Egress.Denied.Packets,
			r.text(portKey(p), deniedOf(p)), p.Ingress.Established.Packets,
			p.Egress.Established.Packets, fillText(p.Zone))
	}
	_ = t.Flush()
	tellRest(w, len(ports)-rows, "ports")
}

func fillText(f *telemetry.ConnectionFill) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%d of %d", f.Known, f.Limit)
}

func tellRest(w io.Writer, rest int, of string) {
	if rest > 0 {
		fmt.Fprintf(w, "and %d more %s: --rows, or -o json\n", rest, of)
	}
}
