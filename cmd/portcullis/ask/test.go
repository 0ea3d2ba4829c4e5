package ask

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/assertionfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/assertion"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/flows/spec"
)

// The command test: whether a policy is what files say of it. test_junit.go writes what became of
// it for machines that collect tests.

// asserting is the command line of test.
type asserting struct {
	files   []string
	pattern string
	all     bool // what holds is listed, too
	out     testFormat
}

// testFormat is how results are written; it implements pflag.Value.
type testFormat string

// asJUnit is the XML that machines for continuous integration collect.
const asJUnit testFormat = "junit"

func testFormats() []string { return []string{"table", "json", "junit"} }

func (m *testFormat) String() string { return string(*m) }

// Type is what the help calls the value.
func (m *testFormat) Type() string { return strings.Join(testFormats(), "|") }

// Set accepts the name of a format.
func (m *testFormat) Set(s string) error {
	if !slices.Contains(testFormats(), s) {
		return errors.New("want " + strings.Join(testFormats(), ", "))
	}
	*m = testFormat(s)
	return nil
}

const testHelp = "Test reads files with assertions about a policy and says which do not hold, and " +
	"why: the rule that decides, with file:line:column, or the\n" +
	"nearest one and what it lacks. The policy is that of the settings, or of --policy: then no " +
	"settings file is needed. No switch is asked.\n\n" +
	"A file has a list of tests, a line each:\n\n" +
	"  tests:\n" +
	"    - outside -> db-1 mysql denied\n" +
	"    - frontend -> backend mysql admitted\n" +
	"    - frontend -> backend ping denied ipv6\n" +
	"    - db-1: only frontend mysql, management ssh\n" +
	"    - db-1 -> only backend any, outside http\n" +
	"    - {name: the office gets in, test: 198.51.100.0/24 -> mgmt-1 ssh admitted}\n\n" +
	"Ends and services are those of explain: an instance, a group, a network, an address, a host, " +
	"outside, any. An assertion is about each pair of\n" +
	"addresses of both ends, of every family that both have; one that is about no packet fails. " +
	"A list says who alone reaches an end (<-, or the end and a\n" +
	"colon), or whom alone it reaches (->): all that it names is admitted, and nothing else. " +
	"\"via: direct\" beside tests asks about one way only.\n\n" +
	"Exit codes: 0 all hold, 1 some do not, 2 wrong usage, or files that cannot be read."

