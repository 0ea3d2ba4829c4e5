package ask

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/hostnet"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/attribution"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The command plan: what a policy would change. It decides nothing: it compares what the daemon has
// in force with what the files say. plan_text.go prints it.

// planned is what plan answers.
type planned struct {
	InSync bool `json:"in_sync"`
	// path of the policy that would be in force
	Policy string `json:"policy"`
	// why it is not in sync beside what follows, and what is left out
	Notes []string `json:"notes,omitempty"`
	// that this host may have another name in the policy
	Warning string `json:"warning,omitempty"`
	// ports of this host that come off the bridge though their instances stay where they are
	Leave  []explain.PortRef      `json:"leave"`
	Access *explain.AccessChanges `json:"access,omitempty"`
	// local ports that may lose a permission: each of their connections is judged again
	Cut     []string `json:"judged_again"`
	Added   flowSet  `json:"flows_added"`
	Removed flowSet  `json:"flows_removed"`
}

// flowSet is how many flows, and with --flows which.
type flowSet struct {
	Count int                  `json:"count"`
	Flows []attribution.Origin `json:"flows,omitempty"`
}

// planning is the command line of plan.
type planning struct {
	dump  string
	flows bool
	limit int
	out   term.Format
}

// NewPlan makes the command plan.
func NewPlan(f *cli.Files) *cobra.Command {
	p := planning{out: term.Table}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a policy would change, before it is in force",
		Long: "Plan compares a policy, the files as they are now if none is named, with the " +
			"policy that the daemon has in force and with the flows that the\n" +
			"switch holds: who gains and who loses which access, which ports' connections are " +
			"judged again, and how many flows come and go. Nothing is changed.\n" +
			"If the settings are not those that the daemon was started with, it says what a " +
			"restart with them would do, to the ports of this host, too.\n\n" +
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
			return cli.Outcome(p.answer(cmd, f))
		},
	}
	f.AddPolicy(cmd)
	cmd.Flags().StringVar(&p.dump, "dump", "", "a file with the flows that the switch holds")
	cmd.Flags().BoolVar(&p.flows, "flows", false, "list the flows, too, and what each is of")
	cmd.Flags().IntVar(&p.limit, "limit", 100,
		"list at most this many flows that come, and as many that go; 0 = all")
	cmd.Flags().VarP(formatFlag{&p.out, planFormats()}, "output", "o", "format")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(planFormats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *planning) answer(cmd *cobra.Command, f *cli.Files) error {
	in, err := f.Load(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := cli.Bounded(cmd.Context())
	defer cancel()
	answer := &planned{Policy: in.Settings.Policy, Cut: []string{}, Leave: []explain.PortRef{},
		Warning: in.HostWarning()}
	var before, after flows.Input
	if p.dump == "" {
		if before, after, err = answer.againstDaemon(ctx, f, in); err != nil {
			return err
		}
	}
	held, err := heldFlows(ctx, in, p.dump)
	if err != nil {
		return err
	}
	if p.dump != "" {
		after = asHeld(in, held)
		before = after
		answer.unbound(after)
	}
	if err := p.compare(answer, before, after, held); err != nil {
		return err
	}
	switch {
	case p.out == term.JSON:
		err = term.PrintJSON(cmd.OutOrStdout(), answer)
	case isPicture(p.out):
		err = drawPlan(cmd.OutOrStdout(), p.out, in.Policy, answer.Access, answer.Notes)
	default:
		err = answer.print(newPage(cmd.OutOrStdout()))
	}
	if err == nil && !answer.InSync {
		return cli.Verdict(cli.ExitChanges)
	}
	return err
}

// inForce asks the daemon for what is in force.
func inForce(ctx context.Context, f *cli.Files) (*api.Status, *api.InForce, error) {
	client, err := f.Client()
	if err != nil {
		return nil, nil, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, nil, f.Unanswered(err)
	}
	if status.Error != "" {
		return nil, nil, fmt.Errorf("the daemon is not in sync itself: %s", status.Error)
	}
	force, err := client.InForce(ctx)
	return status, force, f.Unanswered(err)
}

// againstDaemon asks the daemon for what is in force, and returns it and what would be. The answer
// gets who gains and who loses.
func (a *planned) againstDaemon(ctx context.Context, f *cli.Files, in cli.Loaded) (
	before, after flows.Input, err error) {
	status, force, err := inForce(ctx, f)
	if err != nil {
		return before, after, err
	}
	if before, err = force.Input(); err != nil {
		return before, after, err
	}
	a.waiting(status)
	access := explain.CompareAccess(before.Policy, in.Policy)
	a.Access = &access
	after = before
	after.Policy, after.Site = in.Policy, in.Settings.Site()
	after.Uplinks = a.restarted(status, before, in.Settings)
	refused, err := refused(in, before)
	if err != nil {
		return before, after, err
	}
	if lost := flows.Losses(before, after); len(lost) > 0 {
		a.Cut = lost
	}
	after.Bindings = a.rebound(after, force.Revision+1, refused)
	a.leaving(before, after)
	if before.Site.Host != after.Site.Host {
		a.unbound(after)
		if !in.Settings.HostGiven && len(localPorts(after)) == 0 {
			a.Notes = append(a.Notes,
				"as nobody has set host, a start takes no port away, and changes nothing: see "+
					"'portcullis status' then")
		}
	}
	return before, after, nil
}

// restarted notes which settings are not those that the daemon was started with, and returns the
// uplinks that it would have with them. What follows is about a daemon that is started with them.
func (a *planned) restarted(s *api.Status, before flows.Input,
	now config.Settings) (uplinks []flows.Uplink) {
	changed := api.ChangedSettings(before.Site, now.Site())
	if s.Bridge != now.Bridge {
		changed = append(changed, "bridge")
	}
	var names []string
	for _, u := range s.Uplinks {
		names = append(names, u.Name)
	}
	if !sameWords(names, now.Uplinks) {
		changed = append(changed, "uplinks")
	}
	for _, u := range before.Uplinks {
		if slices.Contains(now.Uplinks, u.Name) {
			uplinks = append(uplinks, u)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		a.Notes = append(a.Notes,
			"the settings are not those that the daemon was started with ("+strings.Join(changed,
				", ")+
				"): they are in force when it is restarted, and then all of this is")
	}
	for _, name := range now.Uplinks {
		if !slices.Contains(names, name) {
			a.Notes = append(a.Notes,
				"the uplink "+name+" is new: the flows that it would add are not counted")
		}
	}
	return uplinks
}

// sameWords says whether two lists hold the same words, in whatever order.
func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// refused returns why ports of this host would not be taken, by name. The device of a port that has
// been taken is not looked at again.
func refused(in cli.Loaded, before flows.Input) (map[string]string, error) {
	var locals []*policy.Instance
	for _, i := range in.Policy.Instances {
		if i.IsLocal(in.Settings.Host) {
			locals = append(locals, i)
		}
	}
	out := map[string]string{}
	devices, err := hostnet.Devices()
	if err != nil {
		return nil, err
	}
	for _, m := range in.Settings.DeviceMisfits(locals, devices) {
		if !isBound(before, m.Port) {
			out[m.Port] = m.Error.Error()
		}
	}
	for _, m := range in.Settings.Misfits(locals) {
		out[m.Port] = m.Error.Error()
	}
	return out, nil
}

func isBound(in flows.Input, port string) bool {
	return slices.ContainsFunc(in.Bindings, func(b flows.Binding) bool { return b.Port == port })
}

// leaving notes the ports that come off the bridge though the policy leaves them where they are.
func (a *planned) leaving(before, after flows.Input) {
	was := map[string]*policy.Instance{}
	for _, i := range before.Policy.Instances {
		for _, p := range i.Ports {
			was[p.Name] = i
		}
	}
	for _, i := range after.Policy.Instances {
		for _, p := range i.Ports {
			if old := was[p.Name]; old != nil && old.Host == i.Host && isBound(before, p.Name) &&
				!isBound(after, p.Name) {
				a.Leave = append(a.Leave, explain.PortRef{Instance: i.Name, Port: p.Name})
			}
		}
	}
	slices.SortFunc(a.Leave, func(x, y explain.PortRef) int {
		return cmp.Or(cmp.Compare(x.Instance, y.Instance), cmp.Compare(x.Port, y.Port))
	})
}

// waiting notes what the daemon has not programmed yet.
func (a *planned) waiting(s *api.Status) {
	for _, p := range s.Ports {
		if p.State == agent.PortPending {
			a.Notes = append(a.Notes, fmt.Sprintf("port %s is not programmed yet: %s", p.Name,
				p.Reason))
		}
	}
	for _, r := range s.Policy.Refused {
		a.Notes = append(a.Notes, "not in force: "+r)
	}
}

// rebound gives the ports that lose something the next epoch, as the daemon would, and leaves out
// those that are gone or refused.
func (a *planned) rebound(after flows.Input, epoch uint32,
	refused map[string]string) []flows.Binding {
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		a.Notes = append(a.Notes, "the port is not taken: "+refused[name])
	}
	local := slices.DeleteFunc(localPorts(after),
		func(name string) bool { return refused[name] != "" })
	var out []flows.Binding
	for _, b := range after.Bindings {
		if slices.Contains(a.Cut, b.Port) {
			b.Epoch = epoch
		}
		if slices.Contains(local, b.Port) {
			out = append(out, b)
		}
	}
	return out
}

// unbound notes the ports that the flows do not have.
func (a *planned) unbound(in flows.Input) {
	for _, name := range localPorts(in) {
		if !slices.ContainsFunc(in.Bindings, func(b flows.Binding) bool { return b.Port == name }) {
			a.Notes = append(a.Notes,
				fmt.Sprintf("the flows have no port %s: what it would add is not counted", name))
		}
	}
}

func localPorts(in flows.Input) []string {
	return cli.Loaded{Policy: in.Policy, Settings: config.Settings{Host: in.Site.Host}}.LocalPorts()
}

// compare compiles what would be in force and holds it against the flows that are there.
func (p *planning) compare(a *planned, before, after flows.Input, held []openflow.Flow) error {
	program, err := flows.Compile(after)
	if err != nil {
		return err
	}
	for _, l := range program.LeftOut {
		a.Notes = append(a.Notes, "not in force: "+l.String())
	}
	delta := openflow.Diff(program.Flows, held)
	a.Added = p.listed(delta.Add, after)
	a.Removed = p.listed(delta.Delete, before)
	a.InSync = delta.Empty() && len(a.Notes)+len(a.Leave) == 0 &&
		(a.Access == nil || a.Access.Empty())
	return nil
}

func (p *planning) listed(list []openflow.Flow, in flows.Input) flowSet {
	set := flowSet{Count: len(list)}
	if !p.flows {
		return set
	}
	reader := attribution.New(in)
	for n, f := range list {
		if n == p.limit && p.limit > 0 {
			break
		}
		set.Flows = append(set.Flows, reader.Read(f))
	}
	return set
}
