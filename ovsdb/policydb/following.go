package policydb

import (
	"context"
	"fmt"
	"time"
)

// How a host stands to the policy database. The agent puts it into its status, and from there it is
// in metrics, the API and `status`.

// Standing says in one word what the policy in force is worth.
type Standing string

// The standings.
const (
	Current Standing = "current" // it is what the database says
	// the database cannot be reached, has lost its cluster, or nobody has told it anything for long
	Stale Standing = "stale"
	// the server has fewer generations than were read before: what it has is not taken
	Behind Standing = "behind"
	// the daemon has started and no database has answered yet: what was kept is in force
	Cold Standing = "cold"
	// some rows are not valid: all others are in force
	Invalid Standing = "invalid"
)

// Following is how a host stands to the policy database; the zero Following = the policy is in
// files.
type Following struct {
	Standing Standing `json:"standing,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"` // that is followed, or was
	Cluster  string   `json:"cluster,omitempty"`  // whose generations are counted
	// of what was read last and may be in force
	Generation  int       `json:"generation,omitempty"`
	CommittedAt time.Time `json:"committed_at,omitzero"` // by the clock of who wrote it
	StaleSince  time.Time `json:"stale_since,omitzero"`  // by this host's; the zero Time = it is not
	Why         string    `json:"why,omitempty"`         // it is not current
	Offered     int       `json:"offered,omitempty"`     // the generation of a server that is behind
	// Asked is a generation for which somebody waits: hosts say at once that they have it in force.
	Asked int `json:"asked,omitempty"`
}

// standing judges how things stand. The caller holds the mutex.
func (f *Follower) standing() (Standing, string) {
	switch {
	case !f.isUp && !f.isRead:
		return Cold, f.why.Error()
	case !f.isUp:
		return Stale, f.why.Error()
	case !f.behind.IsZero():
		return Behind, fmt.Sprintf("%s has generation %d", f.server.Endpoint, f.freshness.generation)
	case f.isSilent():
		return Stale, f.silence().Error()
	case len(f.taken.errs) > 0:
		return Invalid, fmt.Sprintf("%d mistakes in its rows", len(f.taken.errs))
	}
	return Current, ""
}

func (f *Follower) isSilent() bool {
	return f.freshness.isKept && time.Since(f.freshness.at) > f.timing.silence
}

func (f *Follower) silence() error {
	return fmt.Errorf("nobody has written anything, not even the beat, since %s",
		f.freshness.at.UTC().Format(time.RFC3339))
}

// Following tells how things stand.
func (f *Follower) Following() Following {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := Following{Endpoint: f.server.Endpoint, Cluster: f.taken.cluster,
		Generation: f.taken.generation, CommittedAt: f.taken.committed, Asked: f.asked}
	if out.Endpoint == "" {
		out.Endpoint = f.opts.Endpoint
	}
	if out.Standing, out.Why = f.standing(); out.Standing != Current && out.Standing != Invalid {
		out.StaleSince = f.since
	}
	if out.Standing == Behind {
		out.Offered = f.freshness.generation
	}
	return out
}

// watch finds out what nobody tells: that nothing is heard, and that a server stays behind.
func (f *Follower) watch(ctx context.Context) {
	look := time.NewTicker(f.timing.interval)
	defer look.Stop()
	var left time.Time // when a server was left last
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		f.mu.Lock()
		var why error
		switch {
		case !f.isUp:
		case !f.behind.IsZero() && time.Since(f.behind) > f.timing.catchUp:
			why = fmt.Errorf("the server is behind, at generation %d", f.freshness.generation)
			f.behind = time.Now()
		case f.isSilent() && time.Since(left) > f.timing.silence/3:
			why = f.silence()
			f.updateStanding()
		}
		f.mu.Unlock()
		if why != nil {
			left = time.Now()
			f.stream.Next(why)
			f.notify()
		}
	}
}

// updateStanding notes since when things stand as they do, and says whether they stood otherwise.
// The caller holds the mutex.
func (f *Follower) updateStanding() bool {
	standing, _ := f.standing()
	switch {
	case standing == Current || standing == Invalid:
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = time.Now()
	}
	was := f.stood
	f.stood = standing
	return was != standing
}
