package fleet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The commands db init, db run and db status: the policy database is stock ovsdb-server, and nobody
// has to know its options.

// The files of a policy database in its folder.
const (
	policyFile  = "portcullis.db"
	statusFile  = "portcullis-status.db"
	listenFile  = "listen" // a line for each way in, as ovsdb-server(1) has them for --remote
	controlFile = "ovsdb-server.ctl"
)

// NewDB makes the command db.
func NewDB(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Make and run the policy database of several hosts",
		Long: "A policy database holds the policy of several hosts: they follow it with the setting " +
			"policy: ovsdb:ENDPOINT, and 'portcullis apply --db' changes it.\n" +
			"It is served by Open vSwitch's own ovsdb-server, as a cluster of one member.",
		Example: "  portcullis db init --dir /var/lib/portcullis/db\n" +
			"  portcullis db run --dir /var/lib/portcullis/db",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error { return cmd.Help() }),
	}
	cmd.AddCommand(newInit(), newRun(), newStatus(f))
	return cmd
}

func newInit() *cobra.Command {
	var dir, member string
	var listen []string
	cmd := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Make an empty policy database",
		Long: "Init makes the files of an empty policy database, and says how to run it. Nothing that " +
			"is there is overwritten.\n\nExit codes: 0 made; 1 not.",
		Example: "  portcullis db init --dir /var/lib/portcullis/db --listen ptcp:6641:192.0.2.1",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			dir, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			if err := initialise(dir, member, listen); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made: run it with 'portcullis db run --dir %s'; hosts "+
				"follow it with the setting\npolicy: ovsdb:%s\n", dir, endpoints(ways(dir, listen)))
			return nil
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the `FOLDER` of the database")
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "where it can be reached: `punix:PATH` or "+
		"ptcp:PORT:ADDRESS; may be repeated (default: punix:DIR/db.sock)")
	cmd.Flags().StringVar(&member, "cluster", "", "where other members reach this one: `ADDRESS:PORT` "+
		"(default: a socket in DIR, for one that stays alone)")
	_ = cmd.MarkFlagRequired("dir") // fails for a flag that is not there
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// ways are those in which a database is reached.
func ways(dir string, listen []string) []string {
	if len(listen) == 0 {
		return []string{"punix:" + filepath.Join(dir, "db.sock")}
	}
	return listen
}

// endpoints are what clients call ways in.
func endpoints(ways []string) string {
	out := make([]string, len(ways))
	for n, way := range ways {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(way, "p"), ":")
		if port, address, isBoth := strings.Cut(rest, ":"); kind == "tcp" && isBoth {
			rest = address + ":" + port
		}
		out[n] = kind + ":" + rest
	}
	return strings.Join(out, ",")
}

// badWay says why a text is no way in; "" = it is one.
func badWay(way string) string {
	kind, rest, _ := strings.Cut(way, ":")
	switch {
	case kind == "punix" && filepath.IsAbs(rest):
		return ""
	case kind == "ptcp" && rest != "":
		return ""
	}
	return "--listen " + wording.Quote(way) + ": must be punix:/PATH or ptcp:PORT:ADDRESS"
}

// initialise makes the files.
func initialise(dir, member string, listen []string) error {
	listen = ways(dir, listen)
	for _, way := range listen {
		if problem := badWay(way); problem != "" {
			return errors.New(problem)
		}
	}
	address := "unix:" + filepath.Join(dir, "raft.sock")
	if member != "" {
		address = "tcp:" + member
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, name := range []string{policyFile, statusFile, listenFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: nothing was made", filepath.Join(dir, name))
		}
	}
	if err := create(dir, policyFile, policydb.Schema, "create-cluster", address); err != nil {
		return err
	}
	if err := create(dir, statusFile, policydb.StatusSchema, "create", ""); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, listenFile), []byte(strings.Join(listen, "\n")+"\n"),
		0o640)
}

