package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/apipage"
	"github.com/portcullis/portcullis/controller/lookup"
	"github.com/portcullis/portcullis/ovsdb/credentials"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// A request from the first byte to the answer. The command serve mounts [Server.Handler].
// Invariant: a handler runs only for somebody who may ask what it answers.

const (
	// maxBody bounds a body, and maxImport that of several writes in one.
	maxBody   = 1 << 20
	maxImport = 16 << 20
	// requestTime bounds what one request may take.
	requestTime = 60 * time.Second
)

// Server answers for one policy database.
type Server struct {
	DB      *policydb.Client
	Explain api.Explainer
	Log     *logrus.Entry
	// Fleet is where hosts say how they stand.
	Fleet statusdb.Source
	// Newest tells a generation that is not older than any that was committed before; nil = what the
	// client has is taken for it.
	Newest func(ctx context.Context) (generation int, err error)
	// HostTLS is what hosts know this server by; the zero Files = they are not asked.
	HostTLS credentials.Files
	// Proxies are those that say in X-Forwarded-For from where a request comes; nobody else is
	// believed.
	Proxies []netip.Prefix
	// SignIn lets people sign in below /auth/; nil = nobody can. Its sessions are [Server.Sessions].
	SignIn http.Handler
	// PublicURL is where browsers find this server, if that is not the name that they ask for.
	PublicURL string
	// SessionTime is how long somebody is signed in; 0 = 8 hours.
	SessionTime time.Duration
	// Access is where all requests are logged, also those that only read; nil = nowhere.
	Access *logrus.Entry
	// Observe is told of each request that is over; nil = nobody is.
	Observe func(Observed)
	// Beside answers below /v2; nil = nothing does.
	Beside http.Handler
	// Console answers people who open a page, and has all else answered by what it is given; nil =
	// there is none.
	Console func(http.Handler) http.Handler
	// Clock is the time; nil = the machine's.
	Clock func() time.Time

	limits  rates
	silent  atomic.Int64 // hosts, when all were asked last
	noting  sync.Map     // the tokens whose use is being noted
	news    news
	streams streams
	lookups lookup.Cache
}

func (s *Server) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

// request is one that is answered.
type request struct {
	*http.Request
	who     access.Principal
	id      string
	from    string // the address that it comes from
	project string // "" = what is of no project, or all
	body    []byte
	trial   time.Duration // of the change that it makes; 0 = it stays
	madeOf  *int          // the generation that it is to be made of; nil = any
	// what became of it, for the audit: the generations before and after, and the change in words
	before, after, attempts int
	what                    string
	query                   url.Values
}

// reply is a success.
type reply struct {
	status int // 0 = that of the route
	etag   string
	kind   string // the media type; "" = application/json
	body   any    // []byte is sent as it is; nil = nothing
	stream stream // instead of a body
	// headers are those of this answer alone
	headers map[string]string
}

// Handler returns the API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	document := marshal(Document())
	for _, one := range routes() {
		mux.HandleFunc(one.method+" "+one.path, func(w http.ResponseWriter, req *http.Request) {
			s.serve(w, req, one)
		})
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	mux.HandleFunc("GET /healthz", s.health)
	if s.SignIn != nil {
		mux.HandleFunc("/auth/", s.signIn)
	}
	if s.Beside != nil {
		mux.Handle("/v2/", s.Beside)
	}
	if page, err := apipage.Handler(document); err == nil { // a test holds that there is none
		mux.Handle(apipage.Path, page)
		mux.Handle(apipage.Path+"/", page)
	}
	mux.Handle("/", s.console())
	return headers(mux)
}

// serve takes a request through a route, and logs what became of it.
func (s *Server) serve(w http.ResponseWriter, req *http.Request, at route) {
	began := s.now()
	ctx := req.Context()
	if at.answer != shapeEvents {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTime)
		defer cancel()
	}
	r := &request{Request: req.WithContext(ctx), id: rand.Text(), from: s.address(req),
		query: req.URL.Query(), project: req.PathValue("project")}
	w.Header().Set("X-Request-Id", r.id)
	// a client that reads slowly is cut off; writers without deadlines are of tests
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTime))
	out, err := s.answer(w, r, at)
	status := 0
	switch {
	case err == nil && out.stream != nil:
		status, err = s.writeStream(w, r, out.stream)
	case err == nil:
		status = out.write(w, at)
	}
	if err != nil {
		status = s.refuse(w, r, err)
	}
	took := s.now().Sub(began)
	s.audit(r, status, took, err)
	if s.Observe != nil {
		s.Observe(Observed{Method: at.method, Route: at.path, Status: status, Took: took,
			Retries: max(0, r.attempts-1), IsStream: at.answer == shapeEvents})
	}
}

// Observed is what became of a request, for metrics: nothing of it is as many-valued as a name.
type Observed struct {
	Method, Route string
	Status        int
	Took          time.Duration
	Retries       int // of a write that met others
	// IsStream = it was as long as its client wanted
	IsStream bool
}

// audit logs a request: who, how recognised, from where, what, and what became of it.
func (s *Server) audit(r *request, status int, took time.Duration, err error) {
	fields := logrus.Fields{"request": r.id, "method": r.Method, "path": r.URL.Path,
		"by": r.who.Name, "how": r.who.How, "from": r.from, "status": status,
		"seconds": took.Seconds()}
	if r.who.Project != "" {
		fields["of_project"] = r.who.Project
	}
	if err != nil {
		fields["refused"] = err.Error()
	}
	if r.what != "" {
		fields["before"], fields["after"], fields["change"] = r.before, r.after, r.what
	}
	s.Log.WithFields(fields).Log(levelOf(r.Method, status), "request")
	if s.Access != nil {
		s.Access.WithFields(fields).Info("request")
	}
}

