package files

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/controller/hostnet"
)

// What apply and rollback share: files are checked, planned, put into the policy's place, and
// waited for. Invariant: the daemon knows how to go back before the first file is changed.

// Planner makes the command plan; apply and rollback show what it prints.
type Planner func(*cli.Files) *cobra.Command

// placing is the command line of both, and what they work with.
type placing struct {
	files *cli.Files
	plan  Planner

	confirm, timeout time.Duration
	dryRun           bool
	isHasty          bool // nobody waits until it is in force
	out              term.Format

	settings config.Settings
	store    *history.Store
	note     string
}

// placed is what both answer as JSON.
type placed struct {
	// unchanged, planned, in place, in force, confirmed, taken back
	Outcome string          `json:"outcome"`
	Policy  string          `json:"policy"`
	Digest  string          `json:"digest"` // of the files that are in place, or would be
	Written []string        `json:"written"`
	Removed []string        `json:"removed"`
	Plan    json.RawMessage `json:"plan,omitempty"`
	Trial   *history.Trial  `json:"trial,omitempty"`
}

func (p *placing) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&p.confirm, "confirm", 0,
		"take it back after this time, such as 60s, unless it is confirmed; 0 = nobody has to")
	cmd.Flags().DurationVar(&p.timeout, "timeout", 30*time.Second, "how long to wait until it is in force")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "check and plan, and change nothing")
	cmd.Flags().VarP(&p.out, "output", "o", "format")
}

// load reads the settings.
func (p *placing) load() (err error) {
	if p.confirm < 0 || p.confirm > generation.LongestTrial {
		return fmt.Errorf("--confirm %s: want a time up to %s, such as 60s", p.confirm,
			generation.LongestTrial)
	}
	if p.settings, err = p.files.Settings(); err != nil {
		return err
	}
	p.store = openStore(p.settings)
	return nil
}

func openStore(s config.Settings) *history.Store {
	return history.Open(s.StateDir, s.Bridge, history.Bounds{Generations: max(1, s.History.Generations),
		Bytes: int64(s.History.Megabytes) << 20})
}

// run puts files, which stand at from as a policy, into the policy's place.
func (p *placing) run(cmd *cobra.Command, from string, target []policydir.Content) error {
	if err := p.check(from); err != nil {
		return err
	}
	now, err := policydir.Contents(p.settings.Policy)
	if err != nil {
		return err
	}
	place := history.NewPlacing(now, target)
	answer := &placed{Policy: p.settings.Policy, Digest: policydir.Digest(target),
		Written: []string{}, Removed: []string{}}
	if written, removed := place.Changes(); len(written)+len(removed) > 0 {
		answer.Written, answer.Removed = append(answer.Written, written...), append(answer.Removed, removed...)
	} else {
		return p.unchanged(cmd, answer)
	}
	text, err := p.planned(cmd, from)
	if err != nil {
		return err
	}
	if p.out == term.JSON {
		answer.Plan = json.RawMessage(text)
	} else {
		_, _ = cmd.OutOrStdout().Write(text)
	}
	if p.dryRun {
		answer.Outcome = "planned"
		return p.say(cmd, answer, "nothing was changed: %s", changesText(answer))
	}
	return p.replace(cmd, answer, place, now)
}

// check is what the command check does.
func (p *placing) check(from string) error {
	pol, _, err := policydir.Load(from)
	if err != nil {
		return err
	}
	devices, err := hostnet.Devices()
	if err != nil {
		return err
	}
	return p.settings.Check(pol, devices)
}

// planned returns what plan prints of the files at a path; nothing if no daemon runs.
func (p *placing) planned(cmd *cobra.Command, from string) ([]byte, error) {
	var out bytes.Buffer
	plan := p.plan(p.files)
	plan.SilenceUsage, plan.SilenceErrors = true, true
	plan.SetContext(cmd.Context())
	plan.SetOut(&out)
	plan.SetErr(cmd.ErrOrStderr())
	plan.SetArgs([]string{"--policy", from, "-o", string(p.out)})
	err := plan.Execute()
	var told cli.Verdict
	switch {
	case err == nil, errors.As(err, &told) && int(told) == cli.ExitChanges:
		return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
	case isAway(err) && p.confirm == 0:
		return []byte("null"), nil
	}
	return nil, err
}

