package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/cmd/portcullis/ask"
	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/controller/hostnet"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/ovsdb/bridge"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The command run: it wires the parts of the daemon together and runs each as a task.

// memoryPercent is how much garbage there may be, in percent of what is in use, before the
// collector runs: half of what Go allows, because the daemon is idle for most of its life. Until
// it has started, which is work, it is what Go allows. GOGC overrides both.
const memoryPercent = 50

// NewRun makes the command; version is what it tells of itself.
func NewRun(f *cli.Files, version string) *cobra.Command {
	var profiled bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: "Run keeps the bridge equal to the policy until SIGTERM or SIGINT; the flows stay " +
			"then. SIGHUP reads the policy again, which also\n" +
			"happens by itself when its files change. A policy that is not valid is refused: the " +
			"last valid one stays in force, and after a start the last\n" +
			"that is kept in state_dir; if there is none, or it is damaged, the daemon ends " +
			"(exit code 1). Settings that are not valid end it always.\n" +
			"A bridge has one daemon: a second one waits some seconds for the first to end, and " +
			"ends with an error then.",
		Example: "  portcullis run\n" +
			"  portcullis run --config /etc/portcullis/br-ext.yaml",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			settings, err := f.Settings()
			if err != nil {
				return err
			}
			handler := api.Server.Handler
			if profiled {
				handler = func(s api.Server) http.Handler { return withProfiles(s.Handler()) }
			}
			return runDaemon(cmd.Context(), settings, version, handler, cmd.ErrOrStderr())
		}),
	}
	cmd.Flags().BoolVar(&profiled, "pprof", false,
		"show profiles of the daemon itself on the API's socket, under /debug/pprof/")
	return cmd
}

// errStopped ends all tasks without being a failure.
var errStopped = errors.New("stopped by a signal")

// task is one part of the daemon. It works until ctx ends, and returns nil then; any error ends all
// tasks.
type task struct {
	name string
	run  func(context.Context) error
}

// runDaemon wires the parts together and runs them until a signal. handler makes what is served on
// the API's socket.
func runDaemon(ctx context.Context, s config.Settings, version string,
	handler func(api.Server) http.Handler, stderr io.Writer) error {
	log := cli.NewLog(s.Log, stderr)
	database, err := newDatabase(s, log)
	if err != nil {
		return err
	}
	files := newPolicies(s, log.WithField("task", "policy"))
	source, keeping, trials := newSource(s, files, log.WithField("task", "history"))
	sw := ofswitch.New(ofswitch.Options{Target: s.OpenFlow, DatapathType: s.DatapathType,
		Database: s.OVSDB, Log: log.WithField("task", "switch")})
	latencies := telemetry.NewLatencies()
	ctl := agent.New(agent.Options{Bridge: s.Bridge, Uplinks: s.Uplinks, Site: s.Site(),
		OthersPlug: s.IsPluggedByOthers,
		HostGiven:  s.HostGiven, Source: s.Policy, Policy: source,
		Devices: hostnet.Devices, Database: database, Switch: sw, Announcer: sw, Meters: sw,
		Conntrack: sw, Version: sw.Version, Observe: latencies.Observe,
		Log: log.WithField("task", "controller")})
	counters := telemetry.NewCounterReader(sw, ctl.Hub(), log.WithField("task", "controller"))
	feed := &telemetry.Feed{}
	tasks := append(observers(ctl, sw, feed, log), task{"database", database.Run},
		task{"policy", files.Run}, task{"controller", ctl.Run}, task{"counters", counters.Run})
	tasks = append(tasks, fleetTasks(s, ctl.Hub(), version, log)...)
	services, err := listen(s, api.Server{Agent: ctl, Counters: counters, Conntrack: sw,
		Feed: feed, Trials: trials, Devices: hostnet.Devices, Explain: ask.Explain,
		Tracer: ask.Tracer(s)}, handler,
		telemetry.Metrics(version, ctl.Hub(), counters, latencies))
	if err != nil {
		return err
	}
	log.WithFields(logrus.Fields{"version": version, "bridge": s.Bridge,
		"host": s.Host}).Info("starting")
	defer log.Info("stopped; the flows stay")
	return runTasks(ctx, slices.Concat(tasks, afterStart(ctl.Hub(), keeping), services))
}

// startTime is how long tasks that can wait do so at a start.
const startTime = 5 * time.Second

// afterStart has tasks begin when the switch has its first program, for which the processors and
// the disk are needed till then, or when that takes long.
func afterStart(hub *agent.Hub, tasks []task) []task {
	for i, late := range tasks {
		tasks[i].run = func(ctx context.Context) error {
			start, stop := context.WithTimeout(ctx, startTime)
			defer stop()
			_ = awaitStart(start, hub)
			return late.run(ctx)
		}
	}
	return tasks
}

// awaitStart waits until the switch has its first program. The error is ctx's.
func awaitStart(ctx context.Context, hub *agent.Hub) error {
	_, err := hub.Await(ctx, func(s *agent.Snapshot) bool { return s.State != agent.StateStarting })
	return err
}

// observers are the tasks that follow the loop and the switch, and tell of them.
func observers(ctl *agent.Agent, sw *ofswitch.Switch, feed *telemetry.Feed,
	log *logrus.Logger) []task {
	hub := ctl.Hub()
	return []task{
		{"signals", func(ctx context.Context) error { return obeySignals(ctx, ctl) }},
		{"memory", func(ctx context.Context) error { return freeMemory(ctx, hub) }},
		{"denied", func(ctx context.Context) error {
			return telemetry.HearDenied(ctx, sw, hub, feed, log.WithField("task", "denied"))
		}},
		{"admitted", func(ctx context.Context) error {
			return telemetry.HearAdmitted(ctx, sw, hub, feed, log.WithField("task", "admitted"))
		}},
		{"systemd", func(ctx context.Context) error { return notifySystemd(ctx, hub) }},
		{"watchdog", func(ctx context.Context) error { return feedWatchdog(ctx, ctl) }},
	}
}

