package apiserver

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
	// failuresPerSecond is how many requests an address has that are not recognised, and
	// failuresBurst how many at once.
	failuresPerSecond = 1
	failuresBurst     = 30
	// subnet is what one customer has of IPv6, in bits: it counts as one address.
	subnet = 64
	// mostRemembered is how many of them are remembered; then those are forgotten who have their
	// burst again.
	mostRemembered = 10_000
)

// rates are the limits of all who ask, and of addresses from which nobody is recognised. The zero
// rates are ready.
type rates struct{ known, unknown limits }

// admit takes one request from what somebody has.
func (r *rates) admit(who access.Principal, now time.Time) error {
	if r.known.allow(who.How+" "+who.Name, perSecond, burst, now) {
		return nil
	}
	return problemf(http.StatusTooManyRequests, "%s asks more than %d times a second", who.Name,
		perSecond)
}

// fail counts somebody at an address who was not recognised. Who is recognised is not held up by
// others at the same address, such as a proxy's.
func (r *rates) fail(address string, now time.Time) error {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		part, _ := ip.Prefix(subnet) // it is one of IPv6
		address = part.String()
	}
	if r.unknown.allow(address, failuresPerSecond, failuresBurst, now) {
		return nil
	}
	return problemf(http.StatusTooManyRequests, "too many attempts from %s that were not recognised",
		address)
}

// limits are those of some who ask, by their names. The zero limits are ready.
type limits struct {
	mu sync.Mutex
	of map[string]*rate.Limiter
}

// allow takes one request from what a name has, if it has one left.
func (l *limits) allow(name string, perSecond rate.Limit, burst int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil || len(l.of) >= mostRemembered {
		l.forget(now)
	}
	limiter := l.of[name]
	if limiter == nil {
		limiter = rate.NewLimiter(perSecond, burst)
		l.of[name] = limiter
	}
	return limiter.AllowN(now, 1)
}

// forget forgets those who have their burst again; where all are busy, all of them.
func (l *limits) forget(now time.Time) {
	kept := map[string]*rate.Limiter{}
	for name, limiter := range l.of {
		if limiter.TokensAt(now) < float64(limiter.Burst()) {
			kept[name] = limiter
		}
	}
	if len(kept) >= mostRemembered {
		clear(kept)
	}
	l.of = kept
}

// address is where a request comes from: the other end of the connection, or behind a proxy of ours
// what that says of it.
func (s *Server) address(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return "the socket"
	}
	through := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for _, next := range slices.Backward(through) {
		ip, err := netip.ParseAddr(host)
		isOurs := err == nil && slices.ContainsFunc(s.Proxies, func(p netip.Prefix) bool {
			return p.Contains(ip.Unmap())
		})
		if next = strings.TrimSpace(next); !isOurs || next == "" {
			break
		}
		if _, err := netip.ParseAddr(next); err != nil {
			break
		}
		host = next
	}
	return host
}
