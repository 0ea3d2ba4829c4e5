package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

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
	out   format
}

func newTop(f *files) *cobra.Command {
	how := topping{rows: topRows, out: formatTable}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what the rules admit and deny, by packets",
		Long: "Top asks the daemon what the switch has counted since the daemon began: packets that each rule was asked about and admitted, which is\n" +
			"about one for each connection, packets that each port was denied, in each direction, and what was dropped without a rule being asked.\n" +
			"docs/monitoring/README.md says exactly what each number means.\n\n" +
			"With --watch it goes on until Ctrl-C, every two seconds, with rates: on a terminal in place, else block by block, with -o json as one\n" +
			"line each. Exit codes: 0 shown; 1 no daemon, or the switch does not say.",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { // wrong usage
			if how.rows < 1 {
				return fmt.Errorf("--rows %d: want a number from 1", how.rows)
			}
			return nil
		},
		RunE: action(func(cmd *cobra.Command) error {
			client, err := f.client()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if how.watch {
				ticker := time.NewTicker(topPause)
				defer ticker.Stop()
				return watchTop(ctx, client, cmd.OutOrStdout(), how, ticker.C, f.unanswered)
			}
			counts, err := askCounts(ctx, client)
			if err != nil {
				return f.unanswered(err)
			}
			if how.out == formatJSON {
				return printJSON(cmd.OutOrStdout(), counts)
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
		return nil, errors.New("nothing is counted yet: " + orElse(counts.Error, "the switch was not programmed yet"))
	}
	return counts, err
}

// watchTop shows the counts at each tick until ctx ends, and returns nil then. A daemon that does not answer is shown, and asked again.
func watchTop(ctx context.Context, client *api.Client, w io.Writer, how topping, ticks <-chan time.Time, explain func(error) error) error {
	var before *api.Counts
	for isFirst := true; ; {
		counts, err := askCounts(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		text, err := topBlock(before, counts, how, err, explain)
		if err != nil {
			return err
		}
		switch {
		case how.out == formatJSON:
		case isTerminal(w):
			text = clearScreen + text
		case !isFirst:
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		isFirst = false
		if counts != nil {
			before = counts
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
	}
}

// topBlock is what one look gives: a block of text, or in JSON one line, in which a daemon that does not answer is an error.
func topBlock(before, now *api.Counts, how topping, failure error, explain func(error) error) (string, error) {
	switch {
	case how.out != formatJSON && failure != nil:
		return explain(failure).Error() + "\n", nil
	case how.out != formatJSON:
		return topText(before, now, how.rows), nil
	case failure != nil:
		now = &api.Counts{Version: api.Version, Counts: telemetry.Counts{Error: failure.Error()}}
	}
	line, err := json.Marshal(now)
	if err != nil {
		return "", fmt.Errorf("write the counters: %w", err)
	}
	return string(line) + "\n", nil
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
	fmt.Fprintf(&b, "dropped without a rule being asked: %s\n", orElse(strings.Join(dropped, ", "), "nothing"))
	return b.String()
}
