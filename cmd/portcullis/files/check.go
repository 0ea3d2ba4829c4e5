package files

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/lint"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The command check: what the daemon would refuse or leave out, and what is hardly meant, found
// without a switch. check_report.go has what is found, check_find.go finds it, sarif.go prints it
// for code scanners.

func checkHelp() string {
	lints := ""
	for _, l := range Lints() {
		lints += fmt.Sprintf("  %-20s %s\n", l.ID, l.Title)
	}
	return "Check reads the settings and the policy as the daemon would, and names every mistake " +
		"as file:line:column: field: message.\n" +
		"A port of this host that is the bridge, an uplink or a device that the host itself " +
		"uses is one, and so is one that could speak as a\n" +
		"gateway: the daemon takes no such port, though all else. It warns if no instance is " +
		"on this host. No switch is needed.\n" +
		"What cannot be compiled, and so would be left out, is a mistake, too.\n\n" +
		"With FILEs it checks those, files or folders, as one policy, instead of the one that " +
		"the settings name. Without a settings file the\n" +
		"settings are the defaults, the policy is compiled for the host with most ports, and " +
		"nothing is said about this one.\n\n" +
		"With --strict, warnings and what is hardly meant are failures, too; without, what is " +
		"hardly meant is only counted:\n\n" + lints +
		"\n--ignore accepts one: of all, as ID, or of one group or instance, as ID:NAME.\n\n" +
		"With --against-running the daemon is asked whether it runs the policy that was checked; if " +
		"not, that is a failure, too.\n\n" +
		"Exit codes: 0 valid, 1 not valid, not as strict as it should be, or not what runs, 2 wrong " +
		"usage."
}

// checking is the command line of check.
type checking struct {
	files   *cli.Files
	version string
	strict  bool
	ignore  []string
	running bool // ask the daemon whether it runs what was checked
	timeout cli.Timeout
	out     term.Word
}

// NewCheck makes the command check; version is what it tells of itself in SARIF.
func NewCheck(f *cli.Files, version string) *cobra.Command {
	c := checking{files: f, version: version, out: term.WordOf("text", "json", "sarif")}
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Validate the settings and the policy",
		Long:  checkHelp(),
		Example: "  portcullis check\n" +
			"  portcullis check new.yaml\n" +
			"  portcullis check --strict --ignore world-ssh:bastion policy/\n" +
			"  portcullis check -o sarif --strict policy/ > portcullis.sarif\n" +
			"  portcullis check --against-running",
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.read(args); err != nil {
				return err
			}
			if err := c.timeout.Check(); err != nil {
				return err
			}
			return cli.Outcome(c.answer(cmd))
		},
	}
	f.AddPolicy(cmd)
	cmd.Flags().BoolVar(&c.strict, "strict", false,
		"fail also for warnings and for what is hardly meant")
	cmd.Flags().StringArrayVar(&c.ignore, "ignore", nil,
		"accept what a lint finds: `ID`, or ID:NAME for one group or instance; may be repeated")
	cmd.Flags().BoolVar(&c.running, "against-running", false,
		"fail also if the daemon does not run the policy that was checked")
	c.timeout.Flag(cmd, time.Minute)
	cmd.Flags().VarP(&c.out, "output", "o", "format")
	_ = cmd.RegisterFlagCompletionFunc("ignore", completeLints) // fails for a flag that has one
	return cmd
}

// read holds the command line against itself.
func (c *checking) read(args []string) error {
	if len(args) > 0 && len(c.files.Policies) > 0 {
		return fmt.Errorf("name the files either way: check FILE... or --policy")
	}
	c.files.Policies = append(c.files.Policies, args...)
	known := []string{}
	for _, l := range Lints() {
		known = append(known, l.ID)
	}
	for _, i := range c.ignore {
		if id, _, _ := strings.Cut(i, ":"); !slices.Contains(known, id) {
			return fmt.Errorf("--ignore %s: there is no lint %q%s", i, id,
				wording.DidYouMean(id, known))
		}
	}
	return nil
}

func (c *checking) answer(cmd *cobra.Command) error {
	work := cli.NewProgress(cmd.ErrOrStderr())
	defer work.End()
	r := c.find(work)
	if c.running && r.Valid {
		work.Stage("the daemon compares %d instances", r.Instances)
		if err := c.ask(cmd, r); err != nil {
			return err
		}
	}
	work.End()
	out := cmd.OutOrStdout()
	var err error
	switch c.out.Value {
	case "json":
		err = term.PrintJSON(out, r)
	case "sarif":
		err = term.PrintJSON(out, sarifOf(r, c.version))
	default:
		c.print(out, cmd.ErrOrStderr(), r)
	}
	if err == nil && !r.Passed {
		return cli.Verdict(cli.ExitError)
	}
	return err
}

// mostOfAKind is how many findings of one kind are told one by one, if they are no mistakes.
const mostOfAKind = 5

// print tells people: what is found, then the policy in a line.
func (c *checking) print(out, errOut io.Writer, r *report) {
	told, kinds := map[string]int{}, []string{}
	notes := 0
	for _, f := range r.Findings {
		kind := f.kind()
		switch {
		case f.Severity == asNote:
			notes++
			continue
		case f.Severity == asError:
		default:
			if told[kind]++; told[kind] == 1 {
				kinds = append(kinds, kind)
			}
			if told[kind] > mostOfAKind {
				continue
			}
		}
		fmt.Fprintln(errOut, f.line())
	}
	for _, kind := range kinds {
		if more := told[kind] - mostOfAKind; more > 0 {
			fmt.Fprintf(errOut, "… and %d more of the kind: %s; -o json lists all\n", more, kind)
		}
	}
	if r.Valid {
		fmt.Fprintln(out, r.summary())
	}
	if r.Running != nil {
		fmt.Fprintln(out, r.Running.line())
	}
	if r.Valid && c.strict && r.has(asWarning) {
		fmt.Fprintf(out, "not strict: %s; accept what is meant by --ignore ID:NAME\n",
			wording.Count(len(r.Findings), "finding"))
	}
	if notes > 0 {
		fmt.Fprintf(out, "%s of what is hardly meant; see: portcullis check --strict\n",
			wording.Count(notes, "note"))
	}
}

// completeLints offers what --ignore takes.
func completeLints(*cobra.Command, []string, string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	var offers []cobra.Completion
	for _, l := range Lints() {
		offers = append(offers, cobra.CompletionWithDesc(l.ID, l.Title))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// Lints are those of a policy, and those of its files.
func Lints() []lint.Lint {
	return append(lint.All(), lint.Lint{ID: strayFile,
		Title: "A file beside the policy is not read",
		Why: "A policy is one file, or the *.yaml files of one folder. What lies beside, or has " +
			"another ending, looks as if it counted.",
		WayOut: "Move the file into the folder and name it *.yaml, or move it away."})
}
