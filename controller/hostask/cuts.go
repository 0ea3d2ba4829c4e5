package hostask

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
)

// Which live connections a change of the policy would cut, on every host. Invariant: only hosts are
// asked that have an instance which the change takes something from.

// Cut is a live connection that nothing would admit any more, and the host that has it.
type Cut struct {
	Host string `json:"host,omitempty"`
	plan.CutConnection
}

// Change is a policy that would take the place of another, looked up, and what that changes.
type Change struct {
	Before, After *explain.Index
	Access        explain.AccessChanges
}

// Cuts are the connections that a change cuts, and the hosts that did not say which they have.
func (f Fleet) Cuts(ctx context.Context, c Change) (out []Cut, missing []Missing) {
	out = []Cut{}
	at := c.endangered()
	names := make([]string, 0, len(at))
	for name := range at {
		names = append(names, name)
	}
	if len(names) == 0 {
		return out, nil
	}
	slices.Sort(names)
	var unlisted []Missing
	missing = Gather(ctx, f.Hosts(ctx, names),
		func(ctx context.Context, h Host) (*api.Connections, error) {
			q := telemetry.ConnectionsQuery{Limit: telemetry.MaxConnections}
			if len(at[h.Name]) == 1 {
				q.Instance = at[h.Name][0]
			}
			list, err := h.Client.Connections(ctx, q)
			if IsNotThere(err) {
				return &api.Connections{}, nil
			}
			return list, err
		}, func(host string, list *api.Connections) {
			if list.More {
				unlisted = append(unlisted, Missing{host, fmt.Sprintf("more than %d connections are live: "+
					"not all were looked at", telemetry.MaxConnections)})
			}
			for _, one := range c.cutAt(host, at[host], list.Connections) {
				out = append(out, Cut{host, one})
			}
		})
	slices.SortFunc(out, func(a, b Cut) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.String(), b.String()))
	})
	return out, append(missing, unlisted...)
}

// cutAt judges the live connections of the instances at a host that the change takes something
// from.
func (c Change) cutAt(host string, instances []string,
	list []telemetry.Connection) []plan.CutConnection {
	var live []plan.LiveConnection
	for _, one := range list {
		if slices.Contains(instances, one.Instance) {
			live = append(live, api.LiveConnection(one))
		}
	}
	return plan.CutAt(host, c.Before, c.After, live)
}

// endangered are the instances, by host, that lose something: access, a port, an address, the host.
func (c Change) endangered() map[string][]string {
	loses := map[string]bool{}
	for _, one := range c.Access.Loses {
		for _, name := range one.Instances {
			loses[name] = true
		}
	}
	for _, one := range c.Access.Ports {
		for _, ref := range one.Ports {
			loses[ref.Instance] = true
		}
	}
	changed := policy.Changed(c.Before.Policy(), c.After.Policy())
	for _, i := range changed.GoneInstances {
		loses[i.Name] = true
	}
	out := map[string][]string{}
	if len(loses) == 0 {
		return out
	}
	for host, list := range edit.Hosts(c.Before.Policy()) {
		for _, i := range list {
			if host != "" && loses[i.Name] {
				out[host] = append(out[host], i.Name)
			}
		}
	}
	return out
}
