package files

import (
	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/plan"
)

// The flag --against-running of check: whether the daemon runs what was checked. The daemon
// compares, from its memory.

// running is what the daemon says of a valid policy.
type running struct {
	InSync  bool         `json:"in_sync"` // what was checked is in force
	Summary plan.Summary `json:"summary"` // what would change if it were
	Notes   []string     `json:"notes,omitempty"`
}

// ask has the daemon compare what was checked with what it runs.
func (c *checking) ask(cmd *cobra.Command, r *report) error {
	settings, err := c.files.Settings()
	if err != nil {
		return err
	}
	client, err := c.files.Client()
	if err != nil {
		return err
	}
	q := api.PlanQuestion{Name: settings.Policy, Settings: api.SettingsOf(settings),
		Policy: r.policy, Flows: plan.NoFlows}
	ctx, cancel := c.timeout.Begin(cmd.Context(), "the daemon")
	defer cancel()
	answer, err := client.Plan(ctx, q)
	if err != nil {
		return c.files.Unanswered(cli.Late(ctx, err))
	}
	r.Running = &running{InSync: answer.InSync, Summary: answer.Summary, Notes: answer.Notes}
	r.Passed = r.Passed && answer.InSync
	return nil
}

// line is that for people.
func (r *running) line() string {
	if r.InSync {
		return "in force: the daemon runs this policy"
	}
	return "not in force: " + r.Summary.String() + "; see: portcullis plan"
}
