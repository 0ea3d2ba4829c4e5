package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/apiclient"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// Where a policy is that commands read and change: in a database, or behind an API server. All
// commands of several hosts work on a Store. Invariant: what is named on the command line counts
// before the environment, that before the context which was chosen, and that before the settings.

// Store is a policy of several hosts.
type Store interface {
	Policy() (p *policy.Policy, generation int, err error)
	// Part returns at least the part of the present policy that is asked for.
	Part(asked excerpt.Asked) (excerpt.Part, error)
	Formerly(generation int) (*policy.Policy, error)
	History() ([]policydb.Entry, error)
	Plan(change policydb.Change, edit policydb.Edit) (int, error)
	Change(ctx context.Context, change policydb.Change, edit policydb.Edit) (int, error)
	OnTrial() (*policydb.Trial, error)
	Confirm(ctx context.Context, generation int) (int, error)
	Abandon(ctx context.Context, change policydb.Change, generation int, why string) (int, error)
	// Hosts says how hosts stand to the present generation, or after at most so long a wait to one.
	Hosts(ctx context.Context, generation int, wait time.Duration) (statusdb.Fleet, error)
	Tokens() ([]apiserver.Token, error)
	CreateToken(ctx context.Context, want apiserver.NewToken) (apiserver.MadeToken, error)
	RevokeToken(ctx context.Context, id string) error
}

// The variables that name a server where --server does not.
const (
	ServerVariable   = "PORTCULLIS_SERVER"
	TokenVariable    = "PORTCULLIS_TOKEN"
	serverCAVariable = "PORTCULLIS_SERVER_CA"
	contextVariable  = "PORTCULLIS_CONTEXT"
)

// ServerFlag has the flags that name an API server.
type ServerFlag struct{ URL, Token, CA, Context string }

// AddTo gives a command the flags.
func (s *ServerFlag) AddTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.URL, "server", "", "the API server: `URL` is https://HOST[:PORT] or "+
		"unix:/PATH; also by the variable "+ServerVariable)
	cmd.Flags().StringVar(&s.Token, "token", "", "the `TOKEN` for the server; rather by the variable "+
		TokenVariable+", or a context")
	cmd.Flags().StringVar(&s.CA, "server-ca", "", "the authorities of the server's certificate: `FILE` "+
		"of PEM; also by the variable "+serverCAVariable)
	cmd.Flags().StringVar(&s.Context, "context", "", "the server and token of this `NAME` that "+
		"'portcullis context' keeps; also by the variable "+contextVariable)
	_ = cmd.MarkFlagFilename("server-ca", "pem", "crt") // fails for a flag that is not there
}

// serverError is one of a server that somebody has named: files are not what was meant.
type serverError struct{ error }

// named returns the server that the flags, the environment or a context name; nil = none does.
func (s *ServerFlag) named() (*apiclient.Options, error) {
	url := cmp.Or(s.URL, os.Getenv(ServerVariable))
	name := cmp.Or(s.Context, os.Getenv(contextVariable))
	if s.URL != "" && s.Context != "" {
		return nil, serverError{errors.New("--server and --context name two servers: give one")}
	}
	o := &apiclient.Options{URL: url, FirstTime: AskTimeout}
	if s.Context != "" || url == "" {
		all, err := apiclient.ReadContexts(apiclient.ContextsFile())
		if err != nil {
			return nil, serverError{err}
		}
		found, err := all.Find(name)
		if err != nil {
			return nil, serverError{err}
		}
		if found == nil {
			return nil, nil //nolint:nilnil // nobody has named one
		}
		o.URL, o.Token, o.CA = found.Server, found.Token, found.CA
	}
	o.Token = cmp.Or(s.Token, os.Getenv(TokenVariable), o.Token)
	o.CA = cmp.Or(s.CA, os.Getenv(serverCAVariable), o.CA)
	return o, nil
}

// Store returns where the policy is that a command is to work on; with no endpoint, in files.
func (f *Files) Store(flag DatabaseFlag) (Database, error) {
	isServer := flag.Server.URL != "" || flag.Server.Context != ""
	switch {
	case isServer && flag.Endpoint != "":
		return Database{}, serverError{errors.New("--db and --server are two places: give one")}
	case flag.Endpoint != "":
		return f.Database(flag)
	}
	isDatabase := os.Getenv(config.DatabaseVariable) != "" && os.Getenv(ServerVariable) == ""
	if !isServer && isDatabase {
		return f.Database(flag)
	}
	server, err := flag.Server.named()
	if err != nil {
		return Database{}, err
	}
	if server != nil {
		return Database{Endpoint: server.URL, Server: server}, nil
	}
	return f.Database(flag)
}

// NamedStore is Store of a command that needs one.
func (f *Files) NamedStore(flag DatabaseFlag) (Database, error) {
	db, err := f.Store(flag)
	if err == nil && db.Endpoint == "" {
		_, err = f.NamedDatabase(flag)
	}
	return db, err
}

