package live

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// The command connections: live connections, each with the rule that admitted it.

// connectionsTimeout bounds the question for connections: a switch may have very many.
const connectionsTimeout = time.Minute

// connectionsPause is how often connections --watch asks.
const connectionsPause = 2 * time.Second

const connectionsHelp = "Connections asks the daemon which connections the switch remembers for the ports " +
	"of this host: who opened them, in which state they\n" +
	"are, and which rule admitted them. One between two local ports is shown once, with the rules " +
	"of both. \"Judged again: yes\" is a\n" +
	"connection that was admitted before its port lost a permission: the rules judge it when its " +
	"next packet comes. --group is about the\n" +
	"instances of a group, --peer about the other end: an address, a network, or an instance. " +
	"While there are very many, ovs-vswitchd is busy\n" +
	"for as long as it takes to write all of those of the port down." + gatheredHelp +
	"\n\nExit codes: 0 listed; 1 no daemon, no such port, the switch does not say, or a host has not " +
	"answered."

// NewConnections makes the command connections.
func NewConnections(f *cli.Files) *cobra.Command {
	query, isWatched := telemetry.ConnectionsQuery{}, false
	v := view[api.Connections]{format: term.Table}
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List live connections and the rule that admitted each",
		Long:  connectionsHelp,
		Example: "  portcullis connections\n" +
			"  portcullis connections --instance db-1\n" +
			"  portcullis connections --group web --server https://policy.example.org",
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { // wrong usage
			if query.Limit < 1 || query.Limit > telemetry.MaxConnections {
				return fmt.Errorf("--limit %d: want a number from 1 to %d", query.Limit,
					telemetry.MaxConnections)
			}
			return v.timeout.Check()
		},
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if f.HasServer() {
				return gatherConnections(cmd, f, query, v, isWatched)
			}
			client, err := f.Client()
			if err != nil {
				return err
			}
			return printConnections(cmd, f, client, query, v, isWatched)
		}),
	}
	f.Server.AddTo(cmd)
	addQuery(cmd.Flags(), &query)
	flags := cmd.Flags()
	flags.BoolVarP(&isWatched, "watch", "w", false, "go on")
	flags.BoolVar(&v.all, "all", false, "all, also those that the screen has no room for")
	v.timeout.Flag(cmd, connectionsTimeout)
	flags.VarP(&v.format, "output", "o", "format")
	return cmd
}

// addQuery adds the options that say which connections are meant.
func addQuery(flags *pflag.FlagSet, query *telemetry.ConnectionsQuery) {
	flags.StringVar(&query.Instance, "instance", "", "only those of this instance")
	flags.StringVar(&query.Port, "port", "", "only those of this port")
	flags.StringVar(&query.Group, "group", "", "only those of this group's instances")
	flags.StringVar(&query.Peer, "peer", "",
		"only those with this other end: an address, a network or an instance")
	flags.StringVar(&query.Protocol, "protocol", "", "only those of this protocol")
	flags.IntVar(&query.Limit, "limit", telemetry.DefaultConnections, "list at most this many")
}

// printConnections asks once, or again and again.
func printConnections(cmd *cobra.Command, f *cli.Files, client *api.Client,
	query telemetry.ConnectionsQuery, v view[api.Connections], isWatched bool) error {
	places := newPlaces(f)
	v.ask = func(ctx context.Context) (*api.Connections, error) {
		ctx, cancel := v.timeout.Begin(ctx, "the daemon")
		defer cancel()
		list, err := client.Connections(ctx, query)
		return list, cli.Late(ctx, err)
	}
	v.sheet = func(list *api.Connections) term.Sheet {
		return connectionsSheet(atHost(list.Connections), list.More, places)
	}
	v.advise = func(failure error) string { return f.Unanswered(failure).Error() }
	v.failed = func(failure error) *api.Connections {
		return &api.Connections{Version: api.Version, Error: failure.Error()}
	}
	if isWatched {
		return v.watch(cmd, connectionsPause)
	}
	list, err := v.ask(cmd.Context())
	if err != nil {
		return f.Unanswered(err)
	}
	return v.print(cmd, list)
}

// flow is one connection as it is shown: one between two ports that are listed is two in the list,
// and here one.
type flow struct {
	apiserver.Connection
	other *apiserver.Connection // at the other port; nil = it is not listed
}

