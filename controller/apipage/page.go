// Package apipage is a page for people of an OpenAPI document: without scripts, and without a
// request to anywhere else. controller/apiserver serves it at /docs.
package apipage

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// The page is made once, of the same bytes that /openapi.json answers. Invariant: what the document
// says is text, whatever it is.

//go:embed page.html
var pageText string

//go:embed style.css
var style []byte

// Paths of the page and of its style.
const (
	Path      = "/docs"
	stylePath = "/docs/style.css"
)

// policyOfContent lets the page have its own style, and nothing else.
const policyOfContent = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

// document is what is read of one.
type document struct {
	Info struct{ Title, Version, Description string }
	// Paths by method; a schema is shown as it is.
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]json.RawMessage
	}
}

type operation struct {
	Summary, Description, OperationID string
	Parameters                        []struct {
		Name, In, Description string
		Required              bool
		Schema                struct{ Type string }
	}
	RequestBody struct{ Content map[string]content }
	Responses   map[string]struct {
		Description string
		Content     map[string]content
	}
}

type content struct {
	Schema struct {
		Ref string `json:"$ref"`
	}
}

// Shape is the name of the schema that a body or an answer has.
func (c content) Shape() string {
	return strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")
}

// entry is an operation at its place.
type entry struct {
	Method, Path string
	operation
}

type shape struct{ Name, Text string }

// Handler serves the page of a document.
func Handler(text []byte) (http.Handler, error) {
	page, err := render(text)
	if err != nil {
		return nil, err
	}
	send := func(kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Security-Policy", policyOfContent)
			_, _ = w.Write(body) // a client that went away needs no answer
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, send("text/html; charset=utf-8", page))
	mux.Handle("GET "+stylePath, send("text/css; charset=utf-8", style))
	return mux, nil
}

// render makes the page.
func render(text []byte) ([]byte, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	var operations []entry
	for path, methods := range d.Paths {
		for method, one := range methods {
			operations = append(operations, entry{strings.ToUpper(method), path, one})
		}
	}
	slices.SortFunc(operations, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	var shapes []shape
	for name, raw := range d.Components.Schemas {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return nil, err
		}
		shapes = append(shapes, shape{name, b.String()})
	}
	slices.SortFunc(shapes, func(a, b shape) int { return strings.Compare(a.Name, b.Name) })
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Info": d.Info, "Operations": operations, "Shapes": shapes})
	return out.Bytes(), err
}
