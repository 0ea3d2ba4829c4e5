package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// What all commands read: settings and policy.

const DefaultConfig = "/etc/portcullis/portcullis.yaml"

// Files is the flag that all commands share.
type Files struct{ Config string }

// Loaded is everything that the files say.
type Loaded struct {
	Settings config.Settings
	Policy   *policy.Policy
}

// Load reads the settings and the policy, and tells of warnings.
func (f *Files) Load(cmd *cobra.Command) (Loaded, error) {
	settings, err := config.LoadSettings(f.Config)
	if err != nil {
		return Loaded{}, err
	}
	return LoadPolicy(cmd, settings)
}

// LoadPolicy reads the policy that the settings name, and tells of warnings.
func LoadPolicy(cmd *cobra.Command, settings config.Settings) (Loaded, error) {
	pol, warnings, err := policydir.Load(settings.Policy)
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	if err != nil {
		return Loaded{}, err
	}
	if w := settings.HostWarning(pol); w != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	return Loaded{settings, pol}, nil
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
