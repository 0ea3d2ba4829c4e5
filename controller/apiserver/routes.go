package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/controller/access"
)

// The one table of routes. The mux, the rights, the OpenAPI document and their tests are made of
// it. Invariant: a route without a role is for whoever was recognised; one that is public says so.

// route is something that can be asked.
type route struct {
	method, path string // as net/http.ServeMux has them
	needs        access.Role
	scope        access.Scope
	what         string      // in one line
	query        []parameter // that it knows; others are refused
	body         shape       // "" = it has none
	answer       shape
	status       int // of a success; 0 = 200
	handle       handler
}

// neededBy is the role that a request needs: what would be is told to whoever sees what is.
func (at route) neededBy(query url.Values) access.Role {
	if query.Get(dryRun.name) == "true" && slices.Contains(at.query, dryRun) {
		return access.Viewer
	}
	return at.needs
}

// handler answers a request of somebody who may ask it.
type handler func(s *Server, r *request) (*reply, error)

// parameter is a key of the query.
type parameter struct {
	name, what string
	kind       string // of JSON Schema
}

// Parameters that several routes have.
var (
	dryRun = parameter{"dry_run", "say what the change would do, and write nothing", "boolean"}
	limit  = parameter{"limit", "at most so many, 1 to 1000", "integer"}
	after  = parameter{"after", "go on behind this name", "string"}
	named  = parameter{"q", "only names that hold this text", "string"}
	// ofGroup is of what is asked of hosts
	ofGroup = parameter{"group", "only rules of this group", "string"}
	lasts   = parameter{"wait", "how long to wait until hosts have it in force, such as 30s", "string"}
)

// routes returns the table: what is of all projects, or of none, and the same below each project.
func routes() []route {
	out := []route{
		{method: http.MethodGet, path: "/v1/whoami", needs: access.Viewer, scope: access.OfSelf,
			what: "who you are, and what you may", answer: shapeWho, handle: (*Server).whoami},
		{method: http.MethodPost, path: "/v1/session", needs: access.Viewer, scope: access.OfSelf,
			what:   "sign a browser in with a token: the answer has the cookie of a session",
			answer: shapeNone, status: http.StatusNoContent, handle: (*Server).openSession},
		{method: http.MethodDelete, path: "/v1/session", needs: access.Viewer, scope: access.OfSelf,
			what: "sign a browser out", answer: shapeNone, status: http.StatusNoContent,
			handle: (*Server).endSession},
		{method: http.MethodGet, path: "/v1/changes", needs: access.Viewer, scope: access.OfAll,
			query: []parameter{limit, {"before", "only generations below this one", "integer"}},
			what:  "the changes that are remembered, the newest first", answer: shapeChanges,
			handle: (*Server).listChanges},
		{method: http.MethodGet, path: "/v1/changes/{generation}", needs: access.Viewer,
			scope: access.OfAll, what: "one change", answer: shapeChange, handle: (*Server).showChange},
		{method: http.MethodPost, path: "/v1/changes/{generation}/rollback", needs: access.Operator,
			scope: access.OfAll, query: []parameter{dryRun},
			what:   "make the policy what it was in that generation",
			answer: shapeDone, handle: (*Server).rollback},
		{method: http.MethodGet, path: "/v1/trial", needs: access.Viewer, scope: access.OfAll,
			what: "the change that is taken back unless it is confirmed", answer: shapeTrial,
			handle: (*Server).showTrial},
		{method: http.MethodPost, path: "/v1/changes/{generation}/confirm", needs: access.Editor,
			scope: access.OfAll, what: "keep the change on trial; 0 = whichever it is",
			answer: shapeDone, handle: (*Server).confirm},
		{method: http.MethodPost, path: "/v1/changes/{generation}/abandon", needs: access.Editor,
			scope: access.OfAll, what: "take the change on trial back at once", answer: shapeDone,
			handle: (*Server).abandon},
		{method: http.MethodGet, path: "/v1/events", needs: access.Viewer, scope: access.OfAll,
			query: []parameter{{"since", "begin after this generation; Last-Event-ID says the same",
				"integer"}}, what: "changes as they come, as server-sent events", answer: shapeEvents,
			handle: (*Server).events},
		{method: http.MethodGet, path: "/v1/hosts", needs: access.Viewer, scope: access.OfAll,
			query: []parameter{{"instance", "of the ports only those of this instance", "string"}},
			what:  "every host: the generation in force, its age, its ports", answer: shapeFleet,
			handle: (*Server).listHosts},
		{method: http.MethodGet, path: "/v1/projects", needs: access.Viewer, scope: access.OfAll,
			query: []parameter{limit, after, named}, what: "the projects, by name",
			answer: shapeProjects, handle: (*Server).listProjects},
		{method: http.MethodPut, path: "/v1/projects/{project}", needs: access.Operator,
			scope: access.OfAll, query: []parameter{dryRun}, what: "make a project, or describe it",
			body: shapeProjectBody, answer: shapeDone, handle: (*Server).putProject},
		{method: http.MethodDelete, path: "/v1/projects/{project}", needs: access.Operator,
			scope: access.OfAll, query: []parameter{dryRun}, what: "remove a project that is empty",
			answer: shapeDone, handle: (*Server).deleteProject},
		{method: http.MethodGet, path: "/v1/projects/{project}", needs: access.Viewer,
			scope: access.OfProject, what: "a project", answer: shapeProject,
			handle: (*Server).showProject},
		{method: http.MethodGet, path: "/v1/tokens", needs: access.Operator, scope: access.OfAll,
			what: "the tokens, without their secrets", answer: shapeTokens,
			handle: (*Server).listTokens},
		{method: http.MethodPost, path: "/v1/tokens", needs: access.Operator, scope: access.OfAll,
			what: "make a token; its text is in this answer and nowhere else", body: shapeNewToken,
			answer: shapeMadeToken, status: http.StatusCreated, handle: (*Server).createToken},
		{method: http.MethodDelete, path: "/v1/tokens/{id}", needs: access.Operator,
			scope: access.OfAll, what: "revoke a token at once", answer: shapeNone,
			status: http.StatusNoContent, handle: (*Server).deleteToken},
	}
	for _, one := range ofProject() {
		out = append(out, one)
		one.path = "/v1/projects/{project}" + one.path[len("/v1"):]
		out = append(out, one)
	}
	return out
}

