package ask

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
)

// The command plan: what a policy would change. It decides nothing: the daemon compares what it has
// in force with what the files say. plan_text.go prints it.

// planTimeout is how long the daemon may take: it lists connections, too.
const planTimeout = time.Minute

// planOptions is the command line of plan.
type planOptions struct {
	dump    string
	flows   bool
	limit   int
	timeout cli.Timeout
	out     term.Format

	drawn *policy.Policy // what would be in force, for a picture
}

// NewPlan makes the command plan.
func NewPlan(f *cli.Files) *cobra.Command {
	p := planOptions{out: term.Table}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a policy would change, before it is in force",
		Long: "Plan asks the daemon to compare a policy, its own files as they are now if none is " +
			"named, with the policy that it has in force: who gains and\n" +
			"who loses which access, which ports' connections are judged again and which live " +
			"connections are cut, and how many flows come and go. Nothing is\n" +
			"changed. If the settings are not those that the daemon was started with, it says what " +
			"a restart with them would do, to the ports of this host, too.\n\n" +
			"With --dump no daemon and no switch is asked: the flows are those of a file, which " +
			"'ovs-ofctl -O OpenFlow15 dump-flows' or\n" +
			"'portcullis flows' wrote. Where the ports are is then found out from the flows.\n\n" +
			"-o svg and html draw what would be, with the access that is gained and lost over it.\n\n" +
			"Exit codes: 0 in sync, nothing would change; 3 something would; 1 an error; 2 wrong usage.",
		Example: "  portcullis plan\n" +
			"  portcullis plan --policy new.yaml\n" +
			"  portcullis plan --policy new.yaml --flows --limit 20\n" +
			"  portcullis plan --policy new.yaml -o html > plan.html",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.limit < 0 {
				return fmt.Errorf("--limit %d: want 0 (all) or a number of flows", p.limit)
			}
			if err := p.timeout.Check(); err != nil {
				return err
			}
			return cli.Outcome(p.answer(cmd, f))
		},
	}
	f.AddPolicy(cmd)
	p.addTo(cmd)
	return cmd
}

// addTo adds the options of the command.
func (p *planOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dump, "dump", "", "a file with the flows that the switch holds")
	cmd.Flags().BoolVar(&p.flows, "flows", false, "list the flows, too, and what each is of")
	cmd.Flags().IntVar(&p.limit, "limit", 100,
		"list at most this many flows that come, and as many that go; 0 = all")
	p.timeout.Flag(cmd, planTimeout)
	cmd.Flags().VarP(formatFlag{&p.out, planFormats()}, "output", "o", "format")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(planFormats(), cobra.ShellCompDirectiveNoFileComp))
}

func (p *planOptions) answer(cmd *cobra.Command, f *cli.Files) error {
	work := cli.NewProgress(cmd.ErrOrStderr())
	defer work.End()
	make := p.fromDaemon
	if p.dump != "" {
		make = p.fromDump
	}
	answer, err := make(cmd, f, work)
	if err != nil {
		return err
	}
	work.End()
	switch out := cmd.OutOrStdout(); {
	case p.out == term.JSON:
		err = term.PrintJSON(out, answer)
	case isPicture(p.out):
		err = drawPlan(out, p.out, p.drawn, answer.Access, answer.Notes)
	default:
		err = newPage(out).plan(answer)
	}
	if err == nil && !answer.InSync {
		return cli.Verdict(cli.ExitChanges)
	}
	return err
}

// listing is which flows are listed.
func (p *planOptions) listing() plan.Listing {
	switch {
	case !p.flows:
		return plan.NoFlows
	case p.limit == 0:
		return plan.AllFlows
	}
	return plan.Listing(p.limit)
}

// fromDaemon has the daemon make the plan. It is sent the policy in question, unless that is in the
// files which it reads itself.
func (p *planOptions) fromDaemon(cmd *cobra.Command, f *cli.Files, work *cli.Progress) (*plan.Plan,
	error) {
	settings, err := f.Settings()
	if err != nil {
		return nil, err
	}
	client, err := f.Client()
	if err != nil {
		return nil, err
	}
	work.Stage("asking the daemon")
	ctx, cancel := p.timeout.Begin(cmd.Context(), "the daemon")
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return nil, f.Unanswered(cli.Late(ctx, err))
	}
	q := api.PlanQuestion{Name: settings.Policy, Settings: api.SettingsOf(settings),
		Flows: p.listing()}
	if len(f.Policies) > 0 || status.Policy.Source != settings.Policy || isPicture(p.out) {
		work.Stage("reading the policy")
		in, err := f.Load(cmd)
		if err != nil {
			return nil, err
		}
		q.Policy, q.Name, p.drawn = in.Policy, in.Settings.Policy, in.Policy
		work.Stage("the daemon compares %d instances", len(in.Policy.Instances))
	}
	ctx, done := p.timeout.Begin(cmd.Context(), "the daemon")
	defer done()
	answer, err := client.Plan(ctx, q)
	if err != nil {
		return nil, f.Unanswered(cli.Late(ctx, err))
	}
	if answer.Warning != "" && q.Policy == nil { // else it was told with the files
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", answer.Warning)
	}
	return &answer.Plan, nil
}

// fromDump compares the policy with flows of a file.
func (p *planOptions) fromDump(cmd *cobra.Command, f *cli.Files, work *cli.Progress) (*plan.Plan,
	error) {
	work.Stage("reading the policy")
	in, err := f.Load(cmd)
	if err != nil {
		return nil, err
	}
	held, err := heldFlows(cmd.Context(), in, p.dump)
	if err != nil {
		return nil, err
	}
	work.Stage("compiling %d instances", len(in.Policy.Instances))
	answer, err := plan.Against(asHeld(in, held), held, p.listing())
	if err != nil {
		return nil, err
	}
	answer.Policy, answer.Warning = in.Settings.Policy, in.HostWarning()
	return answer, nil
}
