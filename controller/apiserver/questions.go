package apiserver

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/flows/suggest"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Questions about the policy of the database: the same ones, in the same words, as a host answers of
// what it has in force.

// look returns the policy, looked up. It was looked up already if the last question was about the
// same.
func (s *Server) look() (*explain.Index, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil || !policy.Changed(s.of, p).Empty() {
		s.of, s.index = p, explain.NewIndex(policy.Spelled(p))
	}
	return s.index, nil
}

// index is what a request sees of the policy.
func (s *Server) indexFor(r *request) (*explain.Index, error) {
	if r.project == "" {
		return s.look()
	}
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	return explain.NewIndex(policy.Spelled(visible(p, r.project))), nil
}

// Explained is an answer.
type Explained struct {
	Generation int             `json:"generation"`
	Admitted   bool            `json:"admitted"` // all that was asked about, or a list names anybody
	Answer     json.RawMessage `json:"answer"`   // as 'portcullis explain -o json' prints it
}

func (s *Server) explain(r *request) (*reply, error) {
	if s.Explain == nil {
		return nil, problemf(http.StatusNotImplemented, "this server explains nothing")
	}
	index, err := s.indexFor(r)
	if err != nil {
		return nil, err
	}
	p := index.Policy()
	q := api.Question{From: r.end(p, "from"), To: r.end(p, "to"), Service: r.query.Get("service"),
		Via: r.query.Get("via")}
	text, admitted, err := s.Explain(index.At(policy.Site{}), q)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	_, at, err := s.DB.Readable()
	return &reply{body: Explained{Generation: at, Admitted: admitted, Answer: text}}, err
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

func (s *Server) matrix(r *request) (*reply, error) {
	p, at, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	if r.query.Has("rows") || r.query.Has("columns") {
		return s.matrixPart(r, p, at)
	}
	p = visible(p, r.project)
	q, err := api.MatrixQuestion{Instances: r.query.Get("instances") == "true",
		From: r.end(p, "from"), To: r.end(p, "to"), Group: r.end(p, "group"),
		Service: r.query.Get("service")}.Question()
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "?service: %v", err)
	}
	found, err := matrix.Ask(policy.Spelled(p), q)
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
	index, err := s.indexFor(r)
	if err != nil {
		return nil, err
	}
	found, err := suggest.For(index, t)
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
	_, at, err := s.DB.Readable()
	return &reply{body: Suggested{at, found}}, err
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

// boards are the policies of which parts were asked about last, by project.
type boards struct {
	mu     sync.Mutex
	of     *policy.Policy
	made   map[string]*matrix.Board
	recent []string // projects, the last one last
}

// mostBoards is how many are kept: that of everything, and those of a few tenants.
const mostBoards = 8

// board returns that of what a project sees of a policy. Who asks while it is made waits for it.
func (b *boards) board(p *policy.Policy, project string) *matrix.Board {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil || b.of != p && !policy.Changed(b.of, p).Empty() {
		b.of, b.made, b.recent = p, map[string]*matrix.Board{}, nil
	}
	if b.made[project] == nil {
		b.made[project] = matrix.NewBoard(policy.Spelled(visible(p, project)))
		if b.recent = append(b.recent, project); len(b.recent) > mostBoards {
			delete(b.made, b.recent[0])
			b.recent = b.recent[1:]
		}
	}
	return b.made[project]
}

// matrixPart answers the cells from some ends to others.
func (s *Server) matrixPart(r *request, p *policy.Policy, at int) (*reply, error) {
	list := func(key string) (out []string) {
		for name := range strings.Lines(r.query.Get(key)) {
			if name = strings.TrimSuffix(name, "\n"); name != "" {
				out = append(out, r.endNamed(p, name))
			}
		}
		return out
	}
	found, err := s.boards.board(p, r.project).Ask(matrix.Part{From: list("rows"),
		To: list("columns")})
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "?rows and ?columns: %v", err)
	}
	return &reply{body: Matrix{Generation: at, Answer: *found}}, nil
}
