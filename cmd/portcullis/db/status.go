package db

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The command db status: what a policy database holds, and how each of its servers is.

// databaseStatus is what it answers as JSON.
type databaseStatus struct {
	Endpoint   string               `json:"endpoint"`
	Generation int                  `json:"generation"` // 0 = nobody has written yet
	ChangedAt  time.Time            `json:"changed_at,omitzero"`
	ChangedBy  string               `json:"changed_by,omitempty"`
	Groups     int                  `json:"groups"`
	Instances  int                  `json:"instances"`
	Error      string               `json:"error,omitempty"` // why nothing of this is known
	Servers    []policyserver.State `json:"servers"`
}

func newStatus(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	out := term.Table
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a policy database how things stand",
		Long: "Status says which generation a policy database holds, and how each server that is " +
			"named is. Called where a member runs, by its socket, it tells of all members.\n\n" +
			"Exit codes: 0 every server that is named belongs to the majority of its cluster; 1 not.",
		Example: "  portcullis db status --db unix:/var/lib/portcullis/db/db.sock\n" +
			"  portcullis db status --db ssl:192.0.2.1:6641,ssl:192.0.2.2:6641,ssl:192.0.2.3:6641",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := databaseOf(f, database)
			if err != nil {
				return cli.Outcome(err)
			}
			s := newDatabaseStatus(cmd.Context(), db)
			if err := s.print(cmd, out); err != nil {
				return cli.Outcome(err)
			}
			return s.verdict()
		},
	}
	database.AddDatabaseTo(cmd)
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

// newDatabaseStatus asks every server how it is, and the best of them what it holds.
func newDatabaseStatus(ctx context.Context, db cli.Database) *databaseStatus {
	s := &databaseStatus{Endpoint: db.Endpoint, Servers: askServers(ctx, db)}
	best, err := policyserver.Best(s.Servers)
	if err == nil {
		db.Endpoint = best.Endpoint
		err = cli.WithDatabase(ctx, db, func(_ context.Context, c *policydb.Client) error {
			return s.read(c)
		})
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// read fills in what the policy says.
func (s *databaseStatus) read(c *policydb.Client) error {
	p, generation, err := c.Policy()
	if err != nil {
		return err
	}
	s.Generation, s.Groups, s.Instances = generation, len(p.Groups), len(p.Instances)
	history, err := c.History()
	if err == nil && len(history) > 0 {
		s.ChangedAt, s.ChangedBy = history[0].At, history[0].By
	}
	return err
}

// verdict is yes if all servers are as they should be.
func (s *databaseStatus) verdict() error {
	bad := slices.ContainsFunc(s.Servers, func(one policyserver.State) bool {
		return one.Error != "" || !one.Connected
	})
	if bad || s.Error != "" {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

func (s *databaseStatus) print(cmd *cobra.Command, out term.Format) error {
	w := cmd.OutOrStdout()
	if out == term.JSON {
		return term.PrintJSON(w, s)
	}
	switch {
	case s.Error != "":
		fmt.Fprintln(cmd.ErrOrStderr(), s.Error)
	case s.Generation == 0:
		fmt.Fprintln(w, "empty: nobody has written a policy yet")
	default:
		fmt.Fprintf(w, "generation %d: %s, %s; changed %s by %s\n", s.Generation,
			wording.Count(s.Groups, "group"), wording.Count(s.Instances, "instance"),
			s.ChangedAt.Local().Format(time.DateTime), s.ChangedBy)
	}
	if err := printServers(w, s.Servers); err != nil {
		return err
	}
	for _, one := range s.Servers {
		if len(one.Members) > 0 {
			return printMembers(w, one)
		}
	}
	return nil
}

func printServers(w io.Writer, servers []policyserver.State) error {
	t := term.Columns(w)
	fmt.Fprintln(t, "SERVER\tIS\tGENERATION\tHEARD\tSCHEMA")
	for _, one := range servers {
		if one.Error != "" {
			fmt.Fprintf(t, "%s\tgone: %s\t\t\t\n", one.Endpoint, one.Error)
			continue
		}
		heard := "never"
		if !one.HeardAt.IsZero() {
			heard = time.Since(one.HeardAt).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", one.Endpoint, role(one), one.Generation, heard,
			one.Schema)
	}
	return t.Flush()
}

// role is what a server is to the others.
func role(s policyserver.State) string {
	switch {
	case !s.Connected:
		return "cut off"
	case s.Model == "relay":
		return "relay"
	case s.IsLeader:
		return "leader"
	}
	return "follower"
}

func printMembers(w io.Writer, s policyserver.State) error {
	fmt.Fprintf(w, "\ncluster %s; the file has %d kB\n", s.Cluster, s.Size.File/1000)
	t := term.Columns(w)
	fmt.Fprintln(t, "MEMBER\tADDRESS\tIS\tHEARD")
	for _, m := range s.Members {
		var words []string
		if m.IsLeader {
			words = append(words, "leader")
		}
		if m.IsSelf {
			words = append(words, "this one")
		}
		heard := ""
		if m.SilentMS >= 0 {
			heard = (time.Duration(m.SilentMS) * time.Millisecond).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", m.ID, m.Address, strings.Join(words, ", "), heard)
	}
	return t.Flush()
}
