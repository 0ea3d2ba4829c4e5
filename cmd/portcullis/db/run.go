package db

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policydb/upkeep"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The command db run: ovsdb-server in the foreground, and what is done beside it.

func newRun() *cobra.Command {
	var dir folderFlag
	cmd := &cobra.Command{
		Use:   "run --dir DIR",
		Short: "Serve a policy database until a signal",
		Long: "Run runs ovsdb-server with the options that a policy database needs. SIGTERM ends it; " +
			"every change that was acknowledged is on the disk.\n\n" +
			"Exit codes: 0 ended by a signal; 1 the server cannot run, or has ended.",
		Example: "  portcullis db run --dir /var/lib/portcullis/db",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			folder, err := dir.folder()
			if err != nil {
				return err
			}
			return serve(cmd, folder)
		}),
	}
	dir.add(cmd)
	return cmd
}

func serve(cmd *cobra.Command, folder policyserver.Folder) error {
	ctx, stop := signal.NotifyContext(contextOf(cmd), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return folder.Run(ctx, cmd.ErrOrStderr(), func(ctx context.Context) error {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			return fmt.Errorf("tell systemd: %w", err)
		}
		return keepUp(ctx, cmd, folder)
	})
}

// keepUp does what is done beside each member, until ctx ends.
func keepUp(ctx context.Context, cmd *cobra.Command, folder policyserver.Folder) error {
	s, err := folder.Server()
	if err != nil || s.IsRelay() {
		return err
	}
	log := logrus.New()
	log.SetOutput(cmd.ErrOrStderr())
	c, err := policydb.New(policydb.Options{Endpoint: folder.Socket(), Log: logrus.NewEntry(log)})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.Run(ctx) })
	group.Go(func() error { return upkeep.Run(ctx, c, log.WithField("task", "upkeep")) })
	return group.Wait()
}
