package exoscale

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/apiserver"
)

// EXO2-HMAC-SHA256: the signature of a request. handler.go asks. Invariant: what is signed is the
// method, the path, the body, each key of the query and the time until which the request holds; a
// request of which any of these is not signed is refused.

const scheme = "EXO2-HMAC-SHA256"

const (
	// longest is how far ahead a request may say that it holds: clients say ten minutes, and their
	// clocks may be fast.
	longest = 15 * time.Minute
	// maxHeader bounds the header, and with it the names of signed arguments.
	maxHeader = 4 << 10
)

// signed is the header Authorization of a request.
type signed struct {
	key     string
	args    []string // of the query, in the order in which their values were signed
	expires time.Time
	mac     []byte
}

// unsigned is what is said to who sends no signature, or none that can be read.
func unsigned(format string, args ...any) *apiserver.Problem {
	return apiserver.Refusal(http.StatusUnauthorized, format, args...)
}

// errUnknown is what everybody is told whose signature is not right, whatever was wrong with it.
func errUnknown() *apiserver.Problem {
	return unsigned("the key is not known (any more), or the request was not signed with its secret, " +
		"or was altered on its way")
}

// parse reads the header.
func parse(header string) (*signed, error) {
	name, rest, _ := strings.Cut(header, " ")
	if name != scheme || len(header) > maxHeader {
		return nil, unsigned("sign the request: 'Authorization: %s credential=KEY,expires=TIME,"+
			"signature=...' with a key of 'portcullis token create --exoscale'", scheme)
	}
	found := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimSpace(rest), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, isTwice := found[key]; isTwice {
			return nil, unsigned("Authorization has %s twice", key)
		}
		switch key {
		case "credential", "signed-query-args", "expires", "signature":
			found[key] = value
		default:
			return nil, unsigned("Authorization has %q; known are credential, signed-query-args, "+
				"expires and signature", key)
		}
	}
	return assemble(found)
}

// assemble reads the parts of the header.
func assemble(found map[string]string) (*signed, error) {
	s := &signed{key: found["credential"]}
	seconds, err := strconv.ParseInt(found["expires"], 10, 64)
	if err != nil || seconds < 0 {
		return nil, unsigned("Authorization: expires=%s: must be a time of Unix, in seconds",
			found["expires"])
	}
	s.expires = time.Unix(seconds, 0)
	s.mac, err = base64.StdEncoding.DecodeString(found["signature"])
	if s.key == "" || err != nil || len(s.mac) != sha256.Size {
		return nil, unsigned("Authorization needs credential=KEY, and as signature an HMAC-SHA256 " +
			"in Base64")
	}
	if list := found["signed-query-args"]; list != "" {
		s.args = strings.Split(list, ";")
	}
	return s, nil
}

// inTime refuses what is over, or holds too long.
func (s *signed) inTime(now time.Time) error {
	clock := "the clock here says " + now.UTC().Format(time.RFC3339) + "; is yours right?"
	switch left := s.expires.Sub(now); {
	case left <= 0:
		return unsigned("the request has expired %s ago: %s", (-left).Round(time.Second), clock)
	case left > longest:
		return unsigned("the request would hold for %s; at most %s are possible: %s",
			left.Round(time.Second), longest, clock)
	}
	return nil
}

// message is what was signed.
func (s *signed) message(req *http.Request, body []byte) (string, error) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return "", apiserver.Refusal(http.StatusBadRequest, "the query cannot be read: %v", err)
	}
	for name, values := range query {
		switch {
		case len(values) > 1:
			return "", apiserver.Refusal(http.StatusBadRequest, "?%s is there %d times", name,
				len(values))
		case !slices.Contains(s.args, name):
			return "", unsigned("?%s is not signed: name it in signed-query-args", name)
		}
	}
	var values strings.Builder
	for n, name := range s.args {
		if !query.Has(name) || slices.Contains(s.args[:n], name) {
			return "", unsigned("signed-query-args names %q, which the query has not, or it does twice",
				name)
		}
		values.WriteString(query.Get(name))
	}
	return strings.Join([]string{req.Method + " " + req.URL.EscapedPath(), string(body),
		values.String(), "", strconv.FormatInt(s.expires.Unix(), 10)}, "\n"), nil
}

// isOf says whether a message was signed with a secret. It takes as long for a wrong one.
func (s *signed) isOf(message, secret string) bool {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return hmac.Equal(h.Sum(nil), s.mac)
}

// noSecret is one that nobody has, for keys that are not known.
func noSecret() string { return rand.Text() }
