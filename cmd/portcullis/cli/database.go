package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// How commands read and change the policy of a database, where the settings or --db name one.

// Database returns the endpoint of the policy database that a command is to work on: what --db
// says, or the environment, or the settings' policy; "" = the policy is in files.
func (f *Files) Database(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if endpoint := os.Getenv(config.DatabaseVariable); endpoint != "" {
		return endpoint, nil
	}
	settings, err := f.Settings()
	if err != nil {
		return "", err
	}
	endpoint, isDatabase := settings.PolicyDatabase()
	if !isDatabase {
		return "", nil
	}
	return endpoint, nil
}

// LoadPolicy reads the policy at paths, or that of the database that the settings name there.
func LoadPolicy(s config.Settings, paths []string) (*policy.Policy, strictyaml.Warnings, error) {
	endpoint, isDatabase := s.PolicyDatabase()
	if !isDatabase || len(paths) != 1 || paths[0] != s.Policy {
		return policydir.LoadAll(paths)
	}
	var p *policy.Policy
	var warnings strictyaml.Warnings
	err := WithDatabase(context.Background(), endpoint, func(_ context.Context,
		c *policydb.Client) (err error) {
		p, warnings, err = c.Load()
		return err
	})
	return p, warnings, err
}

// WithDatabase has something done with a policy database that answers. The time to reach it is
// AskTimeout.
func WithDatabase(ctx context.Context, endpoint string,
	do func(context.Context, *policydb.Client) error) error {
	if ctx == nil {
		ctx = context.Background()
	}
	c, err := policydb.New(policydb.Options{Endpoint: endpoint})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	err = reach(ctx, c, ended)
	if err == nil {
		err = do(ctx, c)
	}
	cancel()
	return errors.Join(err, <-ended)
}

// reach waits for the first rows.
func reach(ctx context.Context, c *policydb.Client, ended chan error) error {
	late := time.NewTimer(AskTimeout)
	defer late.Stop()
	for {
		if _, _, err := c.Policy(); !errors.Is(err, client.ErrNotConnected) {
			return nil
		}
		select {
		case <-c.Changed():
		case err := <-ended:
			ended <- nil
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("the policy database does not answer: %w", c.LastError())
		}
	}
}

// DatabaseFlag is the flag by which a command that works on files works on a database instead.
type DatabaseFlag struct{ Endpoint string }

// Add gives a command the flag, and has it do on where a database is named. check judges the
// arguments then.
func (d *DatabaseFlag) Add(cmd *cobra.Command, f *Files, check cobra.PositionalArgs,
	on func(cmd *cobra.Command, endpoint string, args []string) error) {
	cmd.Flags().StringVar(&d.Endpoint, "db", "", "the policy database: `ENDPOINT` is unix:/PATH or "+
		"tcp:HOST:PORT, several with commas; also by the variable "+config.DatabaseVariable+
		" (default: as in the settings)")
	files, judge := cmd.RunE, cmd.Args
	named := func() string {
		endpoint, err := f.Database(d.Endpoint)
		if err != nil {
			return "" // the files' way tells of it
		}
		return endpoint
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if named() != "" {
			return check(cmd, args)
		}
		return judge(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if endpoint := named(); endpoint != "" {
			return Outcome(on(cmd, endpoint, args))
		}
		return files(cmd, args)
	}
}
