package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/apiclient"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// How commands read and change the policy of a database, where the settings or --db name one.

// Database says where a policy database is, and what it takes to be let in.
type Database struct {
	Endpoint string // one, or several with commas; "" = none: the policy is in files
	TLS      credentials.Files
	// Server is the API server behind which it is; Endpoint is its URL then.
	Server *apiclient.Options
}

// Database returns the policy database that a command is to work on: what its flags say, or the
// environment, or the settings.
func (f *Files) Database(flag DatabaseFlag) (Database, error) {
	d := Database{Endpoint: cmp.Or(flag.Endpoint, os.Getenv(config.DatabaseVariable))}
	folder := cmp.Or(flag.TLS, os.Getenv(config.CredentialsVariable))
	if folder != "" {
		d.TLS = credentials.In(folder)
	}
	if d.Endpoint != "" && (folder != "" || !strings.Contains(d.Endpoint, "ssl:")) {
		return d, nil
	}
	settings, err := f.Settings()
	if d.Endpoint != "" && errors.Is(err, fs.ErrNotExist) {
		settings, err = config.DefaultSettings(filepath.Dir(f.Config))
	}
	if err != nil {
		return Database{}, err
	}
	if folder == "" {
		d.TLS = credentials.Files(settings.PolicyTLS)
	}
	if endpoint, isDatabase := settings.PolicyDatabase(); d.Endpoint == "" && isDatabase {
		d.Endpoint = endpoint
	}
	return d, nil
}

// NamedDatabase is Database of a command that needs one.
func (f *Files) NamedDatabase(flag DatabaseFlag) (Database, error) {
	db, err := f.Database(flag)
	if err == nil && db.Endpoint == "" {
		err = fmt.Errorf("no policy database is named: --db ENDPOINT, %s, or the setting policy: "+
			"ovsdb:ENDPOINT; a policy in files is changed by changing the files", config.DatabaseVariable)
	}
	return db, err
}

// Check says what is missing.
func (d Database) Check() error {
	if d.TLS.IsZero() && strings.Contains(d.Endpoint, "ssl:") {
		return fmt.Errorf("--db %s: ssl: needs a certificate; name the folder that 'portcullis db "+
			"certificate' has made: --db-tls FOLDER, or %s, or the setting policy_tls", d.Endpoint,
			config.CredentialsVariable)
	}
	return nil
}

// LoadPolicy reads the policy at paths, or that of the database that the settings name there.
func LoadPolicy(s config.Settings, paths []string) (*policy.Policy, strictyaml.Warnings, error) {
	endpoint, isDatabase := s.PolicyDatabase()
	if !isDatabase || len(paths) != 1 || paths[0] != s.Policy {
		return policydir.LoadAll(paths)
	}
	var p *policy.Policy
	db := Database{Endpoint: endpoint, TLS: credentials.Files(s.PolicyTLS)}
	err := WithDatabase(context.Background(), db, func(_ context.Context,
		c *policydb.Client) (err error) {
		p, err = c.Valid()
		return err
	})
	return p, nil, err
}

// WithDatabase has something done with a policy database that answers. The time to reach it is
// AskTimeout.
func WithDatabase(ctx context.Context, db Database,
	do func(context.Context, *policydb.Client) error) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := db.Check(); err != nil {
		return err
	}
	c, err := policydb.New(policydb.Options{Endpoint: db.Endpoint, TLS: db.TLS.Config(),
		Patience: AskTimeout / 4})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	err = reach(ctx, c, ended)
	if errors.Is(err, errSilent) {
		err = db.explain(ctx, err)
	}
	if err == nil {
		err = do(ctx, c)
	}
	cancel()
	return errors.Join(err, <-ended)
}

// errSilent says that no server has answered in time.
var errSilent = errors.New("the policy database does not answer")

// lookTime is how long servers may take to say how they are.
const lookTime = 3 * time.Second

// explain says of each server what is wrong with it; of one, what the client found is enough.
func (d Database) explain(ctx context.Context, err error) error {
	servers := strings.Split(d.Endpoint, ",")
	if len(servers) == 1 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if _, all := policyserver.Best(policyserver.Look(ctx, servers, d.TLS.Config())); all != nil {
		return fmt.Errorf("%w: %w", errSilent, all)
	}
	return err
}

// reach waits for the first rows.
func reach(ctx context.Context, c *policydb.Client, ended chan error) error {
	late := time.NewTimer(AskTimeout)
	defer late.Stop()
	for {
		if _, _, err := c.Policy(); !errors.Is(err, client.ErrNotConnected) {
			return nil
		}
		if why, isOther := errors.AsType[*policydb.SchemaError](c.LastError()); isOther {
			return why
		}
		select {
		case <-c.Changed():
		case err := <-ended:
			ended <- nil
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("%w: %w", errSilent, c.LastError())
		}
	}
}

// DatabaseFlag has the flags by which a command that works on files works on a database instead.
type DatabaseFlag struct {
	Endpoint, TLS string
	Server        ServerFlag
}

// AddTo gives a command the flags that name a policy database, or an API server before one.
func (d *DatabaseFlag) AddTo(cmd *cobra.Command) {
	d.AddDatabaseTo(cmd)
	d.Server.AddTo(cmd)
}

// AddDatabaseTo gives a command that works on the database itself its flags.
func (d *DatabaseFlag) AddDatabaseTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.Endpoint, "db", "", "the policy database: `ENDPOINT` is unix:/PATH, "+
		"tcp:HOST:PORT or ssl:HOST:PORT, several with commas; also by the variable "+
		config.DatabaseVariable+" (default: as in the settings)")
	cmd.Flags().StringVar(&d.TLS, "db-tls", "", "for ssl: the `FOLDER` with ca.pem, certificate.pem "+
		"and key.pem; also by the variable "+config.CredentialsVariable+
		" (default: the setting policy_tls)")
	_ = cmd.MarkFlagDirname("db-tls") // fails for a flag that is not there
}

// Add gives a command the flag, and has it do on where a database is named. check judges the
// arguments then.
func (d *DatabaseFlag) Add(cmd *cobra.Command, f *Files, check cobra.PositionalArgs,
	on func(cmd *cobra.Command, db Database, args []string) error) {
	d.AddTo(cmd)
	files, judge := cmd.RunE, cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		db, err := f.Store(*d)
		if errors.As(err, &serverError{}) || err == nil && db.Endpoint != "" {
			return check(cmd, args)
		}
		return judge(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		db, err := f.Store(*d)
		switch {
		case errors.As(err, &serverError{}):
			return Outcome(err)
		case err == nil && db.Endpoint != "":
			return Outcome(on(cmd, db, args))
		}
		return files(cmd, args) // it tells of the settings, too
	}
}
