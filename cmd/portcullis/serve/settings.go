package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The settings file of serve: the flags in a file. Invariant: what the command line says counts,
// and a key that no flag has is an error.

// settingsFile is read where it is, if no other is named.
const settingsFile = "/etc/portcullis/serve.yaml"

func addSettings(cmd *cobra.Command) {
	cmd.Flags().String("settings", settingsFile, "`FILE` of YAML with the names of these flags as its "+
		"keys; the command line counts before it")
	_ = cmd.MarkFlagFilename("settings", "yaml", "yml") // fails for a flag that is not there
}

// noSettings are flags that are not for the file.
var noSettings = []string{"settings", "config", "help"}

// readSettings sets the flags that the file has and the command line has not.
func readSettings(cmd *cobra.Command) error {
	file, err := cmd.Flags().GetString("settings")
	if err != nil {
		return err
	}
	v := viper.New()
	v.SetConfigFile(file)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("settings") {
			return nil
		}
		return fmt.Errorf("--settings: %w", err)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(noSettings, f.Name) {
			names = append(names, f.Name)
		}
	})
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		if !slices.Contains(names, key) {
			return fmt.Errorf("%s: the key %s is not known%s", file, key, wording.DidYouMean(key, names))
		}
		if err := set(cmd.Flags(), key, v); err != nil {
			return fmt.Errorf("%s: %s: %w", file, key, err)
		}
	}
	return nil
}

// set sets a flag as the file says, unless the command line has.
func set(flags *pflag.FlagSet, key string, v *viper.Viper) error {
	if flags.Changed(key) {
		return nil
	}
	list, isList := v.Get(key).([]any)
	if !isList {
		return flags.Set(key, v.GetString(key))
	}
	if flags.Lookup(key).Value.Type() != "stringArray" {
		return errors.New("must be one value, not a list")
	}
	for _, one := range list {
		if err := flags.Set(key, fmt.Sprint(one)); err != nil {
			return err
		}
	}
	return nil
}
