package live

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	// pendingTooLong is how long a port may wait for Open vSwitch before that is trouble.
	pendingTooLong = 30 * time.Second
	// dialPause is the time between two attempts to reach a daemon that is being started.
	dialPause = 50 * time.Millisecond
)

// asking is how status asks.
type asking struct {
	wait, watch, health bool
	timeout             time.Duration
	out                 term.Format
}

const statusHelp = "Status prints what is wrong first: the state and the last error, then what is in " +
	"force, and the ports with their state and reason, those\n" +
	"with trouble first.\n\n" +
	"With --wait it returns as soon as what the policy's files say at this moment is in " +
	"force and programmed at every port that can be\n" +
	"programmed. A port without a device is absent (the machine is off) and not waited for; " +
	"one that Open vSwitch has not looked at yet\n" +
	"is waited for, and so is a daemon that is just being started.\n\n" +
	"With --health it prints the state in one line, for probes, and gives a daemon that does " +
	"not answer two seconds.\n\n" +
	"With --watch it goes on until Ctrl-C and prints the status whenever it has changed, " +
	"at most once a second: on a terminal in place, else as\n" +
	"a new block, with -o json as one line each. Colours are for terminals only, and not " +
	"with NO_COLOR set.\n\n" +
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
		Args:  cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			client, err := f.Client()
			if err != nil {
				return err
			}
			if how.watch {
				shown, changes := shownStatus(f, cmd.OutOrStdout(), how.out), changes{}
				return watch(cmd, how.out, watchPause, func(ctx context.Context) (string, error) {
					text, err := shown.block(ask(ctx, client, false, 0))
					return changes.of(text), err
				})
			}
			if how.health {
				return health(cmd, client)
			}
			return tellStatus(cmd, f, client, how)
		}),
	}
	cmd.Flags().BoolVar(&how.wait, "wait", false,
		"wait until the policy as it is now is programmed")
	cmd.Flags().BoolVarP(&how.watch, "watch", "w", false, "go on and print every change")
	cmd.Flags().DurationVar(&how.timeout, "timeout", defaultWait, "how long to wait")
	cmd.Flags().VarP(&how.out, "output", "o", "format")
	cmd.Flags().BoolVar(&how.health, "health", false, "print one line, for probes")
	cmd.MarkFlagsMutuallyExclusive("wait", "watch", "health")
	return cmd
}