// isAway says whether an error says that no daemon runs.
func isAway(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// unchanged waits for files that are in place already.
func (p *placing) unchanged(cmd *cobra.Command, answer *placed) error {
	answer.Outcome = "unchanged"
	if err := p.awaitInForce(cmd.Context()); err != nil && !isAway(err) {
		return err
	}
	return p.say(cmd, answer, "unchanged: %s holds these files already", p.settings.Policy)
}

// replace puts the files in place, and waits.
func (p *placing) replace(cmd *cobra.Command, answer *placed, place *history.Placing,
	now []policydir.Content) error {
	client, err := p.files.Client()
	if err != nil {
		return err
	}
	if err := generation.KeepFound(p.store, p.settings.Policy, now); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	ctx, cancel := cli.Bounded(cmd.Context())
	defer cancel()
	trial, err := client.Try(ctx, api.TryRequest{Digest: answer.Digest, By: caller(), Note: p.note,
		Seconds: p.confirm.Seconds()})
	isRunning := !isAway(err)
	if err != nil && (isRunning || p.confirm > 0) {
		return fmt.Errorf("nothing was changed: %w", p.files.Unanswered(err))
	}
	if err := place.Run(); err != nil {
		if isRunning {
			_, _ = client.Abandon(ctx, answer.Digest)
		}
		return err
	}
	if answer.Trial = trial; !isRunning {
		answer.Outcome = "in place"
		return p.say(cmd, answer, "%s; no daemon runs: it is in force when one is started",
			changesText(answer))
	}
	if err := p.awaitInForce(cmd.Context()); err != nil {
		return err
	}
	answer.Outcome = "in force"
	if p.confirm == 0 {
		return p.say(cmd, answer, "in force: %s", changesText(answer))
	}
	return p.await(cmd, client, answer)
}

// awaitInForce waits until what the files say is in force.
func (p *placing) awaitInForce(ctx context.Context) error {
	client, err := p.files.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout+cli.AskTimeout)
	defer cancel()
	status, err := client.Settle(ctx, p.timeout)
	switch {
	case errors.Is(err, api.ErrInvalidPolicy):
		return fmt.Errorf("%w:\n%s", err, strings.Join(status.Policy.Errors, "\n"))
	case errors.Is(err, api.ErrNotSettled):
		return fmt.Errorf("%w: %s", err, cmp.Or(status.Error, string(status.State)))
	}
	return err
}

// say prints the answer: as JSON, or a line.
func (p *placing) say(cmd *cobra.Command, answer *placed, format string, args ...any) error {
	if p.out == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), answer)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}

func changesText(answer *placed) string {
	var parts []string
	for _, one := range []struct {
		word  string
		paths []string
	}{{"written", answer.Written}, {"removed", answer.Removed}} {
		if n := len(one.paths); n == 1 {
			parts = append(parts, one.word+" "+one.paths[0])
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%s %d files", one.word, n))
		}
	}
	return strings.Join(parts, ", ")
}

// caller is who types the command, as far as the system knows.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name + " (sudo)"
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", os.Getuid())
}

func isTerminal(f *os.File) bool { return xterm.IsTerminal(int(f.Fd())) }

// askPause is how often the daemon is asked whether a trial is over.
const askPause = 200 * time.Millisecond

// await waits until the trial is confirmed, here or elsewhere, or taken back.
func (p *placing) await(cmd *cobra.Command, client *api.Client, answer *placed) error {
	enter := make(chan struct{}, 1)
	how := "portcullis confirm keeps it"
	if in, ok := cmd.InOrStdin().(*os.File); ok && isTerminal(in) {
		how = "Enter here, or " + how
		go func() {
			if _, err := io.ReadFull(in, make([]byte, 1)); err == nil {
				enter <- struct{}{}
			}
		}()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "in force, and taken back at %s: %s\n",
		answer.Trial.Until.Format(time.TimeOnly), how)
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-enter:
			if _, err := client.Confirm(cmd.Context(), answer.Digest); err != nil {
				return err
			}
			answer.Outcome = "confirmed"
			return p.say(cmd, answer, "confirmed: %s", changesText(answer))
		case <-tick.C:
			if isOver, err := p.over(cmd, client, answer); isOver {
				return err
			}
		}
	}
}

// over says how the trial has ended, if it has. A daemon that does not answer is asked again: it is
// being restarted.
func (p *placing) over(cmd *cobra.Command, client *api.Client, answer *placed) (isOver bool,
	err error) {
	ctx, cancel := cli.Bounded(cmd.Context())
	defer cancel()
	trial, err := client.Trial(ctx)
	if err != nil || trial != nil && trial.Taken == nil {
		return false, nil
	}
	now, err := policydir.Contents(p.settings.Policy)
	if err != nil {
		return true, err
	}
	if trial == nil && policydir.Digest(now) == answer.Digest {
		answer.Outcome = "confirmed"
		return true, p.say(cmd, answer, "confirmed: %s", changesText(answer))
	}
	answer.Outcome, answer.Trial = "taken back", cmp.Or(trial, answer.Trial)
	if p.out == term.JSON {
		_ = p.say(cmd, answer, "")
	}
	return true, fmt.Errorf("taken back: nobody confirmed it; generation %d is in force again",
		answer.Trial.Back)
}
