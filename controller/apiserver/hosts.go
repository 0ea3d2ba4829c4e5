package apiserver

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What only hosts know: connections, and what rules and ports have counted. watch.go has their
// first packets.

// fleet is whom the server asks.
func (s *Server) fleet() hostask.Fleet { return hostask.Fleet{Said: s.Fleet, TLS: s.HostTLS} }

// sources are the hosts that have ports of a project; "" = all that there are.
func (s *Server) sources(ctx context.Context, p *policy.Policy, project string) []hostask.Host {
	return s.fleet().Hosts(ctx, hostsOf(p, project))
}

// Connection is a live connection, and the host that has it.
type Connection struct {
	Host string `json:"host"`
	telemetry.Connection
}

// Connections are live connections of all hosts that answered.
type Connections struct {
	Connections []Connection      `json:"connections"`
	More        bool              `json:"more,omitempty"` // there are more than were asked for
	Missing     []hostask.Missing `json:"missing,omitempty"`
}

// connectionsQuery reads which connections are asked for.
func (r *request) connectionsQuery(p *policy.Policy) (q telemetry.ConnectionsQuery, err error) {
	q = telemetry.ConnectionsQuery{Port: r.query.Get("port"), Instance: r.end(p, "instance"),
		Group: r.end(p, "group"), Peer: r.end(p, "peer"), Protocol: r.query.Get("protocol"),
		Limit: telemetry.DefaultConnections}
	text := r.query.Get("limit")
	if text == "" {
		return q, nil
	}
	if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 ||
		q.Limit > telemetry.MaxConnections {
		return q, problemf(http.StatusBadRequest, "?limit=%s: must be 1 to %d", text,
			telemetry.MaxConnections)
	}
	return q, nil
}

// connections answers live connections.
func (s *Server) connections(r *request) (*reply, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	if err := r.there(p); err != nil {
		return nil, err
	}
	q, err := r.connectionsQuery(p)
	if err != nil {
		return nil, err
	}
	out := Connections{Connections: []Connection{}}
	out.Missing = hostask.Gather(r.Context(), s.sources(r.Context(), p, r.project),
		func(ctx context.Context, h hostask.Host) (*api.Connections, error) {
			list, err := h.Client.Connections(ctx, q)
			if hostask.IsNotThere(err) {
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
	s.note(r, len(out.Missing))
	out.Missing = r.missing(out.Missing)
	return &reply{body: out}, nil
}

// note keeps how many hosts did not answer when all of them were asked, for the metrics.
func (s *Server) note(r *request, missing int) {
	if r.project == "" {
		s.silent.Store(int64(missing))
	}
}

// SilentHosts is how many did not answer when all hosts were asked last.
func (s *Server) SilentHosts() int { return int(s.silent.Load()) }

// connection is a connection as who asks may see it.
func (r *request) connection(host string, c telemetry.Connection) Connection {
	c.Instance, c.Group = short(r.project, c.Instance), short(r.project, c.Group)
	if r.project != "" {
		host = ""
	}
	return Connection{host, c}
}

// missing is who did not answer, as who asks may see it: hosts are no project's.
func (r *request) missing(list []hostask.Missing) []hostask.Missing {
	if r.project == "" {
		return list
	}
	out := make([]hostask.Missing, len(list))
	for n := range list {
		out[n] = hostask.Missing{Why: "a host did not answer"}
	}
	return out
}

// RuleCount is what a rule has admitted on all hosts that answered.
type RuleCount struct {
	Group string `json:"group"` // "" = no rule: egress is open
	// ID of the rule; "" = the present policy has none of these words
	ID       string            `json:"id,omitempty"`
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
	Since time.Time   `json:"since,omitzero"` // the latest beginning of a count
	At    time.Time   `json:"at,omitzero"`    // the oldest reading
	Rules []RuleCount `json:"rules"`          // busiest first
	Ports []PortCount `json:"ports"`
	// Dropped are packets that no rule was asked about, by table; hosts' own, and told to who has all
	// projects.
	Dropped []telemetry.TableCount `json:"dropped,omitempty"`
	Missing []hostask.Missing      `json:"missing,omitempty"`
}

// counters answers what rules and ports have counted: of one group if one is named.
func (s *Server) counters(r *request) (*reply, error) {
	v, err := s.DB.View()
	if err != nil {
		return nil, err
	}
	group := full(r.project, r.query.Get("group"))
	out, uses := Counters{Rules: []RuleCount{}, Ports: []PortCount{}}, hostask.Uses{}
	missing := hostask.Counts(r.Context(), s.sources(r.Context(), v.Policy, r.project),
		func(host string, counts *api.Counts) {
			uses.Add(counts)
			out.addHost(counts, r.project == "")
			if group == "" {
				out.Ports = r.addPorts(out.Ports, host, counts)
			}
		})
	ids := idsOf(&v)
	for key, use := range uses.Rules {
		if !isOwn(r.project, key.Group) || group != "" && key.Group != group {
			continue
		}
		out.Rules = append(out.Rules, RuleCount{Group: short(r.project, key.Group), Rule: key.Rule,
			ID: ids[key], Admitted: use.Admitted, Hosts: use.Hosts, Since: use.Since})
	}
	slices.SortFunc(out.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Admitted.Packets, a.Admitted.Packets),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Rule, b.Rule))
	})
	slices.SortFunc(out.Ports, func(a, b PortCount) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Host, b.Host))
	})
	s.note(r, len(missing))
	out.Missing = r.missing(missing)
	return &reply{body: out}, nil
}