// levelOf is how loud a request is: writes and refusals are for the audit.
func levelOf(method string, status int) logrus.Level {
	isRead := method == http.MethodGet && status < http.StatusBadRequest
	if isRead || status == http.StatusTooManyRequests { // whoever is told to stop fills no disk
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// refuse says no.
func (s *Server) refuse(w http.ResponseWriter, r *request, err error) int {
	p, isKnown := problemOf(err)
	if !isKnown {
		s.Log.WithError(err).WithField("request", r.id).Error("a request failed")
	}
	p.Request = r.id
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Portcullis"`)
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	p.write(w)
	return p.Status
}

// answer asks the handler, if whoever asks may.
func (s *Server) answer(w http.ResponseWriter, r *request, at route) (*reply, error) {
	var err error
	if r.who, err = s.authenticate(r.Request); err != nil {
		if p, _ := problemOf(err); p.Status != http.StatusUnauthorized {
			return nil, err
		}
		return nil, cmp.Or(s.limits.fail(r.from, s.now()), err)
	}
	if err := s.limits.admit(r.who, s.now()); err != nil {
		return nil, err
	}
	if !r.who.May(at.neededBy(r.query), at.scope, r.project) {
		return nil, denied(r, at)
	}
	if err := s.crossSite(r.Request, r.who.How); err != nil {
		return nil, err
	}
	if err := s.project(r, at); err != nil {
		return nil, err
	}
	if err := known(r.query, at.query); err != nil {
		return nil, err
	}
	if r.body, err = readBody(w, r.Request, at); err != nil {
		return nil, err
	}
	return at.handle(s, r)
}

// project refuses a project that is not there, but to who makes it.
func (s *Server) project(r *request, at route) error {
	if r.project == "" || at.scope != access.OfProject {
		return nil
	}
	p, _, err := s.DB.Readable()
	if err == nil && findProject(p, r.project) == nil {
		err = problemf(http.StatusNotFound, "there is no project %q", r.project)
	}
	return err
}

// denied is what is said to who may not. What is of another project is not there.
func denied(r *request, at route) *Problem {
	if at.scope == access.OfProject && r.who.Project != "" && r.who.Project != r.project {
		return problemf(http.StatusNotFound, "there is nothing here for you; your project is %s: "+
			"/v1/projects/%s/", r.who.Project, url.PathEscape(r.who.Project))
	}
	if at.scope == access.OfAll && r.who.Project != "" {
		return problemf(http.StatusForbidden, "this is for who has all projects; yours is %s",
			r.who.Project)
	}
	return problemf(http.StatusForbidden, "this needs the role %s, and %s is %s", at.needs, r.who.Name,
		r.who.Role)
}

// known refuses keys of the query that a route does not have, and such as are there twice.
func known(query url.Values, has []parameter) error {
	for key, values := range query {
		at := slices.IndexFunc(has, func(p parameter) bool { return p.name == key })
		switch {
		case at < 0 && len(has) == 0:
			return problemf(http.StatusBadRequest, "?%s is not known here: there are no parameters", key)
		case at < 0:
			return problemf(http.StatusBadRequest, "?%s is not known here: there are %s", key,
				names(has))
		case len(values) > 1:
			return problemf(http.StatusBadRequest, "?%s is there %d times", key, len(values))
		case has[at].kind == "boolean" && values[0] != "true" && values[0] != "false":
			return problemf(http.StatusBadRequest, "?%s=%s: must be true or false", key, values[0])
		}
	}
	return nil
}

func names(list []parameter) string {
	out := make([]string, len(list))
	for n, p := range list {
		out[n] = p.name
	}
	return strings.Join(out, ", ")
}

// readBody reads what a route takes.
func readBody(w http.ResponseWriter, req *http.Request, at route) ([]byte, error) {
	most := int64(maxBody)
	if at.body == shapeSeveral || at.body == shapeGroupBody {
		most = maxImport
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, most))
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		return nil, problemf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
	case err != nil:
		return nil, problemf(http.StatusBadRequest, "the body could not be read: %v", err)
	case at.body == "" && len(text) > 0:
		return nil, problemf(http.StatusBadRequest, "a body is not wanted here")
	case at.body != "" && len(text) == 0:
		return nil, problemf(http.StatusBadRequest, "a body is wanted here: %s", at.what)
	}
	return text, nil
}

// write sends a success.
func (r *reply) write(w http.ResponseWriter, at route) int {
	status := r.status
	if status == 0 {
		status = at.status
	}
	if status == 0 {
		status = http.StatusOK
	}
	for name, value := range r.headers {
		w.Header().Set(name, value)
	}
	if r.etag != "" {
		w.Header().Set("ETag", r.etag)
	}
	if r.body == nil {
		w.WriteHeader(status)
		return status
	}
	kind := r.kind
	if kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	text, isText := r.body.([]byte)
	if !isText {
		text = marshal(r.body)
	}
	_, _ = w.Write(text) // a client that went away needs no answer
	return status
}

// marshal writes JSON as people read it: characters that HTML escapes are left alone.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // all that is answered can be written
	}
	return b.Bytes()
}
