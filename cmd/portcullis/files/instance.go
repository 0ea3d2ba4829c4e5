package files

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/instancefile"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/controller/hostnet"
	"github.com/portcullis/portcullis/flows/explain"
)

// One instance changed in the policy's folder. The commands instance and hook call it.

// InstanceChange is how an instance is changed, as the flags say.
type InstanceChange struct {
	Note      string // what the history says
	Project   string // nobody is of one here
	IsDry     bool   // nothing is to be changed
	IsPatient bool   // it is to be in force
	Confirm   time.Duration
	Timeout   time.Duration
	Out       term.Format
}

// Do changes the files, and says what was done.
func (i InstanceChange) Do(cmd *cobra.Command, f *cli.Files, change instancefile.Change) error {
	if i.Project != "" {
		return errors.New("--project: files know nobody; a policy database does")
	}
	p := &placing{files: f, confirm: i.Confirm, timeout: i.Timeout, out: i.Out, note: i.Note,
		dryRun: i.IsDry, isHasty: !i.IsPatient}
	if err := p.load(); err != nil {
		return err
	}
	unlock, err := instancefile.Lock(cmd.Context(), p.settings.Policy)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := policydir.Contents(p.settings.Policy)
	if err != nil {
		return err
	}
	planned, err := change.Plan(p.settings.Policy, now)
	if err != nil {
		return err
	}
	devices, err := hostnet.Devices()
	if err != nil {
		return err
	}
	if err := p.settings.Check(planned.After, devices); err != nil {
		return err
	}
	return p.change(cmd, planned, now)
}

// change says who gains and loses, and puts the files in place.
func (p *placing) change(cmd *cobra.Command, planned instancefile.Planned,
	now []policydir.Content) error {
	place := history.NewPlacing(now, planned.Files)
	answer := &placed{Policy: p.settings.Policy, Digest: policydir.Digest(planned.Files),
		Written: []string{}, Removed: []string{}}
	written, removed := place.Changes()
	answer.Written = append(answer.Written, written...)
	answer.Removed = append(answer.Removed, removed...)
	access := generation.InWords(explain.CompareAccess(planned.Before, planned.After))
	switch {
	case planned.LeftTo != "":
		answer.Outcome = "unchanged"
		return p.say(cmd, answer, "unchanged: %s has it", planned.LeftTo)
	case len(written)+len(removed) == 0 && !p.isHasty && !p.dryRun:
		return p.unchanged(cmd, answer)
	case len(written)+len(removed) == 0:
		answer.Outcome = "unchanged"
		return p.say(cmd, answer, "unchanged: %s holds these files already", p.settings.Policy)
	case p.out != term.JSON && len(access.Lines) > 0:
		fmt.Fprintln(cmd.OutOrStdout(), strings.Join(access.Lines, "\n"))
	}
	if p.dryRun {
		answer.Outcome = "planned"
		return p.say(cmd, answer, "nothing was changed; it would be: %s; %d would gain, %d lose",
			changesText(answer), access.Gained, access.Lost)
	}
	if p.isHasty && p.confirm == 0 {
		return p.hurry(cmd, answer, place)
	}
	return p.replace(cmd, answer, place, now)
}

// hurry puts the files in place, and waits for nobody: nothing is announced to the daemon, which
// would wait for these files though others may follow at once, and a trial of somebody else's is no
// reason not to start a machine.
func (p *placing) hurry(cmd *cobra.Command, answer *placed, place *history.Placing) error {
	if err := place.Run(); err != nil {
		return err
	}
	answer.Outcome = "in place"
	return p.say(cmd, answer, "%s", changesText(answer))
}
