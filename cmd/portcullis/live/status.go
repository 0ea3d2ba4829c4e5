package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// The command status: how things stand, trouble first.

const (
	defaultWait = 30 * time.Second
	// watchPause is how often --watch asks, and so how often at most something is printed.
	watchPause = time.Second
	// healthTimeout is how long a probe waits.
	healthTimeout = 2 * time.Second
	// dialPause is the time between two attempts to reach a daemon that is being started.
	dialPause = 50 * time.Millisecond
)

// asking is how status asks, and shows.
type asking struct {
	wait, watch, health bool
	verbose, all        bool
	timeout             time.Duration
	out                 term.Format
}

const statusHelp = "Status prints what is wrong first: the state, and why it is not in sync; then what " +
	"is in force, and the ports, those with trouble first,\n" +
	"those whose machine is off last. With -v also numbers that only programs and experts need, " +
	"and each warning.\n\n" +
	"With --wait it returns as soon as what the policy's files say at this moment is in " +
	"force and programmed at every port that can be\n" +
	"programmed. A port without a device is absent (the machine is off) and not waited for; " +
	"one that Open vSwitch has not looked at yet\n" +
	"is waited for, and so is a daemon that is just being started.\n\n" +
	"With --health it prints the state in one line, for probes, and gives a daemon that does " +
	"not answer two seconds.\n\n" +
	"With --watch it goes on until q or Ctrl-C: on a terminal it fits the screen, s sorts by the " +
	"next column, / filters rows; else it prints a\n" +
	"new block whenever something has changed, with -o json one line each. Colours are for " +
	"terminals only, and not with NO_COLOR set.\n\n" +
	"Exit codes: 0 what the files say is in force at every port that has a device, or a port " +
	"waits for Open vSwitch since less than 30 s;\n" +
	"1 it is not, or no daemon."

// NewStatus makes the command status.
func NewStatus(f *cli.Files) *cobra.Command {
	how := asking{timeout: defaultWait, out: term.Table}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the daemon how things stand",
		Long:  statusHelp,
		Example: "  portcullis status\n" +
			"  portcullis status --wait --timeout 1m\n" +
			"  portcullis status -o json",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			client, err := f.Client()
			if err != nil {
				return err
			}
			switch {
			case how.health:
				return health(cmd, client)
			case how.watch:
				return newStatusView(f, client, how).watch(cmd, watchPause)
			}
			return printStatus(cmd, f, client, how)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&how.wait, "wait", false, "wait until the policy as it is now is programmed")
	flags.BoolVarP(&how.watch, "watch", "w", false, "go on and show every change")
	flags.DurationVar(&how.timeout, "timeout", defaultWait, "how long to wait")
	flags.BoolVar(&how.health, "health", false, "print one line, for probes")
	flags.BoolVarP(&how.verbose, "verbose", "v", false,
		"also zones, epochs, the digest and each warning")
	flags.BoolVar(&how.all, "all", false, "all ports, also those that the screen has no room for; "+
		"of a policy database: all hosts")
	flags.VarP(&how.out, "output", "o", "format")
	cmd.MarkFlagsMutuallyExclusive("wait", "watch", "health")
	return cmd
}

// printStatus asks once, and prints what it is told.
func printStatus(cmd *cobra.Command, f *cli.Files, client *api.Client, how asking) error {
	v := newStatusView(f, client, how)
	status, err := readStatus(cmd.Context(), client, how.wait, how.timeout)
	if status != nil {
		told := &standing{Status: status}
		if how.out == term.Table {
			told.Counts = countsSoon(cmd.Context(), client)
		}
		if err := v.print(cmd, told); err != nil {
			return err
		}
	}
	if err != nil {
		return f.Unanswered(err)
	}
	return judged(status)
}

// health prints the state in one line.
func health(cmd *cobra.Command, client *api.Client) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return fmt.Errorf("unknown: the daemon does not answer: %w", err)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), status.Summary); err != nil {
		return err
	}
	return judged(status)
}

// judged is nil if what the files say is in force, or will be in a moment. What is printed says why
// it is not.
func judged(s *api.Status) error {
	if s.IsHealthy(time.Now()) {
		return nil
	}
	return cli.Verdict(cli.ExitError)
}

func readStatus(ctx context.Context, client *api.Client, wait bool, timeout time.Duration) (
	*api.Status, error) {
	if !wait {
		ctx, cancel := context.WithTimeout(ctx, cli.AskTimeout)
		defer cancel()
		return client.Status(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+cli.AskTimeout)
	defer cancel()
	status, err := awaitDaemon(ctx, client, timeout)
	if errors.Is(err, api.ErrInvalidPolicy) {
		return status, fmt.Errorf("%w:\n%s", err, strings.Join(status.Policy.Errors, "\n"))
	}
	if errors.Is(err, api.ErrNotSettled) {
		return status, fmt.Errorf("%w: %s", err, strings.Join(unsettled(status), "; "))
	}
	return status, err
}

// awaitDaemon waits for the daemon to answer, too, if it is only being started.
func awaitDaemon(ctx context.Context, client *api.Client, timeout time.Duration) (*api.Status,
	error) {
	deadline := time.Now().Add(timeout)
	for {
		status, err := client.Settle(ctx, max(0, time.Until(deadline)))
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) ||
			time.Now().After(deadline) {
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
