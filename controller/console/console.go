// Package console serves the web console: one page and its scripts, which bundle makes of web and
// which are embedded. The command serve has controller/apiserver mount it at /. It knows nothing of
// policies: the page asks the API, as everybody does.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

// What browsers get. Invariant: no answer lets a script, a style, a frame or a request of another
// origin in.

//go:embed all:dist
var dist embed.FS

// policyOfContent lets the page have what this server has, and nothing else: no script and no style
// within the page, no frame around it, and no text that becomes markup or a script (Trusted Types).
const policyOfContent = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self'; worker-src 'self'; require-trusted-types-for 'script'; " +
	"trusted-types portcullis; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

const (
	// kept is how long browsers keep what has the hash of its content in its name.
	kept = "public, max-age=31536000, immutable"
	// asked is of the page: it is kept, and asked for again each time.
	asked = "no-cache"
)

// Options say what the page is to know before anybody has signed in.
type Options struct {
	// SignIn is where people sign in by a provider; "" = only by a token.
	SignIn string
	// Files are those of the bundle; nil = the embedded ones.
	Files fs.FS
}

// file is one that is answered.
type file struct {
	kind, etag  string
	text, small []byte // small is text by gzip; nil = it has none
}

// console answers, and leaves all else to the next.
type console struct {
	page  file
	files map[string]file // by path
	next  http.Handler
}

// Handler reads the bundle. What it returns answers the page wherever a person may be in it, and
// has next answer what is no part of the console.
func Handler(o Options) (func(next http.Handler) http.Handler, error) {
	if o.Files == nil {
		o.Files, _ = fs.Sub(dist, "dist") // it is there: it is embedded
	}
	page, err := o.read("index.html")
	if errors.Is(err, fs.ErrNotExist) {
		page, err = made("index.html", []byte(notBuilt), nil), nil
	}
	if err != nil {
		return nil, err
	}
	files := map[string]file{}
	found, err := fs.Glob(o.Files, "assets/*")
	for _, name := range found {
		if path.Ext(name) == ".gz" {
			continue
		}
		if files["/"+name], err = o.read(name); err != nil {
			return nil, err
		}
	}
	return func(next http.Handler) http.Handler { return &console{page, files, next} }, err
}

// read reads a file and its compressed twin. The page is told where people sign in.
func (o Options) read(name string) (file, error) {
	text, err := fs.ReadFile(o.Files, name)
	if err != nil {
		return file{}, fmt.Errorf("the console: %w", err)
	}
	if name == "index.html" && o.SignIn != "" {
		const empty = `name="portcullis-sign-in" content="`
		text = bytes.Replace(text, []byte(empty), []byte(empty+html.EscapeString(o.SignIn)), 1)
		return made(name, text, nil), nil
	}
	small, err := fs.ReadFile(o.Files, name+".gz")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return file{}, fmt.Errorf("the console: %w", err)
	}
	return made(name, text, small), nil
}

func made(name string, text, small []byte) file {
	sum := sha256.Sum256(text)
	return file{kind: mime.TypeByExtension(path.Ext(name)), text: text, small: small,
		etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// notBuilt is the page of a program that was built without npm.
const notBuilt = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Portcullis</title></head>
<body><h1>This program was built without its console</h1>
<p>npm was missing: install it (apt-get install nodejs npm) and build again (make build).
The <a href="/docs">API</a> and the command line do all that the console does.</p></body></html>
`

// ServeHTTP answers a page or a file.
func (c *console) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		c.next.ServeHTTP(w, req)
		return
	}
	f, isFile := c.files[req.URL.Path]
	switch {
	case isFile:
		f.send(w, req, kept)
	case isPage(req):
		c.page.send(w, req, asked)
	default:
		c.next.ServeHTTP(w, req)
	}
}

// isPage says whether a browser opens a page: at / in any case, elsewhere if it asks for HTML. What
// is the API's, programs and people alike are told by the API.
func isPage(req *http.Request) bool {
	if req.URL.Path == "/" {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	return strings.Contains(req.Header.Get("Accept"), "text/html") &&
		!slices.Contains([]string{"v1", "v2", "auth", "docs", "assets"}, first)
}

// send answers with a file, compressed for who takes that.
func (f file) send(w http.ResponseWriter, req *http.Request, caching string) {
	h := w.Header()
	h.Set("Cache-Control", caching)
	h.Set("Content-Security-Policy", policyOfContent)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if req.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := f.text
	if f.small != nil && takesGzip(req.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		text = f.small
	}
	if req.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that went away needs no answer
	}
}

// takesGzip says whether a client takes answers by gzip (RFC 9110, 12.5.3); a weight of 0 is a no.
func takesGzip(accepts string) bool {
	for one := range strings.SplitSeq(accepts, ",") {
		coding, weight, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(one, " ", "")), ";q=")
		if coding == "gzip" {
			return strings.Trim(weight, "0.") != "" || weight == ""
		}
	}
	return false
}
