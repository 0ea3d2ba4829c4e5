package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/controller/lookup"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/flows/suggest"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Questions about the policy of the database: the same ones, in the same words, as a host answers
// of what it has in force.

// lookUp is what a request sees of the policy, looked up, and its generation.
func (s *Server) lookUp(r *request) (*lookup.View, int, error) {
	p, at, err := s.DB.Readable()
	if err != nil {
		return nil, 0, err
	}
	return s.lookups.View(p, r.project, func() *policy.Policy { return visible(p, r.project) }), at, nil
}

// Explained is an answer.
type Explained struct {
	Generation int             `json:"generation"`
	Admitted   bool            `json:"admitted"` // all that was asked about, or a list names anybody
	Answer     json.RawMessage `json:"answer"`   // as 'portcullis explain -o json' prints it
	// Live is what the switches do, of the hosts that answered, if that was asked for
	Live    []hostask.Trace   `json:"live,omitempty"`
	Missing []hostask.Missing `json:"missing,omitempty"`
}

func (s *Server) explain(r *request) (*reply, error) {
	if s.Explain == nil {
		return nil, problemf(http.StatusNotImplemented, "this server explains nothing")
	}
	view, at, err := s.lookUp(r)
	if err != nil {
		return nil, err
	}
	index := view.Index()
	p := index.Policy()
	q := api.Question{From: r.end(p, "from"), To: r.end(p, "to"), Service: r.query.Get("service"),
		Via: r.query.Get("via")}
	text, admitted, err := s.Explain(index.At(policy.Site{}), q)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	out := Explained{Generation: at, Admitted: admitted, Answer: text}
	if r.query.Get("live") == "true" {
		if err := s.trace(r, index, q, &out); err != nil {
			return nil, err
		}
	}
	return &reply{body: out}, nil
}

// trace asks the switches, too. Whoever has a project alone is told whether they agree, and not by
// which ports: hosts are no project's.
func (s *Server) trace(r *request, index *explain.Index, q api.Question, out *Explained) error {
	asked, err := explain.ParseAsked(q.Service)
	_, isTalk := explain.ParseConversation(q.Service)
	if !isTalk && (err != nil || !asked.IsOne()) {
		return problemf(http.StatusBadRequest, "?service=%s: with live it must be that of one packet, such "+
			"as tcp/80, icmp/8/0 or esp", q.Service)
	}
	out.Live, out.Missing = s.fleet().Traces(r.Context(), index.At(policy.Site{}), q)
	if out.Missing = r.missing(out.Missing); len(out.Live)+len(out.Missing) == 0 {
		return problemf(http.StatusBadRequest, "?live=true: neither ?from=%s nor ?to=%s is at a port of a "+
			"host", r.query.Get("from"), r.query.Get("to"))
	}
	for n := range out.Live {
		if r.project != "" {
			out.Live[n] = hostask.Trace{Agrees: out.Live[n].Agrees}
		}
	}
	return nil
}

// end is an end of a question: a project's own name for a group or an instance is the policy's.
func (r *request) end(p *policy.Policy, key string) string {
	return r.endNamed(p, r.query.Get(key))
}

func (r *request) endNamed(p *policy.Policy, word string) string {
	name := full(r.project, word)
	isGroup := slices.ContainsFunc(p.Groups, func(g *policy.Group) bool { return g.Name == name })
	if isGroup || slices.ContainsFunc(p.Instances, func(i *policy.Instance) bool {
		return i.Name == name
	}) {
		return name
	}
	return word
}

// Matrix is who reaches whom.
type Matrix struct {
	Generation int `json:"generation"`
	matrix.Answer
}

// mostGroups is how many groups a whole matrix may have: its cost grows with their square, and any
// viewer may ask for it. 500 take about two seconds.
const mostGroups = 500

func (s *Server) matrix(r *request) (*reply, error) {
	view, at, err := s.lookUp(r)
	if err != nil {
		return nil, err
	}
	p := view.Index().Policy()
	if r.query.Has("rows") || r.query.Has("columns") {
		return s.matrixPart(r, view, at)
	}
	if n := len(p.Groups); n > mostGroups && r.query.Get("from") == "" && r.query.Get("to") == "" {
		return nil, problemf(http.StatusBadRequest, "%d groups are too many for one matrix, which "+
			"holds %d: ask for a part of it by ?rows and ?columns, or for one end by ?from or ?to",
			n, mostGroups)
	}
	found, err := view.Matrix(api.MatrixQuestion{Instances: r.query.Get("instances") == "true",
		From: r.end(p, "from"), To: r.end(p, "to"), Group: r.end(p, "group"),
		Service: r.query.Get("service")})
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	return &reply{body: Matrix{Generation: at, Answer: *found}}, nil
}

