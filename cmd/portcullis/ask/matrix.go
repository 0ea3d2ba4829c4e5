package ask

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/draw"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/matrix"
)

// The command matrix: who reaches whom. It asks flows/matrix; matrix_text.go prints the answer as
// text, package draw as a picture.

// matrixFormats are those of a matrix.
func matrixFormats() []string { return []string{"table", "json", "csv", "svg", "html", "dot"} }

// asking is the command line of matrix.
type asking struct {
	service           string
	groups, instances bool
	from, to, group   string
	timeout           cli.Timeout
	out               term.Format
}

// matrixTimeout is how long the daemon may take.
const matrixTimeout = 30 * time.Second

// NewMatrix makes the command matrix.
func NewMatrix(f *cli.Files) *cobra.Command {
	a := asking{out: term.Table}
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Say who reaches whom, as a table or a picture",
		Long: "Matrix says of all groups, and of the networks that rules name, which services " +
			"pass from each to each: those that the egress of the one and the\n" +
			"ingress of the other admit. 'outside' is every address that is no instance's. The " +
			"line of a group is about all of its members: it tells what its\n" +
			"rules, and those of groups that all of its members are in, let pass; what only some " +
			"of the members reach is said to be 'of some'. With --instances\n" +
			"it is about single instances.\n\n" +
			"-o svg, html and dot draw groups as boxes and rules as arrows; the page of html is one " +
			"file that asks nobody for anything. More than 40 groups are\n" +
			"drawn one at a time, with what each has to do with: --group NAME.\n\n" +
			"The daemon is asked, if one runs with these files; else, and of a policy that is named, " +
			"the files are read.\n\n" +
			"A SERVICE is mysql, tcp/22, udp/5000-5999, icmp/8, or a list of them by commas; " +
			"then nothing else is told.\n\n" +
			"Exit codes: 0 it is printed, 1 an error, 2 wrong usage.",
		Example: "  portcullis matrix\n" +
			"  portcullis matrix --service ssh\n" +
			"  portcullis matrix --instances --to backend\n" +
			"  portcullis matrix --from outside\n" +
			"  portcullis matrix -o html > matrix.html\n" +
			"  portcullis matrix --policy new.yaml --group backend -o svg > backend.svg",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.check(); err != nil {
				return err
			}
			return cli.Outcome(a.answer(cmd, f))
		},
	}
	f.AddPolicy(cmd)
	f.Server.AddTo(cmd)
	a.flags(cmd)
	return cmd
}

func (a *asking) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.groups, "groups", false, "ask about groups (the default)")
	cmd.Flags().BoolVar(&a.instances, "instances", false, "ask about instances")
	cmd.Flags().StringVar(&a.from, "from", "", "only what this group, its instances, or this network reach")
	cmd.Flags().StringVar(&a.to, "to", "", "only what reaches this group, its instances, or this network")
	cmd.Flags().StringVar(&a.group, "group", "",
		"only what this group has to do with")
	cmd.Flags().StringVar(&a.service, "service", "", "only this service, such as ssh or tcp/22")
	a.timeout.Flag(cmd, matrixTimeout)
	cmd.Flags().VarP(formatFlag{&a.out, matrixFormats()}, "output", "o", "format")
	cmd.MarkFlagsMutuallyExclusive("groups", "instances")
	cmd.MarkFlagsMutuallyExclusive("group", "instances")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(matrixFormats(), cobra.ShellCompDirectiveNoFileComp))
}

// question is the command line as the API has it.
func (a *asking) question() api.MatrixQuestion {
	return api.MatrixQuestion{Instances: a.instances, From: a.from, To: a.to, Group: a.group,
		Service: a.service}
}

// check holds the command line against itself.
func (a *asking) check() error {
	if _, err := a.question().Question(); err != nil {
		return fmt.Errorf("--service: %w", err)
	}
	if a.instances && isPicture(a.out) {
		return fmt.Errorf("-o %s draws groups; leave --instances out, or name one with --group", a.out)
	}
	return a.timeout.Check()
}

// ask has the daemon answer, if one runs with the files of the settings; else it reads them.
func (a *asking) ask(cmd *cobra.Command, f *cli.Files) (*matrix.Answer, error) {
	work := cli.NewProgress(cmd.ErrOrStderr())
	defer work.End()
	if len(f.Policies) == 0 && !f.HasServer() {
		work.Stage("asking the daemon")
		if answer, err := a.fromDaemon(cmd, f); !errors.Is(err, errAskFiles) {
			return answer, err
		}
	}
	work.Stage("reading the policy")
	in, err := f.Load(cmd)
	if err != nil {
		return nil, err
	}
	work.Stage("asking who reaches whom among %d instances", len(in.Policy.Instances))
	q, err := a.question().Question()
	if err != nil {
		return nil, err
	}
	return matrix.Ask(in.Policy, q)
}

// fromDaemon has the daemon answer from its memory. The error is errAskFiles where there is none,
// or where it does not answer about these files.
func (a *asking) fromDaemon(cmd *cobra.Command, f *cli.Files) (*matrix.Answer, error) {
	settings, err := f.Settings()
	if err != nil {
		return nil, err
	}
	client, err := f.Client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.timeout.Begin(cmd.Context(), "the daemon")
	defer cancel()
	q := a.question()
	q.Read = true
	got, err := client.Matrix(ctx, q)
	switch {
	case err != nil && isNoAnswer(err):
		return nil, errAskFiles
	case err != nil:
		return nil, f.Unanswered(cli.Late(ctx, err))
	case got.Source != settings.Policy || len(got.Errors) > 0:
		return nil, errAskFiles // which tell of their mistakes
	}
	return &got.Answer, nil
}

func (a *asking) answer(cmd *cobra.Command, f *cli.Files) error {
	answer, err := a.ask(cmd, f)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case a.out == term.JSON:
		return term.PrintJSON(out, answer)
	case a.out == asCSV:
		return printCSV(out, answer)
	case isPicture(a.out):
		return a.draw(out, answer)
	}
	t := textOf(answer, term.SizeOf(out).Width)
	_, err = io.WriteString(out, t)
	return err
}

// draw writes the answer as a picture.
func (a *asking) draw(w io.Writer, answer *matrix.Answer) error {
	p := draw.Picture{Title: "Who reaches whom", Answer: answer}
	if a.group != "" {
		p.Title += ": " + a.group
		p.Around = []string{a.group}
	}
	if a.service != "" {
		p.Title += " by " + a.service
	}
	return drawAs(w, a.out, p)
}

// printCSV writes a line for each service.
func printCSV(w io.Writer, a *matrix.Answer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"from", "to", "service", "of"}) // the error is kept for Error
	for _, c := range a.Cells {
		for _, s := range c.Services {
			_ = out.Write([]string{c.From, c.To, s, "all"})
		}
		for _, s := range c.Some {
			_ = out.Write([]string{c.From, c.To, s, "some"})
		}
	}
	out.Flush()
	return out.Error()
}
