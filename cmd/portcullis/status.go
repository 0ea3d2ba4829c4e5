package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller"
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

func newStatus(f *files) *cobra.Command {
	wait, timeout, out := false, defaultWait, formatTable
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the daemon how things stand",
		Long: "Status prints the ports and their state, the revision and the last error.\n\n" +
			"With --wait it returns as soon as what the policy's files say at this moment is in force and programmed at every port that can be\n" +
			"programmed. A port whose device is missing is listed in state error and not waited for; one that Open vSwitch has not looked at yet\n" +
			"is waited for, and so is a daemon that is just being started. Exit codes: 0 asked, or with --wait: programmed; 1 no daemon, not in time, or the files are not valid.",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command) error {
			settings, err := config.LoadSettings(f.config)
			if err != nil {
				return err
			}
			client := controller.NewClient(strings.TrimPrefix(settings.API, "unix:"))
			status, err := ask(cmd.Context(), client, wait, timeout)
			if status != nil {
				if err := printStatus(cmd.OutOrStdout(), status, out); err != nil {
					return err
				}
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the policy as it is now is programmed")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultWait, "how long to wait")
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

func ask(ctx context.Context, client *controller.Client, wait bool, timeout time.Duration) (*controller.Status, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if !wait {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return client.Status(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+askTimeout)
	defer cancel()
	status, err := settle(ctx, client, timeout)
	if errors.Is(err, controller.ErrInvalidPolicy) {
		return status, fmt.Errorf("%w:\n%s", err, strings.Join(status.Policy.Errors, "\n"))
	}
	if errors.Is(err, controller.ErrNotSettled) {
		return status, fmt.Errorf("%w: %s", err, strings.Join(unsettled(status), "; "))
	}
	return status, err
}

// settle waits for the daemon to answer, too, if it is only being started.
func settle(ctx context.Context, client *controller.Client, timeout time.Duration) (*controller.Status, error) {
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
func unsettled(s *controller.Status) []string {
	var reasons []string
	if s.Error != "" {
		reasons = append(reasons, s.Error)
	}
	for _, p := range s.Ports {
		if p.State == controller.PortPending {
			reasons = append(reasons, fmt.Sprintf("port %s: %s", p.Name, p.Reason))
		}
	}
	if len(reasons) == 0 {
		reasons = []string{string(s.State)}
	}
	return reasons
}

func printStatus(w io.Writer, s *controller.Status, f format) error {
	if f == formatJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "state:\t%s\n", s.State)
	if s.Error != "" {
		fmt.Fprintf(t, "error:\t%s\n", s.Error)
	}
	fmt.Fprintf(t, "bridge:\t%s on %s, Open vSwitch %s\n", s.Bridge, s.Host, orUnknown(s.OVS))
	fmt.Fprintf(t, "policy:\t%s (%d groups, %d instances), digest %s, in force since %s\n", s.Policy.Source, s.Policy.Groups,
		s.Policy.Instances, s.Policy.Digest, s.Policy.LoadedAt.Format(time.RFC3339))
	fmt.Fprintf(t, "revision:\t%d\n", s.Revision)
	fmt.Fprintf(t, "flows:\t%d\n", s.Flows)
	if s.Apply.Adds+s.Apply.Deletes > 0 {
		fmt.Fprintf(t, "last apply:\t%d added, %d deleted in %.3f s at %s\n", s.Apply.Adds, s.Apply.Deletes, s.Apply.Seconds,
			s.Apply.At.Format(time.RFC3339))
	}
	for _, u := range s.Uplinks {
		fmt.Fprintf(t, "uplink:\t%s\t%s\n", u.Name, orElse(u.Reason, fmt.Sprintf("OpenFlow port %d", u.OFPort)))
	}
	for _, w := range append(s.Warnings, s.Policy.Warnings...) {
		fmt.Fprintf(t, "warning:\t%s\n", w)
	}
	for _, r := range s.Policy.Refused {
		fmt.Fprintf(t, "refused:\t%s\n", r)
	}
	for _, e := range s.Policy.Errors {
		fmt.Fprintf(t, "not valid:\t%s\n", e)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printPorts(w, s.Ports)
}

func printPorts(w io.Writer, ports []controller.PortStatus) error {
	if len(ports) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nPORT\tINSTANCE\tSTATE\tOFPORT\tZONE\tEPOCH\tREASON")
	for _, p := range ports {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", p.Name, p.Instance, p.State, p.OFPort, p.Zone, p.Epoch, p.Reason)
	}
	return t.Flush()
}

func orUnknown(s string) string { return orElse(s, "(version not known)") }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
