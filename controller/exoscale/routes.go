package exoscale

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The one table of routes. Invariant: one that changes something needs an editor, and answers an
// operation.

// route is something that can be asked.
type route struct {
	method, path string // as net/http.ServeMux has them
	needs        access.Role
	what         string   // in words, for the history
	query        []string // that it knows; others are refused
	read         func(r *request, s *seen) (any, error)
	write        func(r *request) (change, error)
}

// change is a write in the making.
type change struct {
	// group is the ID of the group that it is about; "" = the one that it makes, whose name is made.
	group, made string
	edit        func(s *seen) (policydb.Edited, error)
}

func routes() []route {
	const view, edit = access.Viewer, access.Editor
	const get, put, post, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	return []route{
		{get, "/v2/security-group", view, "", []string{"visibility"}, listGroups, nil},
		{get, "/v2/security-group/{id}", view, "", nil, showGroup, nil},
		{post, "/v2/security-group", edit, "make a group", nil, nil, createGroup},
		{del, "/v2/security-group/{id}", edit, "remove a group", nil, nil, deleteGroup},
		{post, "/v2/security-group/{id}/rules", edit, "add a rule", nil, nil, addRule},
		{del, "/v2/security-group/{id}/rules/{rule}", edit, "remove a rule", nil, nil, deleteRule},
		{put, "/v2/security-group/{id}", edit, "sources and members of a group", nil, nil, putGroup},
		{get, "/v2/operation/{id}", view, "", nil, showOperation, nil},
		{get, "/v2/instance", view, "",
			[]string{"manager-id", "manager-type", "ip-address", "labels"}, listInstances, nil},
		{get, "/v2/instance/{id}", view, "", nil, showInstance, nil},
		{get, "/v2/instance-type/{id}", view, "", nil, showInstanceType, nil},
		{get, "/v2/template/{id}", view, "", nil, showTemplate, nil},
		{get, "/v2/reverse-dns/instance/{id}", view, "", nil, showReverseDNS, nil},
	}
}

// operation is a write as it is answered: it is done.
type operation struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Reference reference `json:"reference"`
}

// reference is what an operation was on: always the group, also for its rules.
type reference struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Command string `json:"command"`
}

func done(group string) operation {
	return operation{operationID(group), "success",
		reference{group, "/v2/security-group/" + group, "get-security-group"}}
}

func showOperation(r *request, _ *seen) (any, error) {
	group := groupOf(r.PathValue("id"))
	if group == "" {
		return nil, none("operation", r.PathValue("id"))
	}
	return done(group), nil
}

// none says that something is not there, or is not the key's.
func none(kind, id string) error {
	return apiserver.Refusal(http.StatusNotFound, "there is no %s %q here", kind, id)
}

// decode reads a body. A key that is not known is refused: it may be one that would have the rule
// admit less.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, next := d.Token(); !errors.Is(next, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return apiserver.Refusal(http.StatusBadRequest, "the body: %v", err)
	}
	return nil
}