// ofProject are the routes that are there for each project, and for what is of none.
func ofProject() []route {
	const view, edit = access.Viewer, access.Editor
	out := []route{
		{method: http.MethodGet, path: "/v1/policy", needs: view, query: []parameter{{"generation",
			"of a generation that is remembered", "integer"}}, what: "the policy, as a policy file",
			answer: shapePolicyFile, handle: (*Server).exportPolicy},
		{method: http.MethodGet, path: "/v1/part", needs: view, query: partParameters(),
			what:   "the part of the policy that is about some objects; with no query, all of it",
			answer: shapePart, handle: (*Server).showPart},
		{method: http.MethodGet, path: "/v1/groups", needs: view, query: []parameter{limit, after,
			named}, what: "the groups, by name", answer: shapeGroups, handle: (*Server).listGroups},
		{method: http.MethodGet, path: "/v1/groups/{name}", needs: view,
			what: "a group with its rules", answer: shapeGroup, handle: (*Server).showGroup},
		{method: http.MethodPut, path: "/v1/groups/{name}", needs: edit, query: []parameter{dryRun},
			what: "make a group, or replace it with all of its rules, as one change",
			body: shapeGroupBody, answer: shapeDone, handle: (*Server).putGroup},
		{method: http.MethodPatch, path: "/v1/groups/{name}", needs: edit, query: []parameter{dryRun},
			what: "change keys of a group (JSON merge patch, RFC 7396)", body: shapePatch,
			answer: shapeDone, handle: (*Server).patchGroup},
		{method: http.MethodDelete, path: "/v1/groups/{name}", needs: edit,
			query: []parameter{dryRun}, what: "remove a group that nothing names any more",
			answer: shapeDone, handle: (*Server).deleteGroup},
		{method: http.MethodPost, path: "/v1/groups/{name}/rules", needs: edit,
			query: []parameter{dryRun}, what: "add a rule", body: shapeRule, answer: shapeMadeRule,
			status: http.StatusCreated, handle: (*Server).addRule},
		{method: http.MethodDelete, path: "/v1/groups/{name}/rules/{id}", needs: edit,
			query: []parameter{dryRun}, what: "remove a rule", answer: shapeDone,
			handle: (*Server).deleteRule},
		{method: http.MethodGet, path: "/v1/instances", needs: view, query: []parameter{limit, after,
			named, {"group", "only members of this group", "string"}},
			what: "the instances, by name", answer: shapeInstances, handle: (*Server).listInstances},
		{method: http.MethodGet, path: "/v1/instances/{name}", needs: view,
			what: "an instance with its ports", answer: shapeInstance,
			handle: (*Server).showInstance},
		{method: http.MethodPut, path: "/v1/instances/{name}", needs: edit,
			query: []parameter{dryRun}, what: "make an instance, or replace it with all of its ports",
			body: shapeInstanceBody, answer: shapeDone, handle: (*Server).putInstance},
		{method: http.MethodPatch, path: "/v1/instances/{name}", needs: edit,
			query: []parameter{dryRun}, what: "change keys of an instance (JSON merge patch, RFC 7396)",
			body: shapePatch, answer: shapeDone, handle: (*Server).patchInstance},
		{method: http.MethodDelete, path: "/v1/instances/{name}", needs: edit,
			query: []parameter{dryRun}, what: "remove an instance", answer: shapeDone,
			handle: (*Server).deleteInstance},
		{method: http.MethodPost, path: "/v1/changes", needs: edit, query: []parameter{dryRun},
			what: "several writes as one change", body: shapeSeveral, answer: shapeDone,
			handle: (*Server).changeSeveral},
		{method: http.MethodPost, path: "/v1/plan", needs: edit, what: "what several writes would do as " +
			"one change: who gains, who loses, which live connections are cut; nothing is written",
			body: shapeSeveral, answer: shapePlan, handle: (*Server).plan},
		{method: http.MethodGet, path: "/v1/status", needs: view, query: []parameter{
			{"generation", "which one; left out: the present one", "integer"}, lasts},
			what: "whether a generation is in force on every host", answer: shapeStatus,
			handle: (*Server).status},
		{method: http.MethodGet, path: "/v1/connections", needs: view, query: append(seen(),
			parameter{"limit", "at most so many", "integer"}),
			what:   "live connections, and the rule that admitted each; of all hosts that answer",
			answer: shapeConnections, handle: (*Server).connections},
		{method: http.MethodGet, path: "/v1/counters", needs: view, query: []parameter{ofGroup},
			what:   "what rules and ports have counted, on all hosts that answer",
			answer: shapeCounters, handle: (*Server).counters},
		{method: http.MethodGet, path: "/v1/unused", needs: view, query: []parameter{limit, after, ofGroup},
			what:   "the rules that have admitted nothing, since when, and on how many hosts that is known",
			answer: shapeUnused, handle: (*Server).unused},
		{method: http.MethodGet, path: "/v1/suggestions", needs: view, query: []parameter{
			{"src", "the address that the packet comes from", "string"},
			{"dst", "the address that it goes to", "string"},
			{"service", "of the packet, such as tcp/443 or icmp/8/0", "string"}},
			what:   "the rules that would admit a first packet, the narrowest first",
			answer: shapeSuggested, handle: (*Server).suggestions},
		{method: http.MethodGet, path: "/v1/denied", needs: view, query: betweenEnds(),
			what: "packets that are denied, as they come, as server-sent events", answer: shapeEvents,
			handle: (*Server).denied},
		{method: http.MethodGet, path: "/v1/watch", needs: view, query: append(betweenEnds(),
			parameter{"verdict", "admitted or denied; left out: both", "string"}),
			what:   "first packets as rules admit and deny them, as server-sent events",
			answer: shapeEvents, handle: (*Server).packets},
		{method: http.MethodGet, path: "/v1/explain", needs: view, query: questionParameters(),
			what:   "why one end reaches another or not, or who reaches it: leave out 'from' or 'to'",
			answer: shapeExplained, handle: (*Server).explain},
		{method: http.MethodGet, path: "/v1/matrix", needs: view,
			query: []parameter{{"instances", "pairs of instances, not of groups", "boolean"},
				{"from", "only from this one", "string"}, {"to", "only to this one", "string"},
				{"group", "only instances of this group", "string"},
				{"service", "only by this service", "string"},
				{"rows", "a part: from these ends, one a line", "string"},
				{"columns", "a part: to these ends, one a line", "string"}},
			what: "who reaches whom", answer: shapeMatrix, handle: (*Server).matrix},
	}
	for n := range out {
		out[n].scope = access.OfProject
	}
	return out
}

