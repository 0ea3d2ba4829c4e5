package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/apiclient"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// What connections, top and watch tell of all hosts, asked of an API server. Invariant: a host that
// does not answer is named, the rest is shown, and the exit code says that it is not all.

const gatheredHelp = "\n\nWith --server, or a context, it tells of all hosts that the API server can " +
	"ask, each with its name; -o json is what the API\nanswers. A host that does not answer is named on " +
	"standard error, and the rest is shown."

// gatherView is how answers of a server are shown.
func gatherView[T any](cmd *cobra.Command, f *cli.Files, v view[T], isWatched bool,
	missing func(*T) []hostask.Missing, do func(view[T]) error,
	ask func(context.Context, *apiclient.Client) (*T, error)) error {
	return f.WithServer(cmd.Context(), func(_ context.Context, c *apiclient.Client) error {
		v.ask = func(ctx context.Context) (*T, error) {
			ctx, cancel := v.timeout.Begin(ctx, "the API server")
			defer cancel()
			answer, err := ask(ctx, c)
			return answer, cli.Late(ctx, err)
		}
		v.advise = func(failure error) string { return failure.Error() }
		sheet := v.sheet
		v.sheet = func(answer *T) term.Sheet {
			s := sheet(answer)
			if isWatched {
				s.Facts = append(missingFacts(missing(answer)), s.Facts...)
			}
			return s
		}
		if isWatched {
			return do(v)
		}
		answer, err := v.ask(cmd.Context())
		if err != nil {
			return err
		}
		if err := v.print(cmd, answer); err != nil {
			return err
		}
		return printMissing(cmd.ErrOrStderr(), missing(answer))
	})
}

// printMissing names the hosts that did not answer; where there are some, the answer is not all.
func printMissing(w io.Writer, list []hostask.Missing) error {
	for _, one := range list {
		fmt.Fprintln(w, missingText(one))
	}
	if len(list) > 0 {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// missingText is a host that did not answer, in a line; who is of one project is not told which.
func missingText(m hostask.Missing) string {
	if m.Host == "" {
		return m.Why
	}
	return fmt.Sprintf("host %s has not answered: %s", m.Host, m.Why)
}

func missingFacts(list []hostask.Missing) (out []term.Fact) {
	for _, one := range list {
		out = append(out, term.Fact{Text: missingText(one), Colour: term.Red})
	}
	return out
}

// connectionsOfAll are connections of all hosts, or why there are none.
type connectionsOfAll struct {
	apiserver.Connections
	Error string `json:"error,omitempty"`
}

// gatherConnections asks a server for connections.
func gatherConnections(cmd *cobra.Command, f *cli.Files, q telemetry.ConnectionsQuery,
	how view[api.Connections], isWatched bool) error {
	places := newPlaces(f)
	v := view[connectionsOfAll]{format: how.format, all: how.all, timeout: how.timeout}
	v.sheet = func(list *connectionsOfAll) term.Sheet {
		return connectionsSheet(list.Connections.Connections, list.More, places)
	}
	v.failed = func(failure error) *connectionsOfAll {
		return &connectionsOfAll{Error: failure.Error(),
			Connections: apiserver.Connections{Connections: []apiserver.Connection{}}}
	}
	return gatherView(cmd, f, v, isWatched,
		func(list *connectionsOfAll) []hostask.Missing { return list.Missing },
		func(v view[connectionsOfAll]) error { return v.watch(cmd, connectionsPause) },
		func(ctx context.Context, c *apiclient.Client) (*connectionsOfAll, error) {
			list, err := c.Connections(ctx, q)
			return &connectionsOfAll{Connections: list}, err
		})
}

// countersOfAll are counters of all hosts, or why there are none.
type countersOfAll struct {
	apiserver.Counters
	Error string `json:"error,omitempty"`
}

// gatherTop asks a server for what hosts have counted.
func gatherTop(cmd *cobra.Command, f *cli.Files, shown *topText, only topFilter,
	how view[api.Counts], isWatched bool) error {
	shown.places, shown.isWatched = newPlaces(f), isWatched
	v := view[countersOfAll]{format: how.format, all: how.all, timeout: how.timeout}
	var absent []hostask.Missing
	v.sheet = func(now *countersOfAll) term.Sheet {
		if !slices.Equal(absent, now.Missing) {
			shown.before = nil // other hosts than before: what differs is no rate
		}
		absent = now.Missing
		return shown.show(now.counted())
	}
	v.failed = func(failure error) *countersOfAll {
		return &countersOfAll{Error: failure.Error(), Counters: apiserver.Counters{
			Rules: []apiserver.RuleCount{}, Ports: []apiserver.PortCount{}}}
	}
	return gatherView(cmd, f, v, isWatched,
		func(now *countersOfAll) []hostask.Missing { return now.Missing },
		func(v view[countersOfAll]) error { return v.watch(cmd, topPause) },
		func(ctx context.Context, c *apiclient.Client) (*countersOfAll, error) {
			now, err := c.Counters(ctx)
			if err == nil {
				err = only.applyToAll(ctx, c, &now)
			}
			return &countersOfAll{Counters: now}, err
		})
}

// counted are counters as top shows those of one host.
func (c *countersOfAll) counted() *gatheredCounts {
	out := &gatheredCounts{ports: c.Ports}
	out.Since, out.At, out.Dropped = c.Since, c.At, c.Dropped
	for _, r := range c.Rules {
		out.Rules = append(out.Rules, telemetry.RuleCount{Group: r.Group, Rule: r.Rule,
			Admitted: r.Admitted})
	}
	return out
}

// applyToAll leaves out of the counters of all hosts what is not asked for.
func (t topFilter) applyToAll(ctx context.Context, c *apiclient.Client,
	counts *apiserver.Counters) error {
	counts.Rules = slices.DeleteFunc(counts.Rules, func(r apiserver.RuleCount) bool {
		return !t.wantsRule(telemetry.RuleCount{Group: r.Group, Rule: r.Rule})
	})
	var members []string
	if t.group != "" {
		var err error
		if members, err = c.Members(ctx, t.group); err != nil {
			return err
		}
	}
	counts.Ports = slices.DeleteFunc(counts.Ports, func(p apiserver.PortCount) bool {
		return t.port != "" && p.Port != t.port || t.group != "" && !slices.Contains(members, p.Instance)
	})
	return nil
}

// gather watches all hosts until Ctrl-C, or enough was printed.
func (w *watcher) gather(cmd *cobra.Command, f *cli.Files) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := w.begin(cmd, f)
	err := f.WithServer(ctx, func(ctx context.Context, c *apiclient.Client) error {
		err := c.Watch(ctx, w.query, w.begun(cmd), func(h apiclient.Event) error {
			if h.Missing != nil {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), missingText(*h.Missing))
				return err
			}
			return w.print(out, *h.Packet)
		})
		return w.ended(ctx, out, err)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
