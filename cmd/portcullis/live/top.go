package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// The command top: what rules admitted and ports were denied, with rates.

const (
	// topPause is how often top --watch asks.
	topPause = 2 * time.Second
	// topTimeout bounds one question: a switch with very many flows takes its time.
	topTimeout = 40 * time.Second
	// topRows is how many rules, and how many ports, are printed.
	topRows = 20
	// maxWatched bounds what --watch can be scrolled through.
	maxWatched = 10_000
)

const topHelp = "Top asks the daemon what the switch has counted since the daemon began: packets " +
	"that each rule was asked about and admitted, which is\n" +
	"about one for each connection, packets that each port was denied, in each " +
	"direction, and what was dropped without a rule being asked.\n" +
	"/usr/share/doc/portcullis/monitoring/README.md says exactly what each number means.\n\n" +
	"--group is about the rules of a group and the ports of its instances, --protocol and --peer " +
	"about rules; a peer is a group, or an address\n" +
	"that the rule names or that is in its network.\n\n" +
	"With --watch it goes on until q or Ctrl-C, every two seconds, with rates: on a terminal it " +
	"fits the screen, s sorts by the next column,\n" +
	"/ filters rows; else block by block, with -o json as one line each." + gatheredHelp +
	"\n\nExit codes: 0 shown; 1 no daemon, the switch does not say, or a host has not answered."

// NewTop makes the command top.
func NewTop(f *cli.Files) *cobra.Command {
	isWatched, shown, only := false, topText{rows: topRows}, topFilter{}
	v := view[api.Counts]{format: term.Table}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what the rules admit and deny, by packets",
		Long:  topHelp,
		Example: "  portcullis top\n" +
			"  portcullis top --watch",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { // wrong usage
			if shown.rows < 1 {
				return fmt.Errorf("--rows %d: want a number from 1", shown.rows)
			}
			return v.timeout.Check()
		},
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if f.HasServer() {
				return gatherTop(cmd, f, &shown, only, v, isWatched)
			}
			client, err := f.Client()
			if err != nil {
				return err
			}
			return printTop(cmd, f, client, &shown, only, v, isWatched)
		}),
	}
	f.Server.AddTo(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&isWatched, "watch", "w", false, "go on, with rates")
	flags.IntVar(&shown.rows, "rows", topRows, "print at most this many rules, and ports")
	flags.StringVar(&only.port, "port", "", "only this port")
	flags.StringVar(&only.group, "group", "", "only rules of this group, and ports of its instances")
	flags.StringVar(&only.peer, "peer", "", "only rules about this group or address")
	flags.StringVar(&only.protocol, "protocol", "", "only rules of this protocol")
	v.timeout.Flag(cmd, topTimeout)
	flags.VarP(&v.format, "output", "o", "format")
	return cmd
}

// printTop asks once, or again and again.
func printTop(cmd *cobra.Command, f *cli.Files, client *api.Client, shown *topText, only topFilter,
	v view[api.Counts], isWatched bool) error {
	shown.places = newPlaces(f)
	v.ask = func(ctx context.Context) (*api.Counts, error) {
		ctx, cancel := v.timeout.Begin(ctx, "the daemon")
		defer cancel()
		counts, err := askCounts(ctx, client)
		if err != nil {
			return nil, cli.Late(ctx, err)
		}
		return counts, only.apply(ctx, client, counts)
	}
	v.sheet = shown.next
	v.advise = func(failure error) string { return f.Unanswered(failure).Error() }
	v.failed = func(failure error) *api.Counts {
		return &api.Counts{Version: api.Version, Counts: telemetry.Counts{Error: failure.Error()}}
	}
	if isWatched {
		shown.isWatched = true
		return v.watch(cmd, topPause)
	}
	counts, err := v.ask(cmd.Context())
	if err != nil {
		return f.Unanswered(err)
	}
	return v.print(cmd, counts)
}

// askCounts returns counts that say something.
func askCounts(ctx context.Context, client *api.Client) (*api.Counts, error) {
	counts, err := client.Counts(ctx)
	if err == nil && counts.At.IsZero() {
		return nil, errors.New("nothing is counted yet: " +
			cmp.Or(counts.Error, "the switch was not programmed yet"))
	}
	return counts, err
}

// topText puts counts into words, and the rates since those before.
type topText struct {
	places    places
	rows      int  // where the height is not known
	isWatched bool // on a screen the screen says how many
	before    *gatheredCounts
}

// next is what is shown of counts of this host.
func (t *topText) next(now *api.Counts) term.Sheet {
	ports := make([]apiserver.PortCount, len(now.Ports))
	for n := range now.Ports {
		ports[n].PortCount = now.Ports[n]
	}
	return t.show(&gatheredCounts{*now, ports})
}

// gatheredCounts is what was counted: on this host, or on all.
type gatheredCounts struct {
	api.Counts
	ports []apiserver.PortCount // with their hosts, where these are several
}

// show is what is shown of counts.
func (t *topText) show(now *gatheredCounts) term.Sheet {
	r := newRates(t.before, now)
	t.before = now
	s := term.Sheet{Facts: topFacts(&now.Counts, time.Now())}
	s.Grids = []term.Grid{t.cut(r.rules(now.Rules, t.places)), t.cut(r.ports(now.ports))}
	return s
}