// betweenEnds are those of a stream of first packets.
func betweenEnds() []parameter {
	return append(seen(), parameter{"from", "only from this one", "string"},
		parameter{"to", "only to this one", "string"})
}

// seen are the parameters by which connections and packets are chosen.
func seen() []parameter {
	return []parameter{{"port", "only of this port", "string"},
		{"instance", "only of this instance", "string"},
		{"group", "only of instances of this group", "string"},
		{"peer", "only with this other end", "string"}, {"protocol", "only of this one", "string"}}
}

func questionParameters() []parameter {
	return []parameter{{"from", "an instance, port, group, network or address", "string"},
		{"to", "an instance, port, group, network or address", "string"},
		{"service", "such as tcp/443, https or icmp", "string"},
		{"via", "only this kind of way: direct or router", "string"},
		{"live", "ask the switches of the hosts of both ends, too", "boolean"}}
}

// nothing answers what is no route.
func nothing(w http.ResponseWriter, req *http.Request) {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch,
		http.MethodPost, http.MethodDelete} {
		if has(method, req.URL.Path) {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		problemf(http.StatusNotFound, "there is nothing at %s; /openapi.json says what there is",
			req.URL.Path).write(w)
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	problemf(http.StatusMethodNotAllowed, "%s is asked by %s, not %s", req.URL.Path,
		strings.Join(methods, " or "), req.Method).write(w)
}

// has says whether a route has a path by a method.
func has(method, path string) bool {
	return slices.ContainsFunc(routes(), func(r route) bool {
		return r.method == method && fits(strings.Split(r.path, "/"), strings.Split(path, "/"))
	})
}

func fits(pattern, path []string) bool {
	return slices.EqualFunc(pattern, path, func(a, b string) bool {
		return a == b || strings.HasPrefix(a, "{") && b != ""
	})
}
