package live

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// The command connections: live connections, each with the rule that admitted it.

// connectionsTimeout bounds the question for connections: a switch may have very many.
const connectionsTimeout = time.Minute

const connectionsHelp = "Connections asks the daemon which connections the switch remembers for the ports " +
	"of this host: who opened them, in which state they\n" +
	"are, and which rule admitted them. One between two local ports is listed for both. " +
	"\"Out of date\" is a connection that was admitted\n" +
	"before its port lost a permission: the rules judge it anew when its next packet " +
	"comes. While there are very many, ovs-vswitchd is busy\n" +
	"for as long as it takes to write all of those of the port down. Exit codes: 0 " +
	"listed; 1 no daemon, no such port, or the switch does not say."

// NewConnections makes the command connections.
func NewConnections(f *cli.Files) *cobra.Command {
	query, out := telemetry.ConnectionsQuery{}, term.Table
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List live connections and the rule that admitted each",
		Long:  connectionsHelp,
		Args:  cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { // wrong usage
			if query.Limit < 1 || query.Limit > telemetry.MaxConnections {
				return fmt.Errorf("--limit %d: want a number from 1 to %d", query.Limit,
					telemetry.MaxConnections)
			}
			return nil
		},
		RunE: cli.Action(func(cmd *cobra.Command) error {
			client, err := f.Client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), connectionsTimeout)
			defer cancel()
			list, err := client.Connections(ctx, query)
			if err != nil {
				return f.Unanswered(err)
			}
			return printConnections(cmd.OutOrStdout(), list, out)
		}),
	}
	cmd.Flags().StringVar(&query.Instance, "instance", "", "only those of this instance")
	cmd.Flags().StringVar(&query.Port, "port", "", "only those of this port")
	cmd.Flags().IntVar(&query.Limit, "limit", telemetry.DefaultConnections,
		"list at most this many")
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

func printConnections(w io.Writer, list *api.Connections, f term.Format) error {
	if f == term.JSON {
		return term.PrintJSON(w, list)
	}
	t := term.Columns(w)
	if len(list.Connections) > 0 {
		fmt.Fprintln(t, "PORT\tDIRECTION\tPROTOCOL\tFROM\tTO\tSTATE\tEPOCH\tADMITTED BY")
	}
	for _, c := range list.Connections {
		from, to := ends(c)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Port, c.Direction, c.Protocol, from,
			to, cmp.Or(strings.ToLower(c.State), "-"),
			age(c), admittedBy(c))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	switch {
	case list.More:
		fmt.Fprintf(w, "and more: these are %d; ask for one --port, or with a higher --limit\n",
			len(list.Connections))
	case len(list.Connections) == 0:
		fmt.Fprintln(w, "no connections")
	}
	return nil
}

// ends are both ends of a connection as people write them.
func ends(c telemetry.Connection) (from, to string) {
	if c.ICMP != nil {
		return c.Src.String(), fmt.Sprintf("%s type %d code %d", c.Dst, c.ICMP.Type, c.ICMP.Code)
	}
	return end(c.Src, c.SrcPort), end(c.Dst, c.DstPort)
}

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return net.JoinHostPort(a.String(), strconv.Itoa(int(port)))
}

func age(c telemetry.Connection) string {
	if c.Current {
		return "current"
	}
	return "out of date"
}

func admittedBy(c telemetry.Connection) string {
	if c.Group == "" {
		return c.Rule
	}
	return fmt.Sprintf("%s: %s (%s)", c.Group, c.Rule, c.At)
}
