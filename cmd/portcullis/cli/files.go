package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What all commands read: settings and policy.

// DefaultConfig is where the daemon's settings are, unless something else is said.
const DefaultConfig = "/etc/portcullis/portcullis.yaml"

// configVariable names the settings file where --config does not.
const configVariable = "PORTCULLIS_CONFIG"

// Files are the flags by which commands find their files. The zero Files has no flags and is that
// of a daemon's own place.
type Files struct {
	Config string // the settings file
	// Policies are files and folders that are one policy, instead of what the settings name.
	Policies []string

	// Server is the API server whose policy is asked about, for commands that have its flags.
	Server ServerFlag

	isGiven bool           // Config was named by the environment
	root    *cobra.Command // that has --config; nil = none
}

// AddConfig gives the root command the flag of the settings file.
func (f *Files) AddConfig(root *cobra.Command) {
	f.root = root
	root.PersistentFlags().StringVar(&f.Config, "config", DefaultConfig,
		"settings `FILE`; also by the variable "+configVariable)
	if path := os.Getenv(configVariable); path != "" {
		f.Config, f.isGiven = path, true
	}
}

// AddPolicy gives a command that asks about a policy the flag of the policy.
func (f *Files) AddPolicy(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.Policies, "policy", nil,
		"the policy: a `FILE` or a folder; several are one policy (default: as in the settings)")
	// fails for a flag that is not there
	_ = cmd.MarkFlagFilename("policy", "yaml")
}

// Loaded is everything that the files say.
type Loaded struct {
	Settings config.Settings
	Policy   *policy.Policy
	Warnings strictyaml.Warnings
	// IsBare = there is no settings file: the settings are the defaults, and nothing is known of
	// the host that the policy is for.
	IsBare bool
}

// Load reads the settings and the policy, and tells that there are warnings: check shows them.
func (f *Files) Load(cmd *cobra.Command) (Loaded, error) {
	if cmd.Flags().Lookup("server") != nil && len(f.Policies) == 0 {
		in, err := f.ofServer(cmd)
		switch {
		case err != nil:
			return Loaded{}, err
		case in != nil:
			return *in, nil
		}
	}
	in, err := f.Read()
	if n := len(in.Warnings); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the policy has %s; see them: portcullis check\n",
			wording.Count(n, "warning"))
	}
	if err != nil {
		return Loaded{}, err
	}
	if w := in.HostWarning(); w != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	return in, nil
}

// Read is Load without a word. The warnings are there also where the policy is not valid.
func (f *Files) Read() (Loaded, error) {
	settings, isBare, err := f.settings()
	if err != nil {
		return Loaded{}, err
	}
	paths := f.Policies
	if len(paths) == 0 {
		paths = []string{settings.Policy}
	} else {
		settings.Policy = strings.Join(paths, ", ")
	}
	pol, warnings, err := LoadPolicy(settings, paths)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.withoutPolicy(err)
	}
	return Loaded{settings, pol, warnings, isBare}, err
}

// Settings reads the settings file.
func (f *Files) Settings() (config.Settings, error) {
	s, err := config.LoadSettings(f.Config)
	if _, isThere := os.Stat(f.Config); errors.Is(isThere, fs.ErrNotExist) && err != nil {
		err = missing{err, fmt.Sprintf("there is no settings file %s; write one, see "+
			"portcullis.yaml(5): \"policy: policy.yaml\" will do, all else has defaults; or name "+
			"another: --config FILE, or %s", f.Config, configVariable)}
	}
	return s, err
}

// settings are those of the file. Where a policy is named and no settings file is, at the default
// place neither, they are the defaults.
func (f *Files) settings() (s config.Settings, isBare bool, err error) {
	if _, err := os.Stat(f.Config); len(f.Policies) > 0 && !f.isNamed() &&
		errors.Is(err, fs.ErrNotExist) {
		s, err := config.DefaultSettings(filepath.Dir(f.Config))
		return s, true, err
	}
	s, err = f.Settings()
	return s, false, err
}

// isNamed says whether somebody named the settings file.
func (f *Files) isNamed() bool {
	return f.isGiven || f.root != nil && f.root.PersistentFlags().Changed("config")
}

// withoutPolicy says what to do about a policy that is not there.
func (f *Files) withoutPolicy(err error) error {
	if len(f.Policies) > 0 {
		return err
	}
	return missing{err, fmt.Sprintf("%v\nThe setting policy in %s names it. Write one, see "+
		"portcullis-policy(5): \"groups: []\" is an empty one; or name another: --policy FILE",
		err, f.Config)}
}

// missing is an error about a file that is not there, in words that say what to do.
type missing struct {
	err   error
	words string
}

func (m missing) Error() string { return m.words }
func (m missing) Unwrap() error { return m.err }

// HostWarning says that the policy seems to know this host by another name. Without settings there
// is nothing to be said.
func (l Loaded) HostWarning() string {
	if l.IsBare {
		return ""
	}
	return l.Settings.HostWarning(l.Policy)
}

// LocalPorts returns the names of this host's ports, sorted.
func (l Loaded) LocalPorts() []string {
	var names []string
	for _, i := range l.Policy.Instances {
		if !i.IsLocal(l.Settings.Host) {
			continue
		}
		for _, p := range i.Ports {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Invented is the input of a bridge that has every port, with numbers that depend on the names
// alone. Ports that the settings refuse are left out, as the daemon leaves them out.
func (l Loaded) Invented() flows.Input {
	in := flows.Input{Policy: l.Policy, Site: l.Settings.Site(), LastMeter: flows.MaxMeter}
	number := uint32(0)
	misfits := l.Settings.Misfits(l.Policy.Instances)
	for _, name := range l.LocalPorts() {
		if slices.ContainsFunc(misfits, func(m config.Misfit) bool { return m.Port == name }) {
			continue
		}
		number++
		in.Bindings = append(in.Bindings, flows.Binding{Port: name, OFPort: number,
			Zone: uint16(number), Epoch: 1})
	}
	for _, name := range l.Settings.Uplinks {
		number++
		in.Uplinks = append(in.Uplinks, flows.Uplink{Name: name, OFPort: number})
	}
	return in
}
