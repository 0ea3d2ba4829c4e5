package hostask

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// What switches do with the packets of a question: each packet is traced where it enters a bridge.
// Invariant: only the hosts of the two ends are asked.

// Trace is what the switch of a host does.
type Trace struct {
	Host   string `json:"host,omitempty"`
	Policy string `json:"policy,omitempty"` // that it has in force
	Agrees bool   `json:"agrees"`           // the switch does what that policy says
	// Live is as 'portcullis explain --live -o json' has it on that host
	Live json.RawMessage `json:"live,omitempty"`
}

// Traces asks the hosts of both ends of a question; one at which no packet enters has no part in
// the answer.
func (f Fleet) Traces(ctx context.Context, r explain.Reader, q api.Question) (out []Trace,
	missing []Missing) {
	out = []Trace{}
	missing = Gather(ctx, f.Hosts(ctx, HostsOf(r, q.From, q.To)),
		func(ctx context.Context, h Host) (*api.Traced, error) {
			t, err := h.Client.Trace(ctx, q)
			if IsNotThere(err) {
				return nil, nil
			}
			return t, err
		}, func(host string, t *api.Traced) {
			if t != nil {
				out = append(out, Trace{host, t.Digest, t.Agrees, t.Live})
			}
		})
	slices.SortFunc(out, func(a, b Trace) int { return cmp.Compare(a.Host, b.Host) })
	return out, missing
}

// HostsOf are the hosts of the instances that some ends are, in order; those that move have two.
func HostsOf(r explain.Reader, ends ...string) (out []string) {
	named := map[string]bool{}
	for _, word := range ends {
		end, err := r.FindEnd(word)
		if err != nil {
			continue
		}
		for _, point := range end.Points {
			named[point.Instance] = true
		}
	}
	for _, i := range r.Policy().Instances {
		if !named[i.Name] {
			continue
		}
		for _, host := range []string{i.Host, i.MigratingTo} {
			if host != "" && host != policy.Nowhere {
				out = append(out, host)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
