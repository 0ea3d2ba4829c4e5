package apiserver

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// Is it in force everywhere? What hosts say in the status database, held against the policy.
// Invariant: a host that is silent is named, and waited for by nobody.

// Status is how far a generation is.
type Status struct {
	Generation int  `json:"generation"`
	InForce    bool `json:"in_force"` // on every host that has a port
	// Hosts that have a port, of the project if one asks, and how many of them have the generation
	// in force.
	Hosts   int `json:"hosts"`
	Reached int `json:"reached"`
	// Missing are those that have not, and why; of all projects only.
	Missing []hostask.Missing `json:"missing,omitempty"`
	// OnTrial is the generation of the change on trial, for who may see it; left out = there is none.
	OnTrial int `json:"on_trial,omitempty"`
}

// maxWait bounds ?wait.
const maxWait = 50 * time.Second

// status answers how far a generation is, after a wait if one is asked for.
func (s *Server) status(r *request) (*reply, error) {
	p, generation, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	if text := r.query.Get("generation"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > generation {
			return nil, problemf(http.StatusBadRequest, "?generation=%s: must be one up to %d, which is "+
				"the present one", text, generation)
		}
		generation = n
	}
	fleet, err := s.standing(r, generation)
	if err != nil {
		return nil, err
	}
	out := statusOf(p, fleet, generation, r.project)
	if r.who.Project == "" {
		_, out.OnTrial, err = s.onTrial()
	}
	return &reply{body: out}, err
}

// standing asks how hosts stand to a generation, and waits for them as long as ?wait says.
func (s *Server) standing(r *request, generation int) (statusdb.Fleet, error) {
	text := r.query.Get("wait")
	if text == "" {
		return statusdb.Look(r.Context(), s.Fleet, s.DB)
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return statusdb.Fleet{}, problemf(http.StatusBadRequest, "?wait=%s: must be a time up to %s, "+
			"such as 30s", text, maxWait)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	return statusdb.Wait(ctx, s.Fleet, s.DB, generation)
}

// statusOf puts what hosts say into an answer for a project; "" = for all.
func statusOf(p *policy.Policy, f statusdb.Fleet, generation int, project string) Status {
	out := Status{Generation: generation}
	has := hostsOf(p, project)
	for _, h := range f.Hosts {
		if _, isOne := slices.BinarySearch(has, h.Name); !isOne {
			continue
		}
		out.Hosts++
		switch {
		case h.Standing != statusdb.Silent && h.Generation >= generation:
			out.Reached++
		case project == "":
			out.Missing = append(out.Missing, hostask.Missing{Host: h.Name, Why: h.Why})
		}
	}
	out.InForce = out.Reached == out.Hosts
	return out
}

// hostsOf are the hosts that a project has instances on, in order.
func hostsOf(p *policy.Policy, project string) []string {
	hosts := edit.Hosts(visible(p, project))
	delete(hosts, "")
	return slices.Sorted(maps.Keys(hosts))
}

// listHosts answers every host, with how all of its ports stand, or those of one instance.
func (s *Server) listHosts(r *request) (*reply, error) {
	f, err := statusdb.Look(r.Context(), s.Fleet, s.DB)
	if err != nil {
		return nil, err
	}
	if instance := r.query.Get("instance"); instance != "" {
		p, _, err := s.DB.Readable()
		if err != nil {
			return nil, err
		}
		names := portRows(p, instance)
		for n := range f.Hosts {
			f.Hosts[n].Ports = slices.DeleteFunc(f.Hosts[n].Ports, func(p statusdb.Port) bool {
				return !names[p.Name]
			})
		}
	}
	return &reply{body: f}, nil
}

// portRows are the names that the rows of an instance's ports have in the policy database.
func portRows(p *policy.Policy, instance string) map[string]bool {
	out := map[string]bool{}
	if i := p.Instance(instance); i != nil {
		for n := range i.Ports {
			out[policydb.PortRow(i, &i.Ports[n])] = true
		}
	}
	return out
}

// freshTime is how long an answer is held until the client has what others were told.
const freshTime = 10 * time.Second

// Fresh returns when the client has all that was committed before it was called, by whichever
// server.
func (s *Server) Fresh(ctx context.Context) error {
	if s.Newest == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, freshTime)
	defer cancel()
	want, err := s.Newest(ctx)
	for err == nil {
		changed := s.news.next()
		_, has, readErr := s.DB.Readable()
		if readErr != nil {
			return readErr
		}
		if has >= want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.Log.WithError(err).Warn("the newest generation is not known, or not here")
	return problemf(http.StatusServiceUnavailable, "this server does not know yet what others have "+
		"written: the policy database does not say it in time")
}
