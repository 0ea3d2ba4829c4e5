package exoscale

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A request from the first byte to the answer. The command serve mounts [New]. Invariant: but for
// the list of zones, nothing is said to who was not recognised by the signature of that very
// request.

const (
	// maxBody bounds a body, in bytes.
	maxBody = 64 << 10
	// requestTime bounds what one request may take.
	requestTime = 60 * time.Second
)

// Options say what is served.
type Options struct {
	API *apiserver.Server
	// Sealer opens the secrets of keys.
	Sealer *access.Sealer
	// Zone is the name of the only one.
	Zone string
	// PublicURL is where clients reach the server; "" = where they have reached it.
	PublicURL string
	Log       *logrus.Entry
}

// handler answers below /v2.
type handler struct {
	Options
	replays replays
}

// request is one that is answered.
type request struct {
	*http.Request
	who    access.Principal
	signed *signed
	id     string
	from   string // the address that it comes from
	body   []byte
	did    apiserver.Written
}

// New returns what answers below /v2.
func New(opts Options) http.Handler {
	h := &handler{Options: opts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/zone", h.zones)
	for _, one := range routes() {
		mux.HandleFunc(one.method+" "+one.path, func(w http.ResponseWriter, req *http.Request) {
			h.serve(w, req, one)
		})
	}
	mux.HandleFunc("/v2/", nothing)
	return mux
}

// nothing answers what is not served.
func nothing(w http.ResponseWriter, req *http.Request) {
	apiserver.Refusal(http.StatusNotImplemented, "Portcullis serves security groups only, and "+
		"instances for reading: not %s %s", req.Method, req.URL.Path).Write(w)
}

// zones lists the only zone. Clients ask for it first, without a signature, and then go where the
// answer says.
func (h *handler) zones(w http.ResponseWriter, req *http.Request) {
	at := h.PublicURL
	if at == "" && req.TLS != nil {
		at = "https://" + req.Host
	} else if at == "" {
		at = "http://" + req.Host
	}
	type zone struct {
		Name     string `json:"name"`
		Endpoint string `json:"api-endpoint"`
	}
	send(w, map[string][]zone{"zones": {{h.Zone, strings.TrimSuffix(at, "/") + "/v2"}}})
}

// send writes a success.
func send(w http.ResponseWriter, body any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic(err) // all that is answered can be written
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes()) // a client that went away needs no answer
}

// serve takes a request through a route, and logs what became of it.
func (h *handler) serve(w http.ResponseWriter, req *http.Request, at route) {
	began := h.API.Now()
	ctx, cancel := context.WithTimeout(req.Context(), requestTime)
	defer cancel()
	r := &request{Request: req.WithContext(ctx), id: rand.Text(), from: h.API.Address(req)}
	w.Header().Set("X-Request-Id", r.id)
	// a client that reads slowly is cut off; writers without deadlines are of tests
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTime))
	status := http.StatusOK
	out, err := h.answer(w, r, at)
	if err != nil {
		status = h.refuse(w, r, err)
	} else {
		send(w, out)
	}
	h.API.Record(apiserver.Answered{Request: r.Request, Who: r.who, ID: r.id, From: r.from,
		Route: at.path, Status: status, Began: began, Err: err, Did: r.did})
}