// tellStatus asks once, and prints what it is told.
func tellStatus(cmd *cobra.Command, f *cli.Files, client *api.Client, how asking) error {
	status, err := ask(cmd.Context(), client, how.wait, how.timeout)
	if status != nil {
		if err := printStatus(cmd.OutOrStdout(), status, how.out); err != nil {
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
	isWaiting := s.State == agent.StatePending && time.Since(s.Since) < pendingTooLong
	if s.State == agent.StateInSync || isWaiting {
		return nil
	}
	return cli.Verdict(cli.ExitError)
}

func ask(ctx context.Context, client *api.Client, wait bool, timeout time.Duration) (*api.Status,
	error) {
	if !wait {
		ctx, cancel := context.WithTimeout(ctx, cli.AskTimeout)
		defer cancel()
		return client.Status(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+cli.AskTimeout)
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

// shownStatus is how a status is shown again and again.
func shownStatus(f *cli.Files, w io.Writer, format term.Format) shown[api.Status] {
	paint := term.PaintFor(w)
	return shown[api.Status]{
		format: format,
		text:   func(s *api.Status) string { return statusText(s, paint) },
		advise: func(failure error) string {
			return paint.Line(term.Red, f.Unanswered(failure).Error())
		},
		failed: func(failure error) *api.Status {
			return &api.Status{Version: api.Version, State: "unknown", Error: failure.Error()}
		},
	}
}

// printStatus writes a status; for people in colour, if they look at a terminal.
func printStatus(w io.Writer, s *api.Status, f term.Format) error {
	if f == term.JSON {
		return term.PrintJSON(w, s)
	}
	_, err := io.WriteString(w, statusText(s, term.PaintFor(w)))
	return err
}

// statusText is a status for people: trouble first.
func statusText(s *api.Status, paint term.Paint) string {
	var b bytes.Buffer
	t := term.Columns(&b)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "%s:\t%s\n", label, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n",
			"\n\t"))
	}
	line("state", "%s", cmp.Or(s.Summary, string(s.State)))
	tellTrouble(s, line)
	line("bridge", "%s on %s, Open vSwitch %s", s.Bridge, s.Host,
		cmp.Or(s.OVS, "(version not known)"))
	if p := s.Policy; p.Digest == "" {
		line("policy", "%s: none in force yet", p.Source)
	} else {
		line("policy", "%s (%d groups, %d instances), digest %s, in force since %s", p.Source,
			p.Groups, p.Instances, p.Digest, moment(p.LoadedAt))
	}
	line("last read", "%s", lastRead(s))
	line("revision", "%d", s.Revision)
	line("flows", "%d", s.Flows)
	if a := s.Apply; !a.At.IsZero() {
		line("last apply", "%s: %d added, %d deleted in %.3f s%s", moment(a.At), a.Adds, a.Deletes,
			a.Seconds, failed(a.Error))
	}
	line("since start", "%d applied, %d failed; %d flows repaired that somebody else had changed",
		s.Counters.Applies, s.Counters.AppliesFailed,
		s.Counters.DriftRepaired)
	for _, u := range s.Uplinks {
		line("uplink", "%s\t%s", u.Name,
			cmp.Or(u.Reason, fmt.Sprintf("OpenFlow port %d", u.OFPort)))
	}
	for _, w := range slices.Concat(s.OVSWarnings, s.Policy.Warnings) {
		line("warning", "%s", w)
	}
	_ = t.Flush() // of a buffer
	return paintStatus(paint, s, b.String()) + portsText(s.Ports, paint)
}

// tellTrouble writes what keeps the state from being "in sync", and what is likely not meant or
// missing though it is.
func tellTrouble(s *api.Status, line func(label, format string, args ...any)) {
	if s.Error != "" {
		line("error", "%s", s.Error)
	}
	if s.State != agent.StateStarting && !s.SwitchConnected {
		line("error", "not connected to the switch: systemctl status openvswitch-switch")
	}
	if s.State != agent.StateStarting && !s.DatabaseConnected {
		line("error", "not connected to OVSDB: systemctl status ovsdb-server openvswitch-switch")
	}
	for _, e := range s.Policy.Errors {
		line("not valid", "%s", e)
	}
	for _, r := range s.Policy.Refused {
		line("refused", "%s", r)
	}
	for _, w := range s.Warnings {
		line("warning", "%s", w)
	}
}

func lastRead(s *api.Status) string {
	at := "never"
	if !s.Policy.ReadAt.IsZero() {
		at = moment(s.Policy.ReadAt)
	}
	if n := len(s.Policy.Errors); n > 0 {
		at += fmt.Sprintf(", not valid (mistakes: %d, above); the policy in force stays", n)
	}
	return fmt.Sprintf("%s; since start %d valid, %d not", at, s.Counters.Reloads,
		s.Counters.ReloadsFailed)
}

func failed(reason string) string {
	if reason == "" {
		return ""
	}
	return ", failed: " + reason
}

func moment(t time.Time) string { return t.Local().Format(time.RFC3339) }

// urgency orders ports: trouble first, and last those whose machine is off.
var urgency = map[agent.PortState]int{agent.PortError: -2, agent.PortPending: -1,
	agent.PortAbsent: 1}

// portsText is a table of the ports, those with trouble first, and how many there are of each
// state.
func portsText(ports []api.PortStatus, paint term.Paint) string {
	if len(ports) == 0 {
		return "\nno local ports\n"
	}
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports,
		func(a, b api.PortStatus) int { return cmp.Compare(urgency[a.State], urgency[b.State]) })
	count := map[agent.PortState]int{}
	var b bytes.Buffer
	t := term.Columns(&b)
	fmt.Fprintln(t, "PORT\tINSTANCE\tSTATE\tOFPORT\tZONE\tEPOCH\tREASON")
	for _, p := range ports {
		count[p.State]++
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", p.Name, p.Instance, p.State, p.OFPort,
			p.Zone, p.Epoch, strings.ReplaceAll(p.Reason, "\n", "; "))
	}
	_ = t.Flush() // of a buffer
	summary := fmt.Sprintf("\nports: %d applied, %d pending, %d in error, %d absent\n",
		count[agent.PortApplied], count[agent.PortPending],
		count[agent.PortError], count[agent.PortAbsent])
	return summary + paintPorts(paint, ports, b.String())
}

// paintStatus colours what is in front of the ports.
func paintStatus(p term.Paint, s *api.Status, text string) string {
	byState := map[agent.State]string{agent.StateInSync: term.Green, agent.StateDegraded: term.Red,
		agent.StatePending:  term.Yellow,
		agent.StateStarting: term.Yellow}
	byLabel := map[string]string{"state": byState[s.State], "error": term.Red,
		"not valid": term.Red, "refused": term.Red, "warning": term.Yellow}
	return p.Each(text, func(_ int, line string) string {
		label, _, _ := strings.Cut(line, ":")
		return byLabel[label]
	})
}

// paintPorts colours the lines of a table with a headline.
func paintPorts(p term.Paint, ports []api.PortStatus, text string) string {
	colours := map[agent.PortState]string{agent.PortError: term.Red, agent.PortPending: term.Yellow}
	return p.Each(text, func(n int, _ string) string {
		if n == 0 || n > len(ports) {
			return ""
		}
		return colours[ports[n-1].State]
	})
}