// Plan is what a change would do, and to which live connections.
type Plan struct {
	Done
	Loses []explain.AccessChange `json:"loses"`
	Gains []explain.AccessChange `json:"gains"`
	Ports []explain.PortChange   `json:"ports"` // that are not as before
	// Cut are the live connections that nothing would admit any more, of all hosts that answered
	Cut     []hostask.Cut     `json:"cut"`
	Missing []hostask.Missing `json:"missing,omitempty"`
}

// plan answers what several writes would do as one change, and writes nothing.
func (s *Server) plan(r *request) (*reply, error) {
	what, make, err := s.editOfSeveral(r)
	if err != nil {
		return nil, err
	}
	out := Plan{Done: Done{DryRun: true}}
	out.Generation, err = s.DB.PlanView(s.changeOf(r, what),
		func(v policydb.View) (policydb.Edited, error) {
			return r.judge(v, func(v policydb.View) (*policy.Policy, []string, error) {
				next, err := make(v.Policy)
				return next, nil, err
			}, &out.Done)
		})
	if err != nil {
		return nil, err
	}
	change := out.change
	out.Loses, out.Gains, out.Ports = change.Access.Loses, change.Access.Gains, change.Access.Ports
	cut, missing := s.fleet().Cuts(r.Context(), change)
	if out.Cut, out.Missing = cut, r.missing(missing); r.project != "" {
		for n := range out.Cut {
			out.Cut[n].Host = ""
		}
	}
	return &reply{body: out}, nil
}

// Suggested are the rules that would admit a first packet.
type Suggested struct {
	Generation int `json:"generation"`
	suggest.Answer
}

// suggestions answers which rules would admit a first packet, such as one of those that are denied.
func (s *Server) suggestions(r *request) (*reply, error) {
	t, err := r.packet()
	if err != nil {
		return nil, err
	}
	view, at, err := s.lookUp(r)
	if err != nil {
		return nil, err
	}
	found, err := suggest.For(view.Index(), t)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	for n := range found.Needs {
		for i := range found.Needs[n].Choices {
			c := &found.Needs[n].Choices[i]
			c.Group = short(r.project, c.Group)
			c.Rule = renamed([]policy.Rule{c.Rule}, r.project, short)[0]
		}
	}
	return &reply{body: Suggested{at, found}}, nil
}

// packet is the one that a query is about.
func (r *request) packet() (t spec.Tuple, err error) {
	for key, to := range map[string]*netip.Addr{"src": &t.Src, "dst": &t.Dst} {
		if *to, err = netip.ParseAddr(r.query.Get(key)); err != nil || to.Zone() != "" {
			return t, problemf(http.StatusBadRequest, "?%s=%s: must be an address", key, r.query.Get(key))
		}
	}
	if t.Src.Is4() != t.Dst.Is4() {
		return t, problemf(http.StatusBadRequest, "?src=%s and ?dst=%s are not of one family", t.Src, t.Dst)
	}
	word := r.query.Get("service")
	asked, err := explain.ParseAsked(word)
	if err != nil {
		return t, problemf(http.StatusBadRequest, "?service=%s: %v", word, err)
	}
	services := asked.Of(t.Src.Is6())
	if !asked.IsOne() || len(services) == 0 {
		return t, problemf(http.StatusBadRequest, "?service=%s: must be that of one packet of IPv%d, such "+
			"as tcp/80, icmp/8/0 or esp", word, map[bool]int{false: 4, true: 6}[t.Src.Is6()])
	}
	return services.Sample(t.Src, t.Dst), nil
}

// matrixPart answers the cells from some ends to others.
func (s *Server) matrixPart(r *request, view *lookup.View, at int) (*reply, error) {
	list := func(key string) (out []string) {
		for _, name := range r.lines(key) {
			out = append(out, r.endNamed(view.Index().Policy(), name))
		}
		return out
	}
	found, err := view.MatrixIndex().Ask(matrix.Part{From: list("rows"), To: list("columns")})
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "?rows and ?columns: %v", err)
	}
	return &reply{body: Matrix{Generation: at, Answer: *found}}, nil
}
