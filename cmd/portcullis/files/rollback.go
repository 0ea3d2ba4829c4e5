package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// The command rollback: the files of an earlier policy put back in their place.

const rollbackHelp = "Rollback writes the files of a generation that 'portcullis history' lists back " +
	"into the policy's place, byte for byte, and waits until they\n" +
	"are in force: all of them, or none. What is there now is kept as a generation first, valid or " +
	"not, so that a rollback can be undone like\n" +
	"anything else. It is checked and planned before, as by 'portcullis apply'; --confirm means the " +
	"same, too.\n\n" +
	"Exit codes: 0 in force (and confirmed), or with --dry-run checked; 1 an error, not in time, or " +
	"taken back; 2 wrong usage."

// NewRollback makes the command rollback.
func NewRollback(f *cli.Files, plan Planner) *cobra.Command {
	p := &placing{files: f, plan: plan, out: term.Table}
	cmd := &cobra.Command{
		Use:     "rollback GENERATION",
		Short:   "Put an earlier policy back in force",
		Long:    rollbackHelp,
		Example: "  portcullis history\n  portcullis rollback 12 --dry-run\n  portcullis rollback 12",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number of a generation: portcullis history lists them", args[0])
			}
			return cli.Outcome(p.rollback(cmd, n))
		},
	}
	p.flags(cmd)
	return cmd
}

func (p *placing) rollback(cmd *cobra.Command, number int) error {
	if err := p.load(); err != nil {
		return err
	}
	g, err := p.store.Get(number)
	if err != nil {
		return fmt.Errorf("%w: portcullis history lists them", err)
	}
	target, err := p.store.Target(g, p.settings.Policy)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "portcullis-rollback-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	from := dir
	for _, f := range target {
		path := filepath.Join(dir, filepath.Base(f.Path))
		if err := os.WriteFile(path, f.Text, 0o600); err != nil {
			return err
		}
		if !g.Folder {
			from = path
		}
	}
	p.note = fmt.Sprintf("rollback to %d", number)
	return p.run(cmd, from, target)
}