// NewTest makes the command test.
func NewTest(f *cli.Files) *cobra.Command {
	t := asserting{out: testFormat(term.Table)}
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Say whether a policy is what files of assertions say of it",
		Long:  testHelp,
		Example: "  portcullis test policy.test.yaml --policy policy.yaml\n" +
			"  portcullis test tests/*.yaml -o junit >report.xml\n" +
			"  portcullis test policy.test.yaml --run 'db-1'",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.files = args
			return t.answer(cmd, f)
		},
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"yaml", "yml"},
			cobra.ShellCompDirectiveFilterFileExt),
	}
	f.AddPolicy(cmd)
	cmd.Flags().StringVar(&t.pattern, "run", "",
		"only tests whose name or line matches this regular expression")
	cmd.Flags().BoolVarP(&t.all, "verbose", "v", false, "list what holds, too")
	cmd.Flags().VarP(&t.out, "output", "o", "format")
	// fails for a flag that is not there
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(testFormats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// unreadable is an error of files: there is nothing to say whether anything holds.
func unreadable(cmd *cobra.Command, err error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	return cli.Verdict(cli.ExitUsage)
}

func (t *asserting) answer(cmd *cobra.Command, f *cli.Files) error {
	wanted, err := regexp.Compile(t.pattern)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	files, err := t.read(wanted)
	if err != nil {
		return unreadable(cmd, err)
	}
	w, err := t.world(cmd, f)
	if err != nil {
		return unreadable(cmd, err)
	}
	r := explain.Read(w)
	var all []tested
	var mistakes []error
	for n, file := range files {
		results, wrong := assertion.Run(r, file.Tests, file.Via...)
		for _, m := range wrong {
			mistakes = append(mistakes, fmt.Errorf("%s: %s", m.At, m.Message))
		}
		all = append(all, tested{t.files[n], results})
	}
	if len(mistakes) > 0 {
		return unreadable(cmd, errors.Join(mistakes...))
	}
	if err := t.print(cmd.OutOrStdout(), all); err != nil {
		return &cli.Failure{Err: err}
	}
	if _, failed := numbers(all); failed > 0 {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// world is what is asked. Where a policy is named and there are no settings, nothing is known of
// the host.
func (t *asserting) world(cmd *cobra.Command, f *cli.Files) (spec.World, error) {
	in, err := f.Load(cmd)
	if in.IsBare {
		return spec.World{Policy: in.Policy}, err
	}
	return spec.World{Policy: in.Policy, Site: in.Settings.Site()}, err
}

// tested is what became of one file.
type tested struct {
	file    string
	results []assertion.Result
}

// numbers says how many tests there are, and how many of them do not hold.
func numbers(all []tested) (tests, failed int) {
	for _, f := range all {
		for _, r := range f.results {
			if tests++; !r.Holds {
				failed++
			}
		}
	}
	return tests, failed
}

// read reads the files, all mistakes at once, and keeps the tests that are wanted.
func (t *asserting) read(wanted *regexp.Regexp) ([]assertionfile.File, error) {
	var out []assertionfile.File
	var mistakes []error
	left := 0
	for _, path := range t.files {
		f, err := readTests(path)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		f.Tests = slices.DeleteFunc(f.Tests, func(a assertion.Test) bool {
			return !wanted.MatchString(a.Text) && !wanted.MatchString(a.Name)
		})
		left += len(f.Tests)
		out = append(out, f)
	}
	if len(mistakes) == 0 && left == 0 {
		return nil, fmt.Errorf("no test matches --run %q", t.pattern)
	}
	return out, errors.Join(mistakes...)
}

func readTests(path string) (assertionfile.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return assertionfile.File{}, fmt.Errorf("reading tests: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, strictyaml.MaxFileSize+1))
	switch {
	case err != nil:
		return assertionfile.File{}, fmt.Errorf("reading tests: %w", err)
	case len(data) > strictyaml.MaxFileSize:
		return assertionfile.File{}, fmt.Errorf("%s: a file has at most %d MiB", path,
			strictyaml.MaxFileSize>>20)
	}
	return assertionfile.Read(strictyaml.File{Name: path, Data: data})
}

func (t *asserting) print(w io.Writer, all []tested) error {
	switch t.out {
	case testFormat(term.JSON):
		return term.PrintJSON(w, reportOf(all))
	case asJUnit:
		return printJUnit(w, all)
	}
	p := newPage(w)
	for _, f := range all {
		for _, r := range f.results {
			p.result(r, t.all)
		}
	}
	tests, failed := numbers(all)
	switch {
	case failed == 0:
		p.Line("%s: %s", wording.Count(tests, "test"), p.verdict("passes"))
	case failed == 1:
		p.Line("%s: 1 does not hold", wording.Count(tests, "test"))
	default:
		p.Line("%s: %d do not hold", wording.Count(tests, "test"), failed)
	}
	return p.Err()
}

// result prints a test that does not hold, and why; one that holds if all are wanted.
func (p page) result(r assertion.Result, all bool) {
	text := r.Text
	if r.Name != "" {
		text = r.Name + ": " + text
	}
	if r.Holds {
		if all {
			p.Line("%s  %s: %s", p.Paint.Line(term.Green, "ok  "), at(r.At), text)
		}
		return
	}
	p.Line("%s  %s: %s", p.Paint.Line(term.Red, "FAIL"), at(r.At), text)
	for _, f := range r.Findings {
		p.Line("  %s", f.What)
		for _, k := range f.Kinds {
			var text bytes.Buffer
			inner := newPage(&text)
			inner.Paint = p.Paint
			inner.kind(k)
			for line := range strings.Lines(text.String()) {
				p.Line("    %s", strings.TrimSuffix(line, "\n"))
			}
		}
	}
	p.Line("")
}

func at(p policy.Position) string { return p.String() }

// report is what -o json prints.
type report struct {
	Tests  int          `json:"tests"`
	Failed int          `json:"failed"`
	List   []reportTest `json:"results"`
}

type reportTest struct {
	File string `json:"file"`
	At   string `json:"at"` // file:line:column
	assertion.Result
}

func reportOf(all []tested) report {
	out := report{List: []reportTest{}}
	out.Tests, out.Failed = numbers(all)
	for _, f := range all {
		for _, r := range f.results {
			out.List = append(out.List, reportTest{f.file, at(r.At), r})
		}
	}
	return out
}