// create has ovsdb-tool make a database of a schema.
func create(dir, file string, schema []byte, how, address string) error {
	text := filepath.Join(dir, file+".ovsschema")
	if err := os.WriteFile(text, schema, 0o640); err != nil {
		return err
	}
	args := []string{how, filepath.Join(dir, file), text}
	if address != "" {
		args = append(args, address)
	}
	out, err := exec.Command("ovsdb-tool", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ovsdb-tool %s: %w: %s", how, err, bytes.TrimSpace(out))
	}
	return nil
}

func newRun() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "run --dir DIR",
		Short: "Serve a policy database until a signal",
		Long: "Run becomes ovsdb-server with the options that a policy database needs. SIGTERM ends " +
			"it; every change that was acknowledged is on the disk.",
		Example: "  portcullis db run --dir /var/lib/portcullis/db",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(*cobra.Command) error {
			dir, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			args, err := serverArgs(dir)
			if err != nil {
				return err
			}
			program, err := exec.LookPath("ovsdb-server")
			if err != nil {
				return fmt.Errorf("ovsdb-server is needed, of the package openvswitch-common: %w", err)
			}
			return syscall.Exec(program, args, os.Environ())
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the `FOLDER` of the database")
	_ = cmd.MarkFlagRequired("dir") // fails for a flag that is not there
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// serverArgs is the command line of ovsdb-server.
func serverArgs(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, listenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no policy database in %s: make one with 'portcullis db init "+
			"--dir %s'", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	args := []string{"ovsdb-server", filepath.Join(dir, policyFile), filepath.Join(dir, statusFile),
		"--unixctl=" + filepath.Join(dir, controlFile), "-vconsole:warn"}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if problem := badWay(lines.Text()); problem != "" {
			return nil, fmt.Errorf("%s: %s", filepath.Join(dir, listenFile), problem)
		}
		args = append(args, "--remote="+lines.Text())
	}
	return args, lines.Err()
}

// databaseStatus is what db status answers as JSON.
type databaseStatus struct {
	Endpoint   string    `json:"endpoint"`
	Generation int       `json:"generation"` // 0 = nobody has written yet
	ChangedAt  time.Time `json:"changed_at,omitzero"`
	ChangedBy  string    `json:"changed_by,omitempty"`
	Groups     int       `json:"groups"`
	Instances  int       `json:"instances"`
}

func newStatus(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	out := term.Table
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Ask a policy database how things stand",
		Long:    "Status says which generation a policy database holds.\n\nExit codes: 0 it answers; 1 not.",
		Example: "  portcullis db status --db unix:/var/lib/portcullis/db/db.sock",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			db, err := f.Database(database)
			if err != nil {
				return err
			}
			if db.Endpoint == "" {
				return errors.New("no policy database is named: --db ENDPOINT")
			}
			return cli.WithDatabase(cmd.Context(), db, func(_ context.Context,
				c *policydb.Client) error {
				s, err := statusOf(db.Endpoint, c)
				if err != nil {
					return err
				}
				return s.print(cmd, out)
			})
		}),
	}
	database.AddTo(cmd)
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

func statusOf(endpoint string, c *policydb.Client) (databaseStatus, error) {
	s := databaseStatus{Endpoint: endpoint}
	p, generation, err := c.Policy()
	if err != nil {
		return s, err
	}
	s.Generation, s.Groups, s.Instances = generation, len(p.Groups), len(p.Instances)
	history, err := c.History()
	if err == nil && len(history) > 0 {
		s.ChangedAt, s.ChangedBy = history[0].At, history[0].By
	}
	return s, err
}

func (s databaseStatus) print(cmd *cobra.Command, out term.Format) error {
	w := cmd.OutOrStdout()
	if out == term.JSON {
		return term.PrintJSON(w, s)
	}
	if s.Generation == 0 {
		fmt.Fprintln(w, "empty: nobody has written a policy yet")
		return nil
	}
	_, err := fmt.Fprintf(w, "generation %d: %s, %s; changed %s by %s\n", s.Generation,
		wording.Count(s.Groups, "group"), wording.Count(s.Instances, "instance"),
		s.ChangedAt.Local().Format(time.DateTime), s.ChangedBy)
	return err
}
