// Package hook has the commands that programs which start machines call: they make of what those
// say the instance that comes, moves or goes. Installed scripts of a few lines call them.
//
// Invariant: nothing here is what keeps a machine safe. A port that is not in the policy passes
// nothing, whoever did not call a hook; a hook puts it there, and refuses what is wrong.
package hook

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/files"
	"github.com/portcullis/portcullis/cmd/portcullis/fleet"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/instancefile"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
)

const help = "Hook is called by programs that start machines: it puts the instance into the policy " +
	"before its device is there, and takes it out when the machine has stopped.\nThe policy is a " +
	"folder of files, or a database, as the settings say. An instance that stands in a file of " +
	"somebody else's is left as it is, if its ports\nagree. A daemon that does not answer is told of, " +
	"and stops nothing: until it is back the port passes nothing.\n\n" +
	"Exit codes: 0 done, or nothing to do; 1 refused: the program does not start the machine, and " +
	"shows why; 2 wrong usage."

// New makes the command hook.
func New(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{Use: "hook", Short: "For libvirt, LXC, Incus and Proxmox VE: who starts and stops",
		Long: help, Args: cobra.NoArgs,
		Example: "  exec portcullis hook libvirt \"$@\"      # /etc/libvirt/hooks/qemu",
		RunE:    cli.Action(func(cmd *cobra.Command) error { return cmd.Help() })}
	cmd.AddCommand(newLibvirt(f), newLXC(f), newProxmox(f), newIncus(f))
	return cmd
}

// timeouts of a hook: whoever starts a machine waits for it.
const (
	writeTime = 20 * time.Second // for a change of the policy
	knownTime = 5 * time.Second  // until the daemon knows of it
	askPause  = 50 * time.Millisecond
)

// happen makes the policy fit what happens to a machine. Its ports are not needed where it ends.
func happen(cmd *cobra.Command, f *cli.Files, m moment, i policy.Instance) error {
	if m == nothing {
		return nil
	}
	settings, err := f.Settings()
	if err != nil {
		return err
	}
	note := fmt.Sprintf("hook %s: %s %s", cmd.Name(), i.Name, m)
	cmd.SetOut(io.Discard) // libvirt takes what a hook prints for another domain
	db, err := f.Store(cli.DatabaseFlag{})
	switch {
	case err != nil:
		return err
	case db.Endpoint == "":
		err = files.InstanceChange{Note: note, Timeout: writeTime, Out: term.Table}.Do(cmd, f,
			instancefile.Change{Name: i.Name, Edit: m.inFiles(i.Sorted(), settings.Host), Agrees: agrees})
	default:
		w := fleet.Writing{Yes: true, Out: term.Table, Timeout: writeTime}
		asked := excerpt.Asked{Instances: []string{i.Name}}
		change := m.edit(i.Sorted(), settings.Host)
		err = w.DoPart(cmd, db, note, asked, func(p *policy.Policy) (*policy.Policy, string, error) {
			next, err := change(p)
			return next, "", err
		})
	}
	if err != nil || m == ends || m == arrived {
		return err
	}
	if err := known(cmd.Context(), f, i.Name); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is in the policy, and passes nothing yet: %v; see: "+
			"portcullis status\n", i.Name, err)
	}
	return nil
}

// agrees says whether an instance that somebody else has written may stay as it is: its ports are
// those of the machine. One that goes stays there.
func agrees(stands, wanted *policy.Instance) bool {
	return wanted == nil || slices.EqualFunc(stands.Sorted().Ports, wanted.Sorted().Ports,
		func(a, b policy.Port) bool {
			return a.Name == b.Name && a.IfaceID == b.IfaceID && a.MAC == b.MAC
		})
}

// known waits until the daemon has the ports of an instance in its policy.
func known(ctx context.Context, f *cli.Files, instance string) error {
	client, err := f.Client()
	if err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, knownTime)
	defer cancel()
	for {
		status, err := client.Status(ctx)
		if err != nil {
			return f.Unanswered(err)
		}
		for _, p := range status.Ports {
			if p.Instance == instance {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon does not know of it after %s", knownTime)
		case <-time.After(askPause):
		}
	}
}

// words takes apart what is written with commas or spaces.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' })
}
