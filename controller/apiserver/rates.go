package apiserver

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/controller/access"
)

// How often somebody may ask. server.go asks for each request. Invariant: what is remembered of
// those that ask is bounded.

const (
	// perSecond is how many requests one token, or user of the socket, has in a second, and burst
	// how many at once.
	perSecond = 100
	burst     = 200
	// mostRemembered is how many of them are remembered; then those are forgotten who have their
	// burst again.
	mostRemembered = 10_000
)

// rates are the limits of all who ask. The zero rates are ready.
type rates struct {
	mu sync.Mutex
	of map[string]*rate.Limiter
}

// admit takes one request from what somebody has.
func (r *rates) admit(who access.Principal, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= mostRemembered {
		r.forget(now)
	}
	key := who.How + " " + who.Name
	limiter := r.of[key]
	if limiter == nil {
		limiter = rate.NewLimiter(perSecond, burst)
		r.of[key] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return problemf(http.StatusTooManyRequests, "%s asks more than %d times a second", who.Name,
			perSecond)
	}
	return nil
}

func (r *rates) forget(now time.Time) {
	kept := map[string]*rate.Limiter{}
	for key, limiter := range r.of {
		if limiter.TokensAt(now) < burst {
			kept[key] = limiter
		}
	}
	r.of = kept
}
