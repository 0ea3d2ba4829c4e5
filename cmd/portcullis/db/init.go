package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The commands db init, join and relay: they make the folder of a server.

// making is their command line.
type making struct {
	dir             folderFlag
	options         policyserver.Options
	listen, writers []string
	source          string
	isRun           bool
}

func newInit() *cobra.Command {
	m := &making{}
	cmd := m.command("init --dir DIR", "Make an empty policy database",
		"Init makes the files of an empty policy database, and says how to run it. Nothing that is "+
			"there is overwritten. With --cluster others can join it.\n\nWith --tls it makes two "+
			"authorities and this member's certificates: pssl: is then how hosts reach it, who can "+
			"read the policy and write nothing but their own status.",
		"  portcullis db init --dir /var/lib/portcullis/db --listen ptcp:6641:192.0.2.1\n"+
			"  portcullis db init --dir /var/lib/portcullis/db --tls --listen pssl:6641:192.0.2.1 "+
			"--cluster 192.0.2.1:6643",
		policyserver.Folder.Init)
	m.addCluster(cmd)
	m.addWriters(cmd)
	cmd.Flags().BoolVar(&m.options.Authorities, "tls", false,
		"make certificates, and use them for pssl: and between members")
	cmd.Flags().StringVar(&m.options.Name, "name", "",
		"the name in this member's certificate (default: member-HOSTNAME)")
	cmd.Flags().StringArrayVar(&m.options.Addresses, "address", nil,
		"a further `ADDRESS` or name by which the member is called, for its certificate; may be "+
			"repeated")
	cmd.Flags().DurationVar(&m.options.ElectionTimer, "election-timer", time.Second,
		"after how long a silent leader is replaced; 5s from 50,000 ports on")
	cmd.Flags().StringVar(&m.options.From, "from", "",
		"begin with what a `FILE` holds: a backup, or portcullis.db of a member that is left")
	return cmd
}

func newJoin() *cobra.Command {
	m := &making{}
	cmd := m.command("join --dir DIR --cluster ADDRESS:PORT --remote ADDRESS:PORT",
		"Make a further member of a policy database",
		"Join makes the files of a further member. It is one as soon as it runs and reaches one "+
			"that is. A database with TLS needs the folder that 'portcullis db certificate NAME "+
			"--for member' has made at the first member.",
		"  portcullis db join --dir /var/lib/portcullis/db --cluster 192.0.2.2:6643 "+
			"--remote 192.0.2.1:6643 --listen pssl:6641:192.0.2.2 --certificate /root/member-2",
		policyserver.Folder.Join)
	m.addCluster(cmd)
	m.addWriters(cmd)
	m.addCertificate(cmd)
	cmd.Flags().StringArrayVar(&m.options.Remotes, "remote", nil,
		"where a member of the cluster is: `ADDRESS:PORT` of its --cluster; may be repeated")
	for _, name := range []string{"cluster", "remote"} {
		_ = cmd.MarkFlagRequired(name) // fails for a flag that is not there
	}
	return cmd
}

func newRelay() *cobra.Command {
	m := &making{}
	cmd := m.command("relay --dir DIR --source ENDPOINT",
		"Make a server that passes a policy database on to many hosts",
		"Relay makes the files of a server that reads a policy database and is read by hosts, which "+
			"spares the members 92 % of their work. It loses nothing when it is lost.",
		"  portcullis db relay --dir /var/lib/portcullis/relay --listen pssl:6641:192.0.2.9 "+
			"--source ssl:192.0.2.1:6641,ssl:192.0.2.2:6641 --certificate /root/relay-1",
		policyserver.Folder.Relay)
	m.addCertificate(cmd)
	cmd.Flags().StringVar(&m.source, "source", "",
		"the members: `ENDPOINT`, several with commas")
	_ = cmd.MarkFlagRequired("source") // fails for a flag that is not there
	return cmd
}

// command makes one of the three.
func (m *making) command(use, short, long, example string,
	make func(policyserver.Folder, context.Context, policyserver.Options) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs,
		Long: long + "\n\nExit codes: 0 made; 1 not.",
		RunE: cli.Action(func(cmd *cobra.Command) error {
			folder, err := m.dir.folder()
			if err == nil {
				err = m.complete()
			}
			if err == nil {
				err = make(folder, contextOf(cmd), m.options)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made: run it with 'portcullis db run --dir %s'; hosts "+
				"follow it with the setting\npolicy: ovsdb:%s\n", folder,
				m.options.Endpoints(folder))
			if !m.isRun {
				return nil
			}
			return serve(cmd, folder)
		}),
	}
	m.dir.add(cmd)
	cmd.Flags().StringArrayVar(&m.listen, "listen", nil, "where it can be reached, beside the socket "+
		"DIR/db.sock: `punix:PATH` or ptcp:PORT:ADDRESS, where whoever comes can write, or "+
		"pssl:PORT:ADDRESS, for hosts; may be repeated")
	cmd.Flags().BoolVar(&m.isRun, "run", false, "serve at once, as 'portcullis db run' does")
	return cmd
}

func (m *making) addCluster(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.options.Cluster, "cluster", "", "where other members reach this one: "+
		"`ADDRESS:PORT` (default: nowhere; it stays alone)")
}

func (m *making) addWriters(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&m.writers, "writers", nil, "where writers reach it with a certificate "+
		"of theirs: `pssl:PORT:ADDRESS`; may be repeated")
}

func (m *making) addCertificate(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.options.Certificate, "certificate", "",
		"the `FOLDER` that 'portcullis db certificate' has made for it")
	_ = cmd.MarkFlagDirname("certificate") // fails for a flag that is not there
}

func (m *making) complete() (err error) {
	m.options.Server, err = policyserver.NewServer(m.listen, m.writers, m.source)
	if err != nil {
		return err
	}
	if m.options.From != "" {
		if m.options.From, err = filepath.Abs(m.options.From); err != nil {
			return err
		}
	}
	if m.options.ElectionTimer < 0 || m.options.ElectionTimer > time.Minute {
		return errors.New("--election-timer: must be a time from 1s to 1m")
	}
	if m.options.Authorities && m.options.Name == "" {
		var host string
		host, err = os.Hostname()
		m.options.Name = "member-" + host // a host of this name has a certificate of its own
	}
	return err
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