// WithStore has something done with a policy that can be reached.
func WithStore(ctx context.Context, db Database, do func(context.Context, Store) error) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if db.Server == nil {
		return WithDatabase(ctx, db, func(ctx context.Context, c *policydb.Client) error {
			return do(ctx, ownStore{c, statusdb.Source{Endpoint: db.Endpoint, TLS: db.TLS.Config()}})
		})
	}
	c, err := apiclient.New(ctx, *db.Server)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, serverStore{c})
}

// WithServer has something asked of the API server that the flags of the command name.
func (f *Files) WithServer(ctx context.Context,
	do func(context.Context, *apiclient.Client) error) error {
	options, err := f.Server.named()
	if err != nil {
		return err
	}
	c, err := apiclient.New(ctx, *options)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}

// ownStore is a database.
type ownStore struct {
	*policydb.Client
	source statusdb.Source
}

// Part is all of the policy, which is here already.
func (s ownStore) Part(excerpt.Asked) (excerpt.Part, error) {
	p, generation, err := s.Policy()
	return excerpt.Part{Policy: p, Generation: generation}, err
}

// Hosts asks the status database.
func (s ownStore) Hosts(ctx context.Context, generation int,
	wait time.Duration) (statusdb.Fleet, error) {
	if wait == 0 {
		return statusdb.Look(ctx, s.source, s.Client)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return statusdb.Wait(ctx, s.source, s.Client, generation)
}

// Tokens are those of the database.
func (s ownStore) Tokens() ([]apiserver.Token, error) {
	list, err := s.Client.Tokens()
	out := make([]apiserver.Token, len(list))
	for n, t := range list {
		out[n] = apiserver.TokenOf(t)
	}
	return out, err
}

// CreateToken makes a token.
func (s ownStore) CreateToken(ctx context.Context, want apiserver.NewToken) (apiserver.MadeToken,
	error) {
	made, kept, err := want.Draw(Who(), time.Now())
	if err != nil {
		return made, err
	}
	return made, KeepToken(ctx, s.Client, kept)
}

// KeepToken keeps a new token in a database, if its project is there.
func KeepToken(ctx context.Context, c *policydb.Client, kept policydb.Token) error {
	p, _, err := c.Policy()
	if err != nil {
		return err
	}
	if kept.Project != "" {
		names := make([]string, 0, len(p.Projects))
		for _, one := range p.Projects {
			names = append(names, one.Name)
		}
		if !slices.Contains(names, kept.Project) {
			return fmt.Errorf("--project %s: there is no such project%s", kept.Project,
				wording.DidYouMean(kept.Project, names))
		}
	}
	return c.AddToken(ctx, kept)
}

// RevokeToken removes one.
func (s ownStore) RevokeToken(ctx context.Context, id string) error { return s.RemoveToken(ctx, id) }

// serverStore is an API server.
type serverStore struct{ *apiclient.Client }

// longestWait is what a server waits for at a time.
const longestWait = 30 * time.Second

// Hosts asks the server, which tells who is of one project how many, and not which.
func (s serverStore) Hosts(ctx context.Context, generation int,
	wait time.Duration) (statusdb.Fleet, error) {
	end := time.Now().Add(wait)
	if wait == 0 && s.Who.Project == "" {
		return s.Fleet(ctx)
	}
	if wait == 0 {
		var err error
		if _, generation, err = s.Policy(); err != nil {
			return statusdb.Fleet{}, err
		}
	}
	for {
		got, err := s.Status(ctx, generation, min(longestWait, max(0, time.Until(end))))
		switch {
		case err != nil:
			return statusdb.Fleet{}, err
		case !got.InForce && time.Now().Before(end):
		case s.Who.Project == "":
			return s.Fleet(ctx)
		default:
			return unnamed(got), nil
		}
	}
}

// unnamed are hosts whose names are not told.
func unnamed(s apiserver.Status) statusdb.Fleet {
	out := statusdb.Fleet{Generation: s.Generation, Hosts: []statusdb.Of{}}
	for n := range s.Hosts {
		one := statusdb.Of{PortsPlaced: 1, Standing: statusdb.InTime}
		if one.Name = "one of yours"; n >= s.Reached {
			one.Standing, one.Why = statusdb.Late, "which one is told to operators"
		}
		out.Hosts = append(out.Hosts, one)
	}
	return out
}

// ofServer reads the policy of the API server that is named; nil = none is. Nothing is known of the
// hosts that it is for.
func (f *Files) ofServer(cmd *cobra.Command) (*Loaded, error) {
	options, err := f.Server.named()
	if err != nil || options == nil {
		return nil, err
	}
	out := &Loaded{IsBare: true}
	if out.Settings, err = config.DefaultSettings(filepath.Dir(f.Config)); err != nil {
		return nil, err
	}
	err = WithStore(cmd.Context(), Database{Endpoint: options.URL, Server: options},
		func(_ context.Context, c Store) (err error) {
			out.Policy, _, err = c.Policy()
			return err
		})
	return out, err
}

// HasServer says whether a command that has the flags of a server is to ask one, or to tell what is
// wrong with what names it.
func (f *Files) HasServer() bool {
	options, err := f.Server.named()
	return options != nil || err != nil
}
