package files

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policyfile"
)

// NewSchema makes the command schema.
func NewSchema() *cobra.Command {
	schemas := map[string]func() []byte{"policy": policyfile.Schema,
		"settings": config.SettingsSchema}
	return &cobra.Command{
		Use:   "schema policy|settings",
		Short: "Print the JSON Schema of a policy or settings file",
		Long: "Schema prints a JSON Schema (draft 2020-12), by which an editor completes and " +
			"explains keys, and underlines mistakes. A file that the\n" +
			"schema refuses is not valid; whether one that it accepts is valid, 'portcullis " +
			"check' says.",
		Example: "  portcullis schema policy > policy.schema.json\n" +
			"  portcullis schema settings > portcullis.schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			const choice = "choose one: portcullis schema policy, or portcullis schema settings"
			if len(args) != 1 {
				return errors.New(choice)
			}
			if schemas[args[0]] == nil {
				return fmt.Errorf("there is no schema %q; %s", args[0], choice)
			}
			return nil
		},
		ValidArgs: []string{"policy", "settings"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Action(func(cmd *cobra.Command) error {
				_, err := cmd.OutOrStdout().Write(schemas[args[0]]())
				return err
			})(cmd, args)
		},
	}
}
