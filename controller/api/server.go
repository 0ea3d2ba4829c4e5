package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// This file answers. The daemon mounts [Server.Handler] on its socket. Invariant: no answer
// changes anything but that files are read again, except of trials (trial.go).

const (
	// statusPath is the status. With ?wait=DURATION the answer waits until the policy is settled:
	// 200 = settled, 409 = the files are not valid, 504 = not settled in that time. The body is the
	// status in each case.
	statusPath = "/" + Version + "/status"
	// connectionsPath lists live connections: those for which ?port=, ?instance=, ?group=, ?peer= and
	// ?protocol= hold, at most ?limit=N of them. 404 = no such port, instance, group or peer here,
	// 502 = the switch does not say.
	connectionsPath = "/" + Version + "/connections"
	// countersPath is what the switch has counted. The answer is always 200; its error says why it
	// is old or empty.
	countersPath = "/" + Version + "/counters"
	// inForcePath is the policy in force and where its ports are on the switch. 503 = nothing is
	// known to be programmed.
	inForcePath = "/" + Version + "/policy"
	// healthPath says whether what the files say is in force: 200 or 503.
	healthPath = "/" + Version + "/health"
	// explainPath is a question about the policy in force: see [Question].
	explainPath = "/" + Version + "/explain"
	// tracePath is what the switch does with the packets of such a question: see [Tracer]. 404 = none
	// of them enters here, 502 = the switch does not say.
	tracePath = "/" + Version + "/trace"
	// matrixPath is who reaches whom in the policy in force: see [MatrixQuestion]. 400 = no such group
	// or network, no such service, or more pairs of instances than one answer has.
	matrixPath = "/" + Version + "/matrix"
	// planPath is what a policy would change: a [PlanQuestion] is posted. 409 = the daemon's own
	// files are not valid, 422 = the policy that was sent is not, 503 = nothing is in force.
	planPath = "/" + Version + "/plan"
	// maxWait bounds ?wait.
	maxWait = time.Hour
)

// Server answers what is asked about one host.
type Server struct {
	Agent     *agent.Agent
	Counters  *telemetry.CounterReader  // nil = nothing is counted
	Conntrack telemetry.ConntrackLister // nil = connections are not listed
	Feed      *telemetry.Feed           // nil = first packets are not watched
	Trials    Trials                    // nil = no policies are kept
	// Devices tells what the host uses its network devices for; nil = it is not asked.
	Devices func() ([]config.Device, error)
	Explain Explainer // nil = nothing is explained
	Tracer  Tracer    // nil = nothing is traced
}

// Handler returns the API.
func (s Server) Handler() http.Handler {
	mux, kept := http.NewServeMux(), newAnswers(s)
	mux.HandleFunc("GET "+statusPath, s.status)
	mux.HandleFunc("GET "+connectionsPath, s.connections)
	mux.HandleFunc("GET "+countersPath, s.counters)
	mux.HandleFunc("GET "+watchPath, s.watch)
	mux.HandleFunc("GET "+inForcePath, s.inForce)
	s.handleTrials(mux)
	mux.HandleFunc("GET "+healthPath, s.health)
	mux.HandleFunc("GET "+explainPath, kept.explain)
	mux.HandleFunc("GET "+tracePath, kept.trace)
	mux.HandleFunc("GET "+matrixPath, kept.matrix)
	mux.HandleFunc("POST "+planPath, kept.plan)
	mux.HandleFunc("/", nothing)
	return mux
}

// status answers statusPath.
func (s Server) status(w http.ResponseWriter, req *http.Request) {
	text := req.URL.Query().Get("wait")
	if text == "" {
		answer(w, http.StatusOK, s.statusOf(s.Agent.Snapshot()))
		return
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		refuse(w, problemf(http.StatusBadRequest, "wait=%q: want a duration up to %s, such as 30s",
			text, maxWait))
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), wait)
	defer cancel()
	snapshot, err := s.Agent.Settle(ctx)
	code := http.StatusOK
	switch {
	case err != nil:
		code = http.StatusGatewayTimeout
	case len(snapshot.Policy.Errors) > 0:
		code = http.StatusConflict
	}
	answer(w, code, s.statusOf(snapshot))
}

// counters answers countersPath.
func (s Server) counters(w http.ResponseWriter, req *http.Request) {
	out, err := Counts{Version: Version}, errNoCounts
	if s.Counters != nil {
		var counts *telemetry.Counts
		if counts, err = s.Counters.Counts(req.Context()); err == nil {
			out.Counts = *counts
		}
	}
	if err != nil {
		out.Error = err.Error()
	}
	answer(w, http.StatusOK, out)
}

var errNoCounts = errors.New("this daemon counts nothing")

// connections answers connectionsPath.
func (s Server) connections(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	q := telemetry.ConnectionsQuery{Port: query.Get("port"), Instance: query.Get("instance"),
		Group: query.Get("group"), Peer: query.Get("peer"), Protocol: query.Get("protocol")}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > telemetry.MaxConnections {
			refuse(w, problemf(http.StatusBadRequest, "limit=%q: want a number from 1 to %d", text,
				telemetry.MaxConnections))
			return
		}
		q.Limit = n
	}
	list, err := telemetry.ListConnections(req.Context(), s.Conntrack, s.Agent.Snapshot(), q)
	switch {
	case errors.Is(err, telemetry.ErrUnknownPort):
		refuse(w, problemf(http.StatusNotFound, "%v", err))
	case err != nil:
		refuse(w, problemf(http.StatusBadGateway, "%v", err))
	default:
		answer(w, http.StatusOK, Connections{Version: Version, ConnectionList: *list})
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	text := json.NewEncoder(w)
	text.SetEscapeHTML(false)
	_ = text.Encode(body) // a client that went away needs no answer
}
