package apiserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// What only hosts know: connections, counters, first packets. The server asks each host's own API.
// Invariant: a host that is down or slow costs its own part of the answer, and no more than hostTime.

const (
	// hostTime is how long a host may take to answer.
	hostTime = 5 * time.Second
	// hostsAtOnce are asked at the same time.
	hostsAtOnce = 64
)

// source is a host that can be asked, or why not.
type source struct {
	name   string
	client *api.Client
	why    string
}

// sources are the hosts that have ports of a project; "" = all that there are.
func (s *Server) sources(ctx context.Context, p *policy.Policy, project string) []source {
	said := map[string]statusdb.Host{}
	hosts, _ := s.Fleet.Read(ctx)
	for _, h := range hosts {
		said[h.Name] = h
	}
	var out []source
	for _, name := range hostsOf(p, project) {
		one := source{name: name}
		switch h, isThere := said[name]; {
		case !isThere:
			one.why = "it has not said anything"
		case h.API == "":
			one.why = "it cannot be asked: it has no api_listen in its settings"
		case s.HostTLS.IsZero():
			one.why = "this server has no certificate to ask with: serve --host-tls"
		default:
			one.client = api.NewRemoteClient(h.API, s.HostTLS.Asking(name))
		}
		out = append(out, one)
	}
	return out
}

// gather asks hosts at the same time, and returns those that did not answer.
func gather[T any](ctx context.Context, list []source,
	ask func(context.Context, *api.Client) (T, error), take func(host string, v T)) []Missing {
	var mu sync.Mutex
	var out []Missing
	slots := make(chan struct{}, hostsAtOnce)
	var all sync.WaitGroup
	for _, one := range list {
		if one.client == nil {
			out = append(out, Missing{one.name, one.why})
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, hostTime)
			defer cancel()
			v, err := ask(ctx, one.client)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out = append(out, Missing{one.name, err.Error()})
				return
			}
			take(one.name, v)
		})
	}
	all.Wait()
	slices.SortFunc(out, func(a, b Missing) int { return cmp.Compare(a.Host, b.Host) })
	return out
}

// Connection is a live connection, and the host that has it.
type Connection struct {
	Host string `json:"host"`
	telemetry.Connection
}

// Connections are live connections of all hosts that answered.
type Connections struct {
	Connections []Connection `json:"connections"`
	More        bool         `json:"more,omitempty"` // there are more than were asked for
	Missing     []Missing    `json:"missing,omitempty"`
}

// connections answers live connections.
func (s *Server) connections(r *request) (*reply, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	q := telemetry.ConnectionsQuery{Port: r.query.Get("port"), Instance: r.end(p, "instance"),
		Group: r.end(p, "group"), Peer: r.end(p, "peer"), Protocol: r.query.Get("protocol"),
		Limit: telemetry.DefaultConnections}
	if text := r.query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 ||
			q.Limit > telemetry.MaxConnections {
			return nil, problemf(http.StatusBadRequest, "?limit=%s: must be 1 to %d", text,
				telemetry.MaxConnections)
		}
	}
	out := Connections{Connections: []Connection{}}
	out.Missing = gather(r.Context(), s.sources(r.Context(), p, r.project),
		func(ctx context.Context, c *api.Client) (*api.Connections, error) {
			list, err := c.Connections(ctx, q)
			if isNotThere(err) {
				return &api.Connections{}, nil
			}
			return list, err
		}, func(host string, list *api.Connections) {
			out.More = out.More || list.More
			for _, one := range list.Connections {
				if isOwn(r.project, one.Instance) {
					out.Connections = append(out.Connections, r.connection(host, one))
				}
			}
		})
	slices.SortStableFunc(out.Connections, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	if len(out.Connections) > q.Limit {
		out.Connections, out.More = out.Connections[:q.Limit], true
	}
	out.Missing = r.missing(out.Missing)
	return &reply{body: out}, nil
}

// isNotThere says whether a host has nothing of what was asked about: another one may.
func isNotThere(err error) bool {
	var refused *api.Problem
	return errors.As(err, &refused) && refused.Status() == http.StatusNotFound
}

// connection is a connection as who asks may see it.
func (r *request) connection(host string, c telemetry.Connection) Connection {
	c.Instance, c.Group = short(r.project, c.Instance), short(r.project, c.Group)
	if r.project != "" {
		host = ""
	}
	return Connection{host, c}
}

// missing is who did not answer, as who asks may see it: hosts are no project's.
func (r *request) missing(list []Missing) []Missing {
	if r.project == "" {
		return list
	}
	out := make([]Missing, len(list))
	for n := range list {
		out[n] = Missing{Why: "a host did not answer"}
	}
	return out
}

// RuleCount is what a rule has admitted on all hosts that answered.
type RuleCount struct {
	Group    string            `json:"group"` // "" = no rule: egress is open
	Rule     string            `json:"rule"`
	Admitted telemetry.Traffic `json:"admitted"`
	Hosts    int               `json:"hosts"` // that have flows of it
	Since    time.Time         `json:"since"` // the latest beginning of a count among them
}

// PortCount is what the rules had to do with at one port.
type PortCount struct {
	Host string `json:"host,omitempty"`
	telemetry.PortCount
}

// Counters are what hosts have counted.
type Counters struct {
	Rules   []RuleCount `json:"rules"` // busiest first
	Ports   []PortCount `json:"ports"`
	Missing []Missing   `json:"missing,omitempty"`
}

// counters answers what rules and ports have counted.
func (s *Server) counters(r *request) (*reply, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	out := Counters{Rules: []RuleCount{}, Ports: []PortCount{}}
	at := map[[2]string]int{}
	missing := gather(r.Context(), s.sources(r.Context(), p, r.project),
		func(ctx context.Context, c *api.Client) (*api.Counts, error) { return c.Counts(ctx) },
		func(host string, counts *api.Counts) {
			r.add(&out, at, host, counts)
		})
	slices.SortFunc(out.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Admitted.Packets, a.Admitted.Packets),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Rule, b.Rule))
	})
	slices.SortFunc(out.Ports, func(a, b PortCount) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Host, b.Host))
	})
	out.Missing = r.missing(missing)
	return &reply{body: out}, nil
}

// add adds what one host has counted, as far as who asks may see it.
func (r *request) add(to *Counters, at map[[2]string]int, host string, counts *api.Counts) {
	for _, rule := range counts.Rules {
		if !isOwn(r.project, rule.Group) {
			continue
		}
		key := [2]string{rule.Group, rule.Rule}
		n, isThere := at[key]
		if !isThere {
			n, at[key] = len(to.Rules), len(to.Rules)
			to.Rules = append(to.Rules, RuleCount{Group: short(r.project, rule.Group),
				Rule: rule.Rule})
		}
		sum := &to.Rules[n]
		sum.Admitted.Packets += rule.Admitted.Packets
		sum.Admitted.Bytes += rule.Admitted.Bytes
		sum.Hosts++
		if counts.Since.After(sum.Since) {
			sum.Since = counts.Since
		}
	}
	for _, port := range counts.Ports {
		if !isOwn(r.project, port.Instance) {
			continue
		}
		port.Instance = short(r.project, port.Instance)
		one := PortCount{Host: host, PortCount: port}
		if r.project != "" {
			one.Host = ""
		}
		to.Ports = append(to.Ports, one)
	}
}
