package apiserver

import (
	"encoding"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The OpenAPI 3.1 document: of the table of routes, of the schema of policy files, and of the types
// that are answered. `portcullis schema openapi` prints it, and docs/openapi.json is it.

// shape names a schema of the document.
type shape string

// The shapes of bodies and answers.
const (
	shapeNone         shape = "" // nothing
	shapeAny          shape = "Any"
	shapeWho          shape = "Who"
	shapeGroup        shape = "Group"
	shapeGroups       shape = "Groups"
	shapeGroupBody    shape = "GroupBody"
	shapeRule         shape = "Rule"
	shapeInstance     shape = "Instance"
	shapeInstances    shape = "Instances"
	shapeInstanceBody shape = "InstanceBody"
	shapePatch        shape = "Patch"
	shapeSeveral      shape = "Several"
	shapeDone         shape = "Done"
	shapeMadeRule     shape = "MadeRule"
	shapeChange       shape = "Change"
	shapeChanges      shape = "Changes"
	shapeProject      shape = "Project"
	shapeProjects     shape = "Projects"
	shapeProjectBody  shape = "ProjectBody"
	shapeStatus       shape = "Status"
	shapeFleet        shape = "Fleet"
	shapeConnections  shape = "Connections"
	shapeCounters     shape = "Counters"
	shapeExplained    shape = "Explained"
	shapeMatrix       shape = "Matrix"
	shapePlan         shape = "Plan"
	shapeUnused       shape = "Unused"
	shapeSuggested    shape = "Suggested"
	shapeToken        shape = "Token"
	shapeTokens       shape = "Tokens"
	shapeNewToken     shape = "NewToken"
	shapeMadeToken    shape = "MadeToken"
	shapeProblem      shape = "Problem"
	shapePolicyFile   shape = "PolicyFile"
	shapePart         shape = "Part"
	shapeTrial        shape = "Trial"
	shapeEvents       shape = "Events"
)

// object is a JSON object that is being made.
type object map[string]any

// Document returns the OpenAPI document.
func Document() map[string]any {
	paths := object{}
	for _, one := range routes() {
		at, _ := paths[one.path].(object)
		if at == nil {
			at = object{}
			paths[one.path] = at
		}
		at[strings.ToLower(one.method)] = one.operation()
	}
	return object{"openapi": "3.1.0",
		"info": object{"title": "Portcullis", "version": "1",
			"description": "Security groups of a fleet of hosts, for operators and tenants. What is " +
				"below /v1/projects/{project} is there for each project; the same without it is of all."},
		"paths": paths,
		"components": object{"schemas": schemas(),
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}}},
		"security": []object{{"token": []string{}}}}
}

// operation describes a route.
func (r route) operation() object {
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	success := object{"description": "done"}
	if r.answer != shapeNone {
		kind := "application/json"
		switch r.answer {
		case shapePolicyFile:
			kind = "application/yaml"
		case shapeEvents:
			kind = "text/event-stream"
		}
		success["content"] = object{kind: object{"schema": reference(r.answer)}}
	}
	out := object{"summary": r.what, "operationId": r.name(),
		"description": "Needs the role " + r.needs.String() + " " + scopeWords[r.scope] + ".",
		"responses": object{strconv.Itoa(status): success, "default": object{
			"description": "no: the body says why",
			"content": object{"application/problem+json": object{
				"schema": reference(shapeProblem)}}}}}
	if list := r.parameters(); len(list) > 0 {
		out["parameters"] = list
	}
	if r.body != shapeNone {
		out["requestBody"] = object{"required": true,
			"content": object{"application/json": object{"schema": reference(r.body)}}}
	}
	return out
}

var scopeWords = map[access.Scope]string{access.OfProject: "in the project, or in all",
	access.OfAll: "in all projects", access.OfSelf: "in any project"}

// name is a word for a route that no other has.
func (r route) name() string {
	words := strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/{}", c) })
	return strings.ToLower(r.method) + "-" + strings.Join(words[1:], "-")
}

// parameters are those of the path, of the query, and the headers that conditions are in.
func (r route) parameters() (out []object) {
	for _, word := range strings.Split(r.path, "/") {
		if name, isOne := strings.CutPrefix(word, "{"); isOne {
			out = append(out, object{"name": strings.TrimSuffix(name, "}"), "in": "path",
				"required": true, "schema": object{"type": "string"}})
		}
	}
	for _, p := range r.query {
		out = append(out, object{"name": p.name, "in": "query", "description": p.what,
			"schema": object{"type": p.kind}})
	}
	if isReplacing := r.method == http.MethodPut || r.method == http.MethodPatch; isReplacing ||
		r.method == http.MethodDelete && r.answer == shapeDone {
		out = append(out, header("If-Match", "the ETag of what is replaced, or *"))
	}
	if r.method == http.MethodPost {
		out = append(out, header("Idempotency-Key", "a request that is repeated with the same key is "+
			"made once"))
	}
	return out
}

func header(name, what string) object {
	return object{"name": name, "in": "header", "description": what,
		"schema": object{"type": "string"}}
}

func reference(s shape) object { return object{"$ref": "#/components/schemas/" + string(s)} }

// policyObject is a policy, or a part of one.
func policyObject(file map[string]object) object {
	return object{"type": "object", "properties": object{
		"groups": listOf(file["groups"]), "instances": listOf(file["instances"]),
		"projects": listOf(file["projects"]), "networks": object{"type": "object"}}}
}

