package db

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The command db, and what its commands share: the folder of a server, or the database that is
// asked.

// NewDB makes the command db.
func NewDB(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Make and run the policy database of several hosts",
		Long: "A policy database holds the policy of several hosts: they follow it with the setting " +
			"policy: ovsdb:ENDPOINT, and 'portcullis apply --db' changes it.\n" +
			"It is served by Open vSwitch's own ovsdb-server, as a cluster of one member, which may " +
			"grow to three or five.",
		Example: "  portcullis db init --dir /var/lib/portcullis/db\n" +
			"  portcullis db run --dir /var/lib/portcullis/db",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error { return cmd.Help() }),
	}
	cmd.AddCommand(newInit(), newJoin(), newRelay(), newRun(), newCertificate(), newStatus(f),
		newBackup(f), newRestore(f), newUpgrade(f), newRemove())
	return cmd
}

// folderFlag is the flag of a server's folder.
type folderFlag string

func (d *folderFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(d), "dir", "", "the `FOLDER` of the database")
	// fails for a flag that is not there
	_ = cmd.MarkFlagRequired("dir")
	_ = cmd.MarkFlagDirname("dir")
}

func (d *folderFlag) folder() (policyserver.Folder, error) {
	dir, err := filepath.Abs(string(*d))
	return policyserver.Folder(dir), err
}

// answerTime is how long one server may take to say how it is.
const answerTime = 3 * time.Second

// workTime is how long a backup, a restoration or a conversion may take.
const workTime = 5 * time.Minute

// databaseOf is the database that flags, environment or settings name.
func databaseOf(f *cli.Files, flag cli.DatabaseFlag) (cli.Database, error) {
	db, err := f.Database(flag)
	if err == nil && db.Endpoint == "" {
		err = errors.New("no policy database is named: --db ENDPOINT")
	}
	if err == nil {
		err = db.Check()
	}
	return db, err
}

// askServers asks every server that is named.
func askServers(ctx context.Context, db cli.Database) []policyserver.State {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return policyserver.Look(ctx, strings.Split(db.Endpoint, ","), db.TLS.Config())
}

// withBest has something done with a server that can be written.
func withBest(cmd *cobra.Command, f *cli.Files, flag cli.DatabaseFlag,
	do func(context.Context, policyserver.Remote) error) error {
	db, err := databaseOf(f, flag)
	if err != nil {
		return err
	}
	best, err := policyserver.Best(askServers(cmd.Context(), db))
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	return do(ctx, policyserver.Remote{Endpoint: best.Endpoint, Files: db.TLS})
}