// atHost are connections of this host, which need not say so.
func atHost(list []telemetry.Connection) []apiserver.Connection {
	out := make([]apiserver.Connection, len(list))
	for n := range list {
		out[n].Connection = list[n]
	}
	return out
}

// flowKey is what the two of one connection have in common.
type flowKey struct {
	protocol         string
	src, dst         netip.Addr
	srcPort, dstPort uint16
	icmp             telemetry.ICMP
}

// pairs makes one of the two that a connection between two ports is.
func pairs(list []apiserver.Connection) (out []*flow) {
	first := map[flowKey]*flow{}
	for _, c := range list {
		key := flowKey{c.Protocol, c.Src, c.Dst, c.SrcPort, c.DstPort, telemetry.ICMP{}}
		if c.ICMP != nil {
			key.icmp = *c.ICMP
		}
		if was := first[key]; was != nil && was.other == nil &&
			(was.Port != c.Port || was.Host != c.Host) && was.Direction != c.Direction {
			was.other = &c
			if c.Direction == egress {
				was.other, was.Connection = new(was.Connection), c
			}
			continue
		}
		first[key] = &flow{Connection: c}
		out = append(out, first[key])
	}
	return out
}

// egress is the direction of who opens a connection.
const egress = "egress"

// connectionsSheet is a list for people: what will be judged again first.
func connectionsSheet(list []apiserver.Connection, more bool, places places) term.Sheet {
	g := term.Grid{Of: "connections", Hint: "--all, or a filter", Empty: "no connections",
		Columns: []term.Column{{Title: "HOST", IfAny: true}, {Title: "PORT", Flex: true},
			{Title: "DIRECTION", Drop: 4}, {Title: "PROTOCOL", Drop: 2}, {Title: "FROM", Flex: true}, {Title: "TO", Flex: true},
			{Title: "STATE", Drop: 3}, {Title: "JUDGED AGAIN", IfAny: true},
			{Title: "ADMITTED BY", Flex: true}, {Title: "AT", Drop: 5, Flex: true, IfAny: true}}}
	flows := pairs(list)
	slices.SortStableFunc(flows, func(a, b *flow) int {
		return cmp.Compare(a.again(), b.again()) * -1
	})
	for _, c := range flows {
		from, to := ends(c.Connection.Connection)
		colour := ""
		if c.again() != "" {
			colour = term.Yellow
		}
		g.Rows = append(g.Rows, term.Row{Colour: colour, Cells: []string{c.hosts(), c.ports(),
			c.direction(), c.Protocol, from, to, cmp.Or(strings.ToLower(c.State), "-"), c.again(),
			c.admittedBy(), places.short(c.places())}})
	}
	s := term.Sheet{Grids: []term.Grid{g}}
	if more {
		s.Facts = []term.Fact{{Text: fmt.Sprintf("these are %d, and there are more: ask for one "+
			"--port, or with a higher --limit", len(list)), Colour: term.Yellow}}
	}
	return s
}

// both is what the two sides of a connection say, once if they say the same.
func (f *flow) both(of func(apiserver.Connection) string, between string) string {
	one := of(f.Connection)
	if f.other == nil || of(*f.other) == one {
		return one
	}
	return one + between + of(*f.other)
}

func (f *flow) hosts() string {
	return f.both(func(c apiserver.Connection) string { return c.Host }, " → ")
}

func (f *flow) ports() string {
	return f.both(func(c apiserver.Connection) string { return c.Port }, " → ")
}

func (f *flow) direction() string {
	if f.other != nil && f.Host == f.other.Host {
		return "local"
	}
	if f.other != nil {
		return "both"
	}
	return f.Direction
}

// again says whether the rules judge it when its next packet comes.
func (f *flow) again() string {
	if f.Current && (f.other == nil || f.other.Current) {
		return ""
	}
	return "yes"
}

func (f *flow) admittedBy() string {
	return f.both(func(c apiserver.Connection) string {
		if c.Group == "" {
			return c.Rule
		}
		return c.Group + ": " + c.Rule
	}, "; ")
}

func (f *flow) places() string {
	return strings.TrimPrefix(f.both(func(c apiserver.Connection) string { return c.At }, " "), " ")
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