// fleetTasks are those of a host whose policy is in a database: it says there how it stands.
func fleetTasks(s config.Settings, hub *agent.Hub, version string, log *logrus.Logger) []task {
	endpoint, ok := s.PolicyDatabase()
	if !ok {
		return nil
	}
	writer := statusdb.NewWriter(statusdb.Options{Endpoint: endpoint, Host: s.Host,
		TLS: credentials.Files(s.PolicyTLS).Config(), Log: log.WithField("task", "host status")})
	return []task{{"host status", writer.Run},
		{"reports", func(ctx context.Context) error {
			return telemetry.ReportToFleet(ctx, hub, writer,
				telemetry.Self{Version: version, API: s.APIListen})
		}}}
}

// policies are files, or a database, that are read and followed.
type policies interface {
	agent.Policy
	Run(ctx context.Context) error
}

// keptDatabase is the file of the state's folder that has what was read of a policy database.
const keptDatabase = "database"

// newPolicies is where the policy is written down.
func newPolicies(s config.Settings, log *logrus.Entry) policies {
	if endpoint, ok := s.PolicyDatabase(); ok {
		return policydb.NewFollower(policydb.FollowOptions{Endpoint: endpoint,
			TLS:  credentials.Files(s.PolicyTLS).Config(),
			Keep: filepath.Join(s.StateDir, keptDatabase), Log: log})
	}
	return policydir.NewFiles(s.Policy, log)
}

// newSource is where the loop has its policy from, and the tasks that belong to it: the files, and
// if the settings have it so the policies that were in force. A database has a history of its own.
func newSource(s config.Settings, written policies, log *logrus.Entry) (agent.Policy,
	[]task, api.Trials) {
	files, isFiles := written.(generation.Files)
	if s.History.Generations == 0 || !isFiles {
		return written, nil, nil
	}
	store := history.Open(s.StateDir, s.Bridge, history.Bounds{
		Generations: s.History.Generations, Bytes: int64(s.History.Megabytes) << 20})
	source := generation.New(generation.Options{Files: files, Store: store, Policy: s.Policy,
		Log: log})
	return source, []task{{"history", source.Run}}, source
}

// newDatabase is the client of the bridge's database, which says there who this daemon is.
func newDatabase(s config.Settings, log *logrus.Logger) (*bridge.Client, error) {
	return bridge.New(bridge.Options{
		Endpoint: s.OVSDB, Bridge: s.Bridge, DatapathType: s.DatapathType,
		Daemon: fmt.Sprintf("pid %d on %s, API %s", os.Getpid(), s.Host, s.API),
		Log:    log.WithField("task", "database"),
	})
}

// runTasks runs tasks until the first error, or ctx ends.
func runTasks(ctx context.Context, tasks []task) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		group.Go(func() error {
			if err := t.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// listen opens the API's socket and, if wanted, the ports of the API server and of metrics.
func listen(s config.Settings, answers api.Server, handler func(api.Server) http.Handler,
	metrics http.Handler) ([]task, error) {
	socket, err := api.Listen(strings.TrimPrefix(s.API, "unix:"))
	if err != nil {
		return nil, err
	}
	tasks := []task{{"api", func(ctx context.Context) error {
		return api.Serve(ctx, socket, handler(answers))
	}}}
	if s.APIListen != "" {
		port, err := api.ListenRemote(s.APIListen, credentials.Files(s.PolicyTLS).Asked())
		if err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		tasks = append(tasks, task{"remote api", func(ctx context.Context) error {
			return api.Serve(ctx, port, answers.Remote())
		}})
	}
	if s.Metrics == "" {
		return tasks, nil
	}
	port, err := net.Listen("tcp", s.Metrics)
	if err != nil {
		return nil, errors.Join(metricsError(s.Metrics, err), socket.Close())
	}
	return append(tasks, task{"metrics", func(ctx context.Context) error {
		return api.Serve(ctx, port, metrics)
	}}), nil
}

// metricsError says what to do about a port that cannot be listened at.
func metricsError(at string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("metrics: %s is taken, perhaps by the daemon of another bridge; "+
			"give this one another port by the setting metrics, or none by \"\": %w", at, err)
	}
	return fmt.Errorf("metrics: %w", err)
}

// stopNoticeTime is how long a stop waits for somebody to hear of it.
const stopNoticeTime = time.Second

// obeySignals returns errStopped at SIGTERM or SIGINT, and has the policy read again at SIGHUP.
func obeySignals(ctx context.Context, ctl *agent.Agent) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if s == syscall.SIGHUP {
				ctl.Reload()
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, stopNoticeTime)
			defer cancel()
			_ = notify(ctx, daemon.SdNotifyStopping) // it stops in any case
			return errStopped
		}
	}
}

// freeMemory gives back what is free once the daemon has started: a start reads every file and
// compiles every flow, which leaves several times more garbage than the daemon will ever need
// again.
func freeMemory(ctx context.Context, hub *agent.Hub) error {
	if err := awaitStart(ctx, hub); err != nil {
		return nil // it stops
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(memoryPercent)
	}
	debug.FreeOSMemory()
	return nil
}

// withProfiles adds what net/http/pprof shows to the daemon's API, under /debug/pprof/.
func withProfiles(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("/debug/pprof/", pprof.Index) // heap, goroutine, allocs ...
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