// cut bounds what is printed.
func (t *topText) cut(g term.Grid) term.Grid {
	if !t.isWatched || len(g.Rows) > maxWatched {
		rows := t.rows
		if t.isWatched {
			rows = maxWatched
		}
		if rest := len(g.Rows) - rows; rest > 0 {
			g.Rows = g.Rows[:rows]
			g.Rest = rest
		}
	}
	return g
}

// topFacts say what the numbers are of.
func topFacts(now *api.Counts, at time.Time) (out []term.Fact) {
	if now.Error != "" {
		out = append(out, term.Fact{Label: "error", Colour: term.Red,
			Text: "the counters cannot be read, these are old: " + now.Error})
	}
	out = append(out, term.Fact{Label: "counted", Text: fmt.Sprintf("since %s, last %s",
		term.Moment(now.Since, at), term.Moment(now.At, at))})
	if c := now.Connections; c != nil {
		out = append(out, term.Fact{Label: "connections",
			Text: fmt.Sprintf("%d of at most %d", c.Known, c.Limit)})
	}
	var dropped []string
	for _, t := range now.Dropped {
		if t.Count > 0 {
			dropped = append(dropped, fmt.Sprintf("%s %d", t.Table, t.Count))
		}
	}
	if now.Dropped == nil {
		return out // who asks is not told
	}
	return append(out, term.Fact{Label: "dropped", Text: "without a rule being asked: " +
		cmp.Or(strings.Join(dropped, ", "), "nothing")})
}

// rates are what was counted between two looks.
type rates struct {
	isKnown bool
	seconds float64
	before  map[string]uint64
}

func newRates(before, now *gatheredCounts) rates {
	r := rates{before: map[string]uint64{}}
	if before == nil || !before.Since.Equal(now.Since) {
		return r // or of another run of the daemon
	}
	r.seconds = now.At.Sub(before.At).Round(time.Millisecond).Seconds()
	r.isKnown = r.seconds > 0
	for _, rule := range before.Rules {
		r.before[ruleKey(rule)] = rule.Admitted.Packets
	}
	for _, p := range before.ports {
		r.before[portKey(p)] = deniedOf(p)
	}
	return r
}

func ruleKey(r telemetry.RuleCount) string { return "rule " + r.Group + ": " + r.Rule }
func portKey(p apiserver.PortCount) string { return "port " + p.Host + " " + p.Port }

func deniedOf(p apiserver.PortCount) uint64 {
	return p.Ingress.Denied.Packets + p.Egress.Denied.Packets
}

// of is how many packets a second were counted under a key that has a total now.
func (r rates) of(key string, total uint64) float64 {
	if !r.isKnown || total < r.before[key] {
		return 0
	}
	return float64(total-r.before[key]) / r.seconds
}

// text is a rate, "" where none is known.
func (r rates) text(key string, total uint64) string {
	if !r.isKnown {
		return ""
	}
	return strconv.FormatFloat(r.of(key, total), 'f', 1, 64)
}

func (r rates) rules(rules []telemetry.RuleCount, places places) term.Grid {
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(a, b telemetry.RuleCount) int {
		return cmp.Compare(r.of(ruleKey(b), b.Admitted.Packets),
			r.of(ruleKey(a), a.Admitted.Packets))
	})
	g := term.Grid{Of: "rules", Hint: "--rows, or -o json", Empty: "no rules", Columns: []term.Column{
		{Title: "ADMITTED", Right: true}, {Title: "PER SECOND", Right: true, IfAny: true},
		{Title: "BYTES", Right: true, Drop: 2}, {Title: "RULE", Flex: true},
		{Title: "AT", Drop: 1, Flex: true, IfAny: true}}}
	for _, rule := range rules {
		words := rule.Rule
		if rule.Group != "" {
			words = rule.Group + ": " + rule.Rule
		}
		g.Rows = append(g.Rows, term.Row{Cells: []string{number(rule.Admitted.Packets),
			r.text(ruleKey(rule), rule.Admitted.Packets), number(rule.Admitted.Bytes), words,
			places.short(rule.At)}})
	}
	return g
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func (r rates) ports(ports []apiserver.PortCount) term.Grid {
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports, func(a, b apiserver.PortCount) int {
		return cmp.Or(cmp.Compare(r.of(portKey(b), deniedOf(b)), r.of(portKey(a), deniedOf(a))),
			cmp.Compare(deniedOf(b), deniedOf(a)))
	})
	right := func(title string, drop int) term.Column {
		return term.Column{Title: title, Right: true, Drop: drop, IfAny: true}
	}
	g := term.Grid{Of: "ports", Hint: "--rows, or -o json", Empty: "no ports", Columns: []term.Column{
		{Title: "HOST", IfAny: true}, {Title: "PORT"}, {Title: "INSTANCE", Flex: true},
		right("DENIED IN", 0),
		right("DENIED OUT", 0), right("DENIED/S", 1), right("ESTABLISHED IN", 4),
		right("ESTABLISHED OUT", 3), right("CONNECTIONS", 2)}}
	for _, p := range ports {
		g.Rows = append(g.Rows, term.Row{Cells: []string{p.Host, p.Port, p.Instance,
			number(p.Ingress.Denied.Packets), number(p.Egress.Denied.Packets),
			r.text(portKey(p), deniedOf(p)), number(p.Ingress.Established.Packets),
			number(p.Egress.Established.Packets), fillText(p.Zone)}})
	}
	return g
}

func fillText(f *telemetry.ConnectionFill) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d", f.Known, f.Limit)
}
