package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// The command watch: first packets that rules admit and deny, while it happens.

const watchHelp = "Watch prints a line for each connection that the rules of a port of this host admit, " +
	"and for each packet that they deny, with the rule or\n" +
	"the reason, until Ctrl-C. Of a connection between two local ports both say something: egress " +
	"and ingress.\n\n" +
	"Admitted are connections that the switch did not know a second ago (it is looked at more " +
	"seldom where there are very many). Denied are at\n" +
	"most 10 packets a second of each port; ports with log_denied: false are left out. For that the " +
	"daemon has the switch show denied packets\n" +
	"while somebody watches; what passes does not change. Who reads too slowly is told how many are " +
	"not shown.\n\n" +
	"--from and --to are instances, groups, addresses or networks; --group, --port and --instance are " +
	"about whose rules decide." + gatheredHelp + "\n\nExit codes: 0 ended by Ctrl-C, or by --count; 1 no " +
	"daemon, or there is no such thing on this host."

// NewWatch makes the command watch.
func NewWatch(f *cli.Files) *cobra.Command {
	w := watcher{format: term.Table}
	var denied, admitted bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show first packets as they are admitted and denied",
		Long:  watchHelp,
		Example: "  portcullis watch --denied --to db-1\n" +
			"  portcullis watch --from 198.51.100.0/24 --group web",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			switch {
			case denied && !admitted:
				w.query.Verdict = telemetry.VerdictDenied
			case admitted && !denied:
				w.query.Verdict = telemetry.VerdictAdmitted
			}
			if f.HasServer() {
				return w.gather(cmd, f)
			}
			return w.run(cmd, f)
		}),
	}
	f.Server.AddTo(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&denied, "denied", false, "only what is denied")
	flags.BoolVar(&admitted, "admitted", false, "only what is admitted")
	flags.StringVar(&w.query.From, "from", "", "only from this instance, group, address or network")
	flags.StringVar(&w.query.To, "to", "", "only to this instance, group, address or network")
	flags.StringVar(&w.query.Group, "group", "", "only what the rules of this group's instances say")
	flags.StringVar(&w.query.Port, "port", "", "only what the rules of this port say")
	flags.StringVar(&w.query.Instance, "instance", "", "only what the rules of this instance say")
	flags.StringVar(&w.query.Protocol, "protocol", "", "only this protocol")
	flags.IntVar(&w.count, "count", 0, "end after this many lines; 0 = never")
	flags.VarP(&w.format, "output", "o", "format; json is one object a line")
	return cmd
}

// watcher prints first packets.
type watcher struct {
	query  telemetry.WatchQuery
	format term.Format
	count  int // how many are to be printed; 0 = no end
	done   int // how many were
	places places
	paint  term.Paint
	width  int // of the terminal; 0 = there is none
}

// errEnough ends watching.
var errEnough = errors.New("enough")

// run watches until Ctrl-C, or enough was printed.
func (w *watcher) run(cmd *cobra.Command, f *cli.Files) error {
	client, err := f.Client()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := w.begin(cmd, f)
	err = client.Watch(ctx, w.query, w.begun(cmd),
		func(p telemetry.FirstPacket) error { return w.print(out, apiserver.FirstPacket{FirstPacket: p}) })
	return f.Unanswered(w.ended(ctx, out, err))
}

// begin makes ready to print.
func (w *watcher) begin(cmd *cobra.Command, f *cli.Files) io.Writer {
	out := cmd.OutOrStdout()
	w.places, w.paint, w.width = newPlaces(f), term.PaintFor(out), term.SizeOf(out).Width
	return out
}

// begun tells people that what comes from now on is shown.
func (w *watcher) begun(cmd *cobra.Command) func() {
	return func() {
		if w.width > 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "watching; Ctrl-C ends it")
		}
	}
}

// ended is the error of an end that nobody wanted.
func (w *watcher) ended(ctx context.Context, out io.Writer, err error) error {
	if w.width > 0 && ctx.Err() != nil {
		fmt.Fprintln(out) // the terminal has written ^C
	}
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// print writes one line.
func (w *watcher) print(out io.Writer, p apiserver.FirstPacket) error {
	if w.format == term.JSON {
		if err := json.NewEncoder(out).Encode(p); err != nil {
			return err
		}
		return w.countOne(p.FirstPacket)
	}
	if p.NotShown > 0 {
		if _, err := fmt.Fprintf(out, "%d not shown\n", p.NotShown); err != nil {
			return err
		}
	}
	colour := ""
	switch p.Verdict {
	case telemetry.VerdictDenied:
		colour = term.Red
	case telemetry.VerdictNote:
		colour = term.Yellow
	}
	text := firstText(p.FirstPacket, w.places)
	if p.Host != "" {
		text = p.Host + "  " + text
	}
	line := term.Fitted(text, w.width)
	if _, err := fmt.Fprintln(out, w.paint.Line(colour, line)); err != nil {
		return err
	}
	return w.countOne(p.FirstPacket)
}

// countOne says when enough was printed.
func (w *watcher) countOne(p telemetry.FirstPacket) error {
	if p.Verdict != telemetry.VerdictNote {
		w.done++
	}
	if w.count > 0 && w.done >= w.count {
		return errEnough
	}
	return nil
}

// firstText is a first packet in a line.
func firstText(p telemetry.FirstPacket, places places) string {
	at := p.Time.Local().Format(time.TimeOnly)
	if p.Verdict == telemetry.VerdictNote {
		return at + "  " + p.Reason
	}
	from, to := ends(telemetry.Connection{Src: p.Src, SrcPort: p.SrcPort, Dst: p.Dst,
		DstPort: p.DstPort, ICMP: p.ICMP})
	verdict := map[string]string{telemetry.VerdictDenied: "DENIED  "}[p.Verdict]
	line := fmt.Sprintf("%s  %s  %s %s → %s  at %s, ", at, cmp.Or(verdict, p.Verdict), p.Protocol,
		named(p.From, from), named(p.To, to), cmp.Or(p.Instance, p.Port, "a port that is gone"))
	switch {
	case p.Verdict == telemetry.VerdictDenied:
		return line + p.Direction + ": " + p.Reason
	case p.Again:
		line += "judged again, "
	}
	if p.Group == "" {
		return line + p.Rule
	}
	return line + fmt.Sprintf("%s: %s (%s)", p.Group, p.Rule, places.short(p.At))
}

// named is an end, with its instance if it is known.
func named(instance, end string) string {
	if instance == "" {
		return end
	}
	return instance + " " + end
}
