package files

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/convert"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows/policy"
)

// The command convert: a cloud's security groups as a policy file.

// NewConvert makes the command convert.
func NewConvert() *cobra.Command {
	var from string
	out := term.WordOf("yaml", "json")
	cmd := &cobra.Command{
		Use:   "convert [FILE...]",
		Short: "Make a policy file of a cloud's security groups",
		Long: "Convert reads descriptions of security groups, from files or from its standard " +
			"input, and prints the groups as a policy file:\n\n" +
			"  exo compute security-group show NAME -O json   (Exoscale; one after another for " +
			"several groups)\n" +
			"  aws ec2 describe-security-groups               (Amazon EC2)\n\n" +
			"All groups that rules name must be among them. What cannot be expressed exactly is " +
			"an error, and nothing is printed then. Instances\n" +
			"are not converted. Exit codes: 0 converted, 1 not.",
		Example: "  aws ec2 describe-security-groups | portcullis convert > policy.yaml\n" +
			"  portcullis convert --from exo web.json db.json",
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Action(func(cmd *cobra.Command) error {
				p, err := converted(cmd, args, convert.Format(from))
				if err != nil {
					return err
				}
				if out.Value == "json" {
					return term.PrintJSON(cmd.OutOrStdout(), p)
				}
				_, err = cmd.OutOrStdout().Write(policyfile.Marshal(p))
				return err
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "format of the input: "+strings.Join(convert.Formats(),
		" or ")+" (default: by its content)")
	cmd.Flags().VarP(&out, "output", "o", "format; a policy file may be JSON, too")
	if err := cmd.RegisterFlagCompletionFunc("from",
		cobra.FixedCompletions(convert.Formats(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is there
	}
	return cmd
}

// converted reads descriptions and makes a policy of them; notes go to the user.
func converted(cmd *cobra.Command, names []string, from convert.Format) (*policy.Policy, error) {
	var input bytes.Buffer
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		input.Write(append(data, '\n'))
	}
	if len(names) == 0 {
		if _, err := io.Copy(&input, cmd.InOrStdin()); err != nil {
			return nil, fmt.Errorf("reading the input: %w", err)
		}
	}
	p, notes, err := convert.Convert(input.Bytes(), from)
	for _, n := range notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", n)
	}
	return p, err
}