// idsOf are the IDs of rules by their words; of several that say the same, that of the first.
func idsOf(v *policydb.View) map[hostask.RuleKey]string {
	out := map[hostask.RuleKey]string{}
	for _, g := range v.Policy.Groups {
		for n, rule := range g.Rules {
			key := hostask.RuleKey{Group: g.Name, Rule: rule.String()}
			if ids := v.Rules[g.Name]; n < len(ids) && out[key] == "" {
				out[key] = ids[n]
			}
		}
	}
	return out
}

// addPorts adds the ports of one host, as far as who asks may see them.
func (r *request) addPorts(to []PortCount, host string, counts *api.Counts) []PortCount {
	for _, port := range counts.Ports {
		if !isOwn(r.project, port.Instance) {
			continue
		}
		port.Instance = short(r.project, port.Instance)
		one := PortCount{Host: host, PortCount: port}
		if r.project != "" {
			one.Host = ""
		}
		to = append(to, one)
	}
	return to
}

// Unused are rules that have admitted nothing, each since a time.
type Unused struct {
	Generation int            `json:"generation"`
	Items      []hostask.Idle `json:"items"`
	Next       string         `json:"next,omitempty"` // what to go on after; "" = that was all
	// Hosts are those that answered; OnAllHosts = no host that has ports is missing
	Hosts      int               `json:"hosts"`
	OnAllHosts bool              `json:"on_all_hosts"`
	Missing    []hostask.Missing `json:"missing,omitempty"`
}

// unused answers the rules that have admitted nothing: of one group if one is named.
func (s *Server) unused(r *request) (*reply, error) {
	v, err := s.DB.View()
	if err != nil {
		return nil, err
	}
	var groups []*policy.Group
	group := full(r.project, r.query.Get("group"))
	for _, g := range v.Policy.Groups {
		if isOwn(r.project, g.Name) && !g.IsNetwork && (group == "" || g.Name == group) {
			groups = append(groups, g)
		}
	}
	uses := hostask.Uses{}
	missing := hostask.Counts(r.Context(), s.sources(r.Context(), v.Policy, r.project),
		func(_ string, counts *api.Counts) { uses.Add(counts) })
	s.note(r, len(missing))
	out := Unused{Generation: v.Generation, Hosts: uses.Hosts, OnAllHosts: len(missing) == 0,
		Missing: r.missing(missing)}
	out.Items, out.Next, err = page(r, uses.Idle(groups, v.Rules), hostask.Idle.Key)
	if err != nil {
		return nil, err
	}
	for n := range out.Items {
		out.Items[n].Group = short(r.project, out.Items[n].Group)
	}
	return &reply{body: out}, nil
}

// addHost adds what is of a host as a whole; what no rule was asked about, for who may know.
func (c *Counters) addHost(counts *api.Counts, isForAll bool) {
	if counts.Since.After(c.Since) {
		c.Since = counts.Since
	}
	if c.At.IsZero() || counts.At.Before(c.At) {
		c.At = counts.At
	}
	if !isForAll {
		return
	}
	for _, one := range counts.Dropped {
		n := slices.IndexFunc(c.Dropped, func(t telemetry.TableCount) bool {
			return t.Table == one.Table
		})
		if n < 0 {
			n, c.Dropped = len(c.Dropped), append(c.Dropped, telemetry.TableCount{Table: one.Table})
		}
		c.Dropped[n].Count += one.Count
	}
}
