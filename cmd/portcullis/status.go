package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

const (
	defaultWait = 30 * time.Second
	// askTimeout bounds the question to the daemon, beside the time that it is asked to wait.
	askTimeout = 10 * time.Second
	// dialPause is the time between two attempts to reach a daemon that is being started.
	dialPause = 50 * time.Millisecond
)

// format is how something is listed; it implements pflag.Value.
type format string

// The formats.
const (
	formatTable format = "table"
	formatJSON  format = "json"
)

// String returns the format's name.
func (f *format) String() string { return string(*f) }

// Type is what the help calls the value.
func (f *format) Type() string { return "table|json" }

// Set accepts the name of a format.
func (f *format) Set(s string) error {
	if got := format(s); got != formatTable && got != formatJSON {
		return errors.New("want table or json")
	}
	*f = format(s)
	return nil
}

// asking is how status asks.
type asking struct {
	wait, watch bool
	timeout     time.Duration
	out         format
}

func newStatus(f *files) *cobra.Command {
	how := asking{timeout: defaultWait, out: formatTable}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the daemon how things stand",
		Long: "Status prints what is wrong first: the state and the last error, then what is in force, and the ports with their state and reason, those\n" +
			"with trouble first.\n\n" +
			"With --wait it returns as soon as what the policy's files say at this moment is in force and programmed at every port that can be\n" +
			"programmed. A port whose device is missing is listed in state error and not waited for; one that Open vSwitch has not looked at yet\n" +
			"is waited for, and so is a daemon that is just being started.\n\n" +
			"With --watch it goes on until Ctrl-C and prints the status whenever it has changed, at most once a second: on a terminal in place, else as\n" +
			"a new block, with -o json as one line each. Colours are for terminals only, and not with NO_COLOR set.\n\n" +
			"Exit codes: 0 asked, or with --wait: programmed; 1 no daemon, not in time, or the files are not valid.",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command) error {
			client, err := f.client()
			if err != nil {
				return err
			}
			if how.watch {
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return newWatcher(cmd.OutOrStdout(), how.out, f.unanswered).run(ctx, client)
			}
			status, err := ask(cmd.Context(), client, how.wait, how.timeout)
			if status != nil {
				if err := printStatus(cmd.OutOrStdout(), status, how.out); err != nil {
					return err
				}
			}
			return f.unanswered(err)
		}),
	}
	cmd.Flags().BoolVar(&how.wait, "wait", false, "wait until the policy as it is now is programmed")
	cmd.Flags().BoolVarP(&how.watch, "watch", "w", false, "go on and print every change")
	cmd.Flags().DurationVar(&how.timeout, "timeout", defaultWait, "how long to wait")
	cmd.Flags().VarP(&how.out, "output", "o", "format")
	cmd.MarkFlagsMutuallyExclusive("wait", "watch")
	return cmd
}

func ask(ctx context.Context, client *api.Client, wait bool, timeout time.Duration) (*api.Status, error) {
	if !wait {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return client.Status(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+askTimeout)
	defer cancel()
	status, err := settle(ctx, client, timeout)
	if errors.Is(err, api.ErrInvalidPolicy) {
		return status, fmt.Errorf("%w:\n%s", err, strings.Join(status.Policy.Errors, "\n"))
	}
	if errors.Is(err, api.ErrNotSettled) {
		return status, fmt.Errorf("%w: %s", err, strings.Join(unsettled(status), "; "))
	}
	return status, err
}

// settle waits for the daemon to answer, too, if it is only being started.
func settle(ctx context.Context, client *api.Client, timeout time.Duration) (*api.Status, error) {
	deadline := time.Now().Add(timeout)
	for {
		status, err := client.Settle(ctx, max(0, time.Until(deadline)))
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return status, err
		}
		time.Sleep(dialPause)
	}
}

// unsettled says what is waited for.
func unsettled(s *api.Status) []string {
	var reasons []string
	if s.Error != "" {
		reasons = append(reasons, s.Error)
	}
	for _, p := range s.Ports {
		if p.State == agent.PortPending {
			reasons = append(reasons, fmt.Sprintf("port %s: %s", p.Name, p.Reason))
		}
	}
	if len(reasons) == 0 {
		reasons = []string{string(s.State)}
	}
	return reasons
}
