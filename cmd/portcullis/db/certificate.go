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

func newCertificate() *cobra.Command {
	var dir folderFlag
	var purpose string
	var subject authority.Subject
	out := term.Table
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
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if purpose != "" && !slices.Contains(policyserver.Purposes(), purpose) {
				return fmt.Errorf("--for %s: must be one of %s", purpose,
					strings.Join(policyserver.Purposes(), ", "))
			}
			if subject.Days < 1 || subject.Days > longestDays {
				return fmt.Errorf("--days %d: must be from 1 to %d", subject.Days, longestDays)
			}
			subject.Name = args[0]
			folder, err := dir.folder()
			if err != nil {
				return cli.Outcome(err)
			}
			made, err := folder.Certificate(policyserver.Purpose(purpose), subject)
			if err != nil {
				return cli.Outcome(err)
			}
			return cli.Outcome(printCertificate(cmd, made, out))
		},
	}
	dir.add(cmd)
	cmd.Flags().StringVar(&purpose, "for", "", "who it is for: `host`, writer, relay or member "+
		"(default: as before, else host)")
	cmd.Flags().StringArrayVar(&subject.Addresses, "address", nil, "of a member or relay: an "+
		"`ADDRESS` or name by which it is called; may be repeated (default: as before)")
	cmd.Flags().IntVar(&subject.Days, "days", 365, "how long it holds")
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
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