// refuse says no. What is not valid is a bad request here.
func (h *handler) refuse(w http.ResponseWriter, r *request, err error) int {
	known, isKnown := apiserver.RefusalOf(err)
	if !isKnown {
		h.Log.WithError(err).WithField("request", r.id).Error("a request failed")
	}
	p := *known
	p.Request = r.id
	switch p.Status {
	case http.StatusUnprocessableEntity:
		p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", scheme+` realm="Portcullis"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	p.Write(w)
	return p.Status
}

// answer asks the route, if whoever asks may.
func (h *handler) answer(w http.ResponseWriter, r *request, at route) (any, error) {
	if err := h.authenticate(w, r); err != nil {
		if p, _ := apiserver.RefusalOf(err); p.Status == http.StatusUnauthorized {
			return nil, cmp.Or(h.API.Unrecognised(r.from), err)
		}
		return nil, err
	}
	if err := h.API.Admit(r.who); err != nil {
		return nil, err
	}
	if !r.who.May(at.needs, access.OfProject, r.who.Project) {
		return nil, apiserver.Refusal(http.StatusForbidden, "this needs the role %s, and the %s is of a %s",
			at.needs, r.who.Name, r.who.Role)
	}
	for name := range r.URL.Query() {
		if !slices.Contains(at.query, name) {
			return nil, apiserver.Refusal(http.StatusBadRequest, "?%s is not known here", name)
		}
	}
	if len(r.body) > 0 && at.method != http.MethodPost && at.method != http.MethodPut {
		return nil, apiserver.Refusal(http.StatusBadRequest, "a body is not wanted here")
	}
	if err := h.API.Fresh(r.Context()); err != nil {
		return nil, err
	}
	if at.needs == access.Viewer {
		return h.read(r, at)
	}
	return h.once(r, at)
}

// read answers a question.
func (h *handler) read(r *request, at route) (any, error) {
	v, err := h.API.DB.View()
	if err != nil {
		return nil, err
	}
	if err := hasProject(v, r.who); err != nil {
		return nil, err
	}
	return at.read(r, see(v, r.who.Project))
}

// hasProject refuses a key whose project was removed.
func hasProject(v policydb.View, who access.Principal) error {
	if apiserver.HasProject(v, who) {
		return nil
	}
	return apiserver.Refusal(http.StatusForbidden, "the project %s, which the %s is of, is not there "+
		"any more", who.Project, who.Name)
}

// once makes a change, or answers as before what was made already.
func (h *handler) once(r *request, at route) (any, error) {
	o, isFirst, err := h.replays.once(r.Context(), r.signed.requestID(), h.API.Now(),
		r.signed.expires, func() (int, any, error) { return h.write(r, at) })
	switch {
	case err != nil:
		return nil, err
	case isFirst, o.err != nil:
		return o.reply, o.err
	}
	_, now, err := h.API.DB.Readable()
	if err == nil && now != o.generation {
		err = errReplayed()
	}
	return o.reply, err
}

// write makes a change and answers it as an operation that is done.
func (h *handler) write(r *request, at route) (generation int, answer any, err error) {
	change, err := at.write(r)
	if err != nil {
		return 0, nil, err
	}
	group := ""
	r.did, err = h.API.Write(r.Context(), apiserver.Write{By: r.who, ID: r.signed.requestID(),
		What: at.what + " (/v2)", Edit: func(v policydb.View) (policydb.Edited, error) {
			if err := hasProject(v, r.who); err != nil {
				return policydb.Edited{}, err
			}
			return change.edit(see(v, r.who.Project))
		}})
	if err != nil {
		return 0, nil, err
	}
	v, err := h.API.DB.View()
	if err != nil {
		return 0, nil, err
	}
	if r.did.Found && v.Generation != r.did.Generation {
		return 0, nil, errReplayed() // another server made it, or this one before it was started anew
	}
	if group = change.group; group == "" {
		group = v.Groups[see(v, r.who.Project).full(change.made)]
	}
	return r.did.Generation, done(group), nil
}

// readBody reads what was sent.
func readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		return nil, apiserver.Refusal(http.StatusRequestEntityTooLarge,
			"the body has more than %d bytes", maxBody)
	case err != nil:
		return nil, apiserver.Refusal(http.StatusBadRequest, "the body could not be read: %v", err)
	}
	return text, nil
}

// authenticate finds out who asks.
func (h *handler) authenticate(w http.ResponseWriter, r *request) error {
	s, err := parse(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	if err := s.inTime(h.API.Now()); err != nil {
		return err
	}
	kept, secret, err := h.secret(s.key)
	if err != nil {
		return err
	}
	if r.body, err = readBody(w, r.Request); err != nil {
		return err
	}
	message, err := s.message(r.Request, r.body)
	if err != nil {
		return err
	}
	if !s.isOf(message, secret) {
		return errUnknown()
	}
	var role access.Role
	if err := role.UnmarshalText([]byte(kept.Role)); err != nil {
		return errUnknown()
	}
	r.signed = s
	r.who = access.Principal{Name: "key " + kept.ID, How: "signature", Role: role,
		Project: kept.Project, Token: kept.ID}
	h.API.NoteUse(kept)
	return nil
}

// secret finds a key and its secret. A key that is not to be accepted has one that nobody knows, so
// that all that fail take the same way.
func (h *handler) secret(key string) (policydb.Token, string, error) {
	kept, err := h.API.DB.Token(key)
	switch {
	case errors.Is(err, policydb.ErrNoToken):
		return kept, noSecret(), nil
	case err != nil:
		return kept, "", err
	case kept.Kind != policydb.ExoscaleKey || kept.IsExpired(h.API.Now()):
		return kept, noSecret(), nil
	}
	secret, err := h.Sealer.Open(kept.ID, kept.Secret)
	if err != nil {
		h.Log.WithError(err).Error("a key cannot be used")
		return kept, noSecret(), nil
	}
	return kept, secret, nil
}
