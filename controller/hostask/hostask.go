// Package hostask asks the hosts of a fleet what only they know: connections, counters, first
// packets, what their switches do. The API server does so for whoever asks it. Invariant: a host
// that is down or slow costs its own part of the answer, and no more than Patience.
//
//   - hostask.go: which hosts there are to ask, and asking them at the same time.
//   - cuts.go: the live connections that a change would cut.
//   - traces.go: what their switches do with the packets of a question.
//   - use.go: what rules have admitted, and which ones nothing.
package hostask

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

const (
	// Patience is how long a host may take to answer.
	Patience = 5 * time.Second
	// atOnce are asked at the same time.
	atOnce = 64
)

// Host is one that can be asked, or why not.
type Host struct {
	Name   string
	Client *api.Client // nil = it cannot be asked
	Why    string
}

// Missing is a host that did not answer, or does not have what was asked about, and why.
type Missing struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// Fleet finds hosts.
type Fleet struct {
	// Said is where hosts say how they can be asked.
	Said statusdb.Source
	// TLS is what they know the server by; the zero Files = they are not asked.
	TLS credentials.Files
}

// Hosts are those of some names, in that order.
func (f Fleet) Hosts(ctx context.Context, names []string) []Host {
	said := map[string]statusdb.Host{}
	hosts, _ := f.Said.Read(ctx) // those of which nothing is known are told so
	for _, h := range hosts {
		said[h.Name] = h
	}
	var out []Host
	for _, name := range names {
		one := Host{Name: name}
		switch h, isThere := said[name]; {
		case !isThere:
			one.Why = "it has not said anything"
		case h.API == "":
			one.Why = "it cannot be asked: it has no api_listen in its settings"
		case f.TLS.IsZero():
			one.Why = "this server has no certificate to ask with: serve --host-tls"
		default:
			one.Client = api.NewRemoteClient(h.API, f.TLS.Asking(name))
		}
		out = append(out, one)
	}
	return out
}

// Gather asks hosts at the same time, hands each answer to take, one after the other, and returns
// those that did not answer.
func Gather[T any](ctx context.Context, list []Host,
	ask func(context.Context, Host) (T, error), take func(host string, v T)) []Missing {
	var mu sync.Mutex
	var out []Missing
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, one := range list {
		if one.Client == nil {
			mu.Lock()
			out = append(out, Missing{one.Name, one.Why})
			mu.Unlock()
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, Patience)
			defer cancel()
			v, err := ask(ctx, one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out = append(out, Missing{one.Name, err.Error()})
				return
			}
			take(one.Name, v)
		})
	}
	all.Wait()
	slices.SortFunc(out, func(a, b Missing) int { return cmp.Compare(a.Host, b.Host) })
	return out
}

// IsNotThere says whether a host has nothing of what was asked about: another one may.
func IsNotThere(err error) bool {
	var refused *api.Problem
	return errors.As(err, &refused) && refused.Status() == http.StatusNotFound
}