// schemas are all shapes.
func schemas() object {
	file := fileSchemas()
	out := object{
		string(shapeAny):        object{},
		string(shapePolicyFile): object{"type": "string"},
		string(shapeEvents):     object{"type": "string"},
		string(shapePatch):      object{"type": "object"},
		string(shapeGroupBody):  without(file["groups"], "name"),
		string(shapeRule):       ruleOf(file["groups"]),
		string(shapeGroup): with(file["groups"], object{"id": object{"type": "string"},
			"members": object{"type": "integer"}, "rules": listOf(with(ruleOf(file["groups"]),
				object{"id": object{"type": "string"}}))}),
		string(shapeInstanceBody): without(file["instances"], "name"),
		string(shapeInstance):     file["instances"],
		string(shapePart): object{"type": "object", "properties": object{
			"generation": object{"type": "integer"}, "policy": policyObject(file),
			"members": object{"type": "object", "description": "how many instances each group has, " +
				"where all groups are asked for", "additionalProperties": object{"type": "integer"}}}},
		string(shapeSeveral): object{"type": "object", "additionalProperties": false,
			"properties": object{"put": policyObject(file),
				"generation": object{"type": "integer"}, "message": object{"type": "string"},
				"confirm": object{"type": "string", "description": "taken back after this time, such as " +
					"60s, unless it is confirmed"},
				"remove": object{"type": "object", "properties": object{
					"projects":  listOf(object{"type": "string"}),
					"groups":    listOf(object{"type": "string"}),
					"instances": listOf(object{"type": "string"})}}}},
	}
	addReflected(out)
	rule := with(ruleOf(file["groups"]), object{"id": object{"type": "string"}})
	out[string(shapeMadeRule)] = with(reflected(Done{}), object{"rule": rule})
	for list, of := range map[shape]shape{shapeGroups: shapeGroup, shapeInstances: shapeInstance,
		shapeChanges: shapeChange, shapeProjects: shapeProject, shapeTokens: shapeToken} {
		out[string(list)] = object{"type": "object", "required": []string{"items"},
			"properties": object{"items": listOf(reference(of)),
				"generation": object{"type": "integer"}, "next": object{"type": "string"}}}
	}
	return out
}

// addReflected adds the shapes that are those of Go values.
func addReflected(out object) {
	for name, of := range map[shape]any{shapeWho: Who{}, shapeDone: Done{}, shapeChange: Change{},
		shapeStatus: Status{}, shapeFleet: statusdb.Fleet{}, shapeConnections: Connections{},
		shapeCounters: Counters{}, shapeProject: Project{}, shapeProjectBody: ProjectBody{},
		shapePlan: Plan{}, shapeExplained: Explained{}, shapeMatrix: Matrix{}, shapeUnused: Unused{},
		shapeSuggested: Suggested{},
		shapeToken:     Token{}, shapeNewToken: NewToken{}, shapeMadeToken: MadeToken{},
		shapeProblem: Problem{}, shapeTrial: Trials{}} {
		out[string(name)] = reflected(of)
	}
}

func listOf(of object) object { return object{"type": "array", "items": of} }

// fileSchemas are those of the entries of the lists of a policy file.
func fileSchemas() map[string]object {
	var whole struct {
		Properties map[string]struct{ Items object }
	}
	if err := json.Unmarshal(policyfile.Schema(), &whole); err != nil {
		panic(err) // it is written into the program
	}
	out := map[string]object{}
	for list, p := range whole.Properties {
		out[list] = p.Items
	}
	return out
}

// ruleOf is the schema of a rule of that of a group.
func ruleOf(group object) object {
	properties, _ := group["properties"].(map[string]any)
	rules, _ := properties["rules"].(map[string]any)
	rule, _ := rules["items"].(map[string]any)
	return object(rule)
}

// without is a schema that does not require a key.
func without(of object, key string) object {
	out := maps.Clone(of)
	delete(out, "required")
	properties := maps.Clone(propertiesOf(of))
	properties[key] = object{"type": "string", "description": "as in the path; may be left out"}
	out["properties"] = properties
	return out
}

// with is a schema with more keys.
func with(of, keys object) object {
	out := maps.Clone(of)
	properties := maps.Clone(propertiesOf(of))
	maps.Copy(properties, keys)
	out["properties"] = properties
	return out
}

func propertiesOf(of object) map[string]any {
	switch p := of["properties"].(type) {
	case map[string]any:
		return p
	case object:
		return p
	}
	return map[string]any{}
}

// reflected is the schema of a type of Go.
func reflected(v any) object {
	r := jsonschema.Reflector{DoNotReference: true, Anonymous: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[access.Role]():
				s := &jsonschema.Schema{Type: "string"}
				for _, role := range access.Roles() {
					s.Enum = append(s.Enum, role.String())
				}
				return s
			case reflect.TypeFor[policy.Rule]():
				return &jsonschema.Schema{Ref: "#/components/schemas/" + string(shapeRule)}
			}
			if t != reflect.TypeFor[time.Time]() && t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
				return &jsonschema.Schema{Type: "string"} // of a time the format is known, too
			}
			return nil
		}}
	text, err := json.Marshal(r.Reflect(v))
	if err != nil {
		panic(err) // types are written into the program
	}
	out := object{}
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	delete(out, "$schema")
	return out
}
