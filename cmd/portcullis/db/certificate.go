package db

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/ovsdb/authority"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The command db certificate.

// longestDays bounds how long a certificate holds.
const longestDays = 3650

// certifying is the command line.
type certifying struct {
	dir     folderFlag
	purpose string
	subject authority.Subject
	out     term.Format
}

func newCertificate() *cobra.Command {
	c := &certifying{out: term.Table}
	cmd := &cobra.Command{
		Use:   "certificate NAME --dir DIR",
		Short: "Make or renew a certificate of a host, a writer or a member",
		Long: "Certificate makes a folder with ca.pem, certificate.pem and key.pem for somebody, to be " +
			"copied there; --dir is where 'portcullis db init --tls' was called. " +
			"A host's NAME is exactly that of its setting host. Called again, it renews; nobody has " +
			"to be restarted for it.\n\nExit codes: 0 made; 1 not.",
		Example: "  portcullis db certificate hv1 --dir /var/lib/portcullis/db\n" +
			"  portcullis db certificate member-2 --for member --address 192.0.2.2 " +
			"--dir /var/lib/portcullis/db",
		Args: c.check,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Outcome(c.make(cmd, args[0]))
		},
	}
	c.dir.add(cmd)
	cmd.Flags().StringVar(&c.purpose, "for", "", "who it is for: `host`, writer, relay or member "+
		"(default: as before, else host)")
	cmd.Flags().StringArrayVar(&c.subject.Addresses, "address", nil, "of a member or relay: an "+
		"`ADDRESS` or name by which it is called; may be repeated (default: as before)")
	cmd.Flags().IntVar(&c.subject.Days, "days", 365, "how long it holds")
	cmd.Flags().VarP(&c.out, "output", "o", "format")
	return cmd
}

// check judges the command line.
func (c *certifying) check(cmd *cobra.Command, args []string) error {
	switch {
	case c.purpose != "" && !slices.Contains(policyserver.Purposes(), c.purpose):
		return fmt.Errorf("--for %s: must be one of %s", c.purpose,
			strings.Join(policyserver.Purposes(), ", "))
	case c.subject.Days < 1 || c.subject.Days > longestDays:
		return fmt.Errorf("--days %d: must be from 1 to %d", c.subject.Days, longestDays)
	}
	return cobra.ExactArgs(1)(cmd, args)
}

func (c *certifying) make(cmd *cobra.Command, name string) error {
	folder, err := c.dir.folder()
	if err != nil {
		return err
	}
	c.subject.Name = name
	made, err := folder.Certificate(policyserver.Purpose(c.purpose), c.subject)
	if err != nil {
		return err
	}
	return printCertificate(cmd, made, c.out)
}

func printCertificate(cmd *cobra.Command, made policyserver.Issued, out term.Format) error {
	w := cmd.OutOrStdout()
	if out == term.JSON {
		return term.PrintJSON(w, made)
	}
	_, err := fmt.Fprintf(w, "made: %s, for the %s %s, until %s\n", made.Folder, made.Purpose,
		made.Name, made.Until.Local().Format(time.DateOnly))
	return err
}
