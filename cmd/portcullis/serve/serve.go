package serve

import (
	"errors"
	"fmt"
	"net"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/cmd/portcullis/ask"
	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/console"
	"github.com/portcullis/portcullis/controller/signin"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/newest"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The command serve: the API of a policy database, until a signal.

// options are the command line.
type options struct {
	database       cli.DatabaseFlag
	listen, socket string
	tls            apiserver.TLSFiles
	hostTLS        string
	people         people
	exoscale       exoscaleFlags
	watching       watching
	log            config.Log
}

// NewServe makes the command.
func NewServe(f *cli.Files) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the policy database by HTTP, to people and programs",
		Long: "Serve answers the API of a policy database until SIGTERM or SIGINT: groups, instances, " +
			"changes and questions below /v1, described at /openapi.json.\n" +
			"Who asks shows a token ('portcullis token create'), or is root or of the group portcullis " +
			"at the socket. Without TLS it listens on\nloopback only. It keeps no state: several may run " +
			"before one database.\n\nExit codes: 0 stopped by a signal; 1 an error.",
		Example: "  portcullis serve --db unix:/var/lib/portcullis/db/db.sock --listen 127.0.0.1:8080\n" +
			"  portcullis serve --listen 0.0.0.0:8443 --tls-cert api.pem --tls-key api.key",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if err := readSettings(cmd); err != nil {
				return err
			}
			db, err := f.Database(o.database)
			if err != nil {
				return err
			}
			if db.Endpoint == "" {
				return errors.New("no policy database is named: --db ENDPOINT, or " +
					config.DatabaseVariable)
			}
			return o.run(cmd, db)
		}),
	}
	o.addTo(cmd)
	return cmd
}

// addTo adds the options of the command, in the order of their help.
func (o *options) addTo(cmd *cobra.Command) {
	o.database.AddDatabaseTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`ADDRESS:PORT`; \"\" = at the socket only")
	flags.StringVar(&o.socket, "socket", "/run/portcullis/server.sock",
		"the socket for root and the group portcullis: `PATH`; \"\" = none")
	flags.StringVar(&o.tls.Certificate, "tls-cert", "", "the certificate of this server, with those of its "+
		"authorities: `FILE` of PEM")
	flags.StringVar(&o.tls.Key, "tls-key", "", "the key of the certificate: `FILE` of PEM")
	flags.StringVar(&o.tls.ClientCA, "client-ca", "", "accept certificates of clients that these "+
		"authorities have signed: `FILE` of PEM; 'token create --certificate' says what they may")
	flags.StringVar(&o.hostTLS, "host-tls", "", "the `FOLDER` with the certificate of a server of the "+
		"policy database, by which hosts know who\nasks for their connections and counters")
	o.people.addTo(cmd)
	o.watching.addTo(cmd)
	addSettings(cmd)
	o.exoscale.addTo(flags)
	flags.StringVar(&o.log.Level, "log-level", "info", "`LEVEL`: error, warning, info or debug")
	flags.StringVar(&o.log.Format, "log-format", "text", "`FORMAT`: text or json")
}

// server makes the server, with all that answers below it.
func (o *options) server(cmd *cobra.Command, db cli.Database, client *policydb.Client,
	log *logrus.Logger) (*apiserver.Server, error) {
	server := &apiserver.Server{DB: client, Explain: ask.Explain, Log: log.WithField("task", "api"),
		Fleet:  statusdb.Source{Endpoint: db.Endpoint, TLS: db.TLS.Config()},
		Newest: newest.New(db.Endpoint, db.TLS.Config(), client).Generation}
	if o.hostTLS != "" {
		server.HostTLS = credentials.In(o.hostTLS)
	}
	if err := o.people.attach(cmd, server, log.WithField("task", "sign in")); err != nil {
		return nil, err
	}
	if err := o.exoscale.mount(server, log); err != nil {
		return nil, err
	}
	return server, mountConsole(server)
}

// run serves until a signal.
func (o *options) run(cmd *cobra.Command, db cli.Database) error {
	log := cli.NewLog(o.log, cmd.ErrOrStderr())
	client, err := policydb.New(policydb.Options{Endpoint: db.Endpoint, TLS: db.TLS.Config(),
		Patience: cli.AskTimeout / 4, Log: log.WithField("task", "database")})
	if err != nil {
		return err
	}
	server, err := o.server(cmd, db, client, log)
	if err != nil {
		return err
	}
	metrics, err := o.watching.attach(server)
	if err != nil {
		return err
	}
	listeners, err := o.listeners()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return client.Run(ctx) })
	group.Go(func() error { return server.Follow(ctx) })
	if metrics != nil {
		group.Go(func() error { return metrics(ctx) })
	}
	for _, l := range listeners {
		log.WithFields(logrus.Fields{"at": l.Addr().String(), "database": db.Endpoint}).Info("serving")
		group.Go(func() error { return server.Serve(ctx, l) })
	}
	return group.Wait()
}

// mountConsole has a server answer browsers, too. Its page says where people sign in.
func mountConsole(s *apiserver.Server) (err error) {
	var o console.Options
	if s.SignIn != nil {
		o.SignIn = signin.LoginPath
	}
	s.Console, err = console.Handler(o)
	return err
}

// listeners opens what is listened at.
func (o *options) listeners() (out []net.Listener, err error) {
	defer func() {
		for _, l := range out {
			if err != nil {
				_ = l.Close()
			}
		}
	}()
	if o.listen == "" && o.socket == "" {
		return nil, errors.New("--listen and --socket are both empty: nobody could ask")
	}
	if o.listen != "" {
		l, err := o.listenTCP()
		if err != nil {
			return out, err
		}
		out = append(out, l)
	}
	if o.socket != "" {
		l, err := apiserver.ListenSocket(o.socket)
		if err != nil {
			return out, err
		}
		out = append(out, l)
	}
	return out, nil
}

// listenTCP opens the port, by TLS or on loopback.
func (o *options) listenTCP() (net.Listener, error) {
	switch {
	case (o.tls.Certificate == "") != (o.tls.Key == ""):
		return nil, errors.New("--tls-cert and --tls-key belong together: give both, or none")
	case o.tls.Certificate != "":
		return apiserver.ListenTLS(o.listen, o.tls)
	case o.tls.ClientCA != "":
		return nil, errors.New("--client-ca: certificates of clients come by TLS: it needs --tls-cert " +
			"and --tls-key")
	}
	if err := onLoopback(o.listen); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return l, nil
}

// onLoopback refuses an address that others can reach.
func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen %s: must be ADDRESS:PORT: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s: others can reach it, and would send their tokens in the open: give "+
		"--tls-cert and --tls-key, or listen at 127.0.0.1 behind a proxy that has them", address)
}
