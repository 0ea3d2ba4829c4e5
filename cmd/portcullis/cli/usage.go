package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What is said of a command line that is wrong, and what help looks like: examples first. The root
// command calls SetUsage when it has all commands.

// SetUsage has every command say what was meant where a command, a flag or an argument is not
// known.
func SetUsage(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.Example = "  portcullis completion bash > /etc/bash_completion.d/portcullis"
		}
		told := cmd.Args
		if told == nil {
			continue
		}
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			return argumentError(cmd, args, told(cmd, args))
		}
	}
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(root, args[0])
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
}

// Wrong is what is printed of wrong usage of a command.
func Wrong(cmd *cobra.Command, err error) string {
	return fmt.Sprintf("portcullis: %v\nSee '%s --help'.", err, cmd.CommandPath())
}

// mostNames is how many commands are listed where none is near.
const mostNames = 6

// unknownCommand is the error of a word that should be the command of another.
func unknownCommand(parent *cobra.Command, word string) error {
	var names []string
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() && c.Name() != "help" {
			continue
		}
		names = append(names, c.Name())
		if slices.Contains(c.SuggestFor, word) {
			return fmt.Errorf("there is no command %q; did you mean %q?", word, c.Name())
		}
	}
	hint := wording.DidYouMean(word, names)
	if hint == "" && len(names) <= mostNames {
		hint = "; choose " + strings.Join(names, ", ")
	}
	return fmt.Errorf("there is no command %q%s", word, hint)
}

// argumentError says what is wrong with the arguments of a command in its own words.
func argumentError(cmd *cobra.Command, args []string, err error) error {
	switch {
	case err == nil || !strings.HasPrefix(err.Error(), "unknown command"):
		return err
	case cmd.HasSubCommands():
		return unknownCommand(cmd, args[0])
	case cmd.Flags().Lookup("policy") != nil && looksLikeFile(args[0]):
		return fmt.Errorf("%s takes no arguments; name a policy by --policy %s", cmd.Name(), args[0])
	}
	return fmt.Errorf("%s takes no argument %q", cmd.Name(), args[0])
}

func looksLikeFile(word string) bool {
	return strings.ContainsRune(word, filepath.Separator) ||
		slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(word))
}

// flagError says of a flag that is not known which one was meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	word := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); len(short) > 1 {
		word = short // one dash where two are meant, such as -policy
	}
	if near, ok := wording.Nearest(word, names); ok && len(word) > 1 {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	if other := otherCase(unknown.GetSpecifiedShortnames()); len(other) == 1 &&
		cmd.Flags().ShorthandLookup(other) != nil {
		return fmt.Errorf("%w; did you mean -%s?", err, other)
	}
	return err
}

// otherCase returns a letter in its other case.
func otherCase(s string) string {
	if upper := strings.ToUpper(s); upper != s {
		return upper
	}
	return strings.ToLower(s)
}

// newHelp is the command help: an unknown command is an error there, too.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Say what a command does",
		Long:    "Help prints what a command does, with examples: the same as COMMAND --help.",
		Example: "  portcullis help explain",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion,
			cobra.ShellCompDirective) {
			var offers []cobra.Completion
			if of, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, c := range of.Commands() {
					if c.IsAvailableCommand() {
						offers = append(offers, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return offers, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			of, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(of, rest[0])
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

const helpTemplate = `{{if .HasParent}}{{.Short}}.

{{end}}{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{with .Long}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}{{$all := .Commands}}{{range $group := .Groups}}
{{.Title}}
{{range $all}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}` +
	`  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}{{if not (or .AllChildCommandsHaveGroup (not .HasAvailableSubCommands))}}
{{if .Groups}}Others:{{else}}Commands:{{end}}
{{range $all}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}` +
	`  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}{{if not .HasAvailableSubCommands}}
{{end}}Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Everywhere:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}
See '{{.CommandPath}} COMMAND --help' for examples and what each flag means.
{{end}}`
