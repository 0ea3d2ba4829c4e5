package console

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// next answers what the console does not.
var next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusTeapot)
})

// small is a bundle.
func small() fstest.MapFS {
	return fstest.MapFS{
		"index.html":            {Data: []byte(`<meta name="portcullis-sign-in" content=""><script src="/assets/main-1.js">`)},
		"assets/main-1.js":      {Data: []byte("text")},
		"assets/main-1.js.gz":   {Data: compress("text")},
		"assets/icon-2.svg":     {Data: []byte("<svg/>")},
		"not-of-the-bundle.txt": {Data: []byte("secret")},
	}
}

func compress(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // into memory
	_ = w.Close()
	return b.Bytes()
}

// ask asks a console; headers are "Name: value".
func ask(t *testing.T, o Options, method, path string, headers ...string) *http.Response {
	t.Helper()
	around, err := Handler(o)
	require.NoError(t, err)
	req := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	around(next).ServeHTTP(w, req)
	return w.Result()
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(text)
}

const wantsPage = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"

// TestWhoIsAnsweredWhat: people get the page wherever they are in the console, programs and what is
// the API's go on to the API.
func TestWhoIsAnsweredWhat(t *testing.T) {
	o := Options{Files: small()}
	for path, want := range map[string]int{"/": 200, "/groups/acme%2Fweb": 200, "/why?from=a": 200,
		"/v1": 418, "/v1/nonsense": 418, "/v2/x": 418, "/auth/nonsense": 418, "/docs/x": 418,
		"/assets/gone-1.js": 418, "/assets/": 418, "/assets/main-1.js": 200,
		"/assets/../not-of-the-bundle.txt": 418} {
		res := ask(t, o, "GET", path, wantsPage)
		assert.Equal(t, want, res.StatusCode, path)
		assert.NotContains(t, bodyOf(t, res), "secret", path)
	}
	for path, want := range map[string]int{"/": 200, "/groups/x": 418, "/not-of-the-bundle.txt": 418,
		"/index.html": 418, "/assets/main-1.js.gz": 418} {
		assert.Equal(t, want, ask(t, o, "GET", path, "Accept: */*").StatusCode, path)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		assert.Equal(t, 418, ask(t, o, method, "/", wantsPage).StatusCode, method)
	}
	head := ask(t, o, "HEAD", "/", wantsPage)
	assert.Equal(t, 200, head.StatusCode)
	assert.Empty(t, bodyOf(t, head))
}

// TestHeaders are those that browsers hold the page to.
func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/assets/main-1.js", "/assets/icon-2.svg"} {
		h := ask(t, Options{Files: small()}, "GET", path).Header
		csp := strings.Split(h.Get("Content-Security-Policy"), "; ")
		assert.ElementsMatch(t, []string{"default-src 'none'", "script-src 'self'", "style-src 'self'",
			"connect-src 'self'", "img-src 'self'", "worker-src 'self'",
			"require-trusted-types-for 'script'", "trusted-types portcullis", "frame-ancestors 'none'",
			"base-uri 'none'", "form-action 'self'"}, csp, path)
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "no-referrer", h.Get("Referrer-Policy"), path)
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"), path)
	}
	kinds := map[string]string{"/": "text/html; charset=utf-8",
		"/assets/main-1.js": "text/javascript; charset=utf-8", "/assets/icon-2.svg": "image/svg+xml"}
	for path, kind := range kinds {
		assert.Equal(t, kind, ask(t, Options{Files: small()}, "GET", path).Header.Get("Content-Type"))
	}
}

// TestCaching: what has a hash in its name is kept for good, the page is asked for each time.
func TestCaching(t *testing.T) {
	o := Options{Files: small()}
	js := ask(t, o, "GET", "/assets/main-1.js")
	assert.Equal(t, "public, max-age=31536000, immutable", js.Header.Get("Cache-Control"))
	page := ask(t, o, "GET", "/")
	assert.Equal(t, "no-cache", page.Header.Get("Cache-Control"))
	again := ask(t, o, "GET", "/", "If-None-Match: "+page.Header.Get("ETag"))
	assert.Equal(t, http.StatusNotModified, again.StatusCode)
	assert.Empty(t, bodyOf(t, again))
	assert.NotEmpty(t, again.Header.Get("Content-Security-Policy"))
	assert.Equal(t, 200, ask(t, o, "GET", "/", `If-None-Match: "other"`).StatusCode)
	assert.NotEqual(t, page.Header.Get("ETag"), ask(t, Options{Files: small(), SignIn: "/auth/login"},
		"GET", "/").Header.Get("ETag"), "another page has another tag")
}

// TestCompressed: who takes gzip gets it, who does not gets the same as it is.
func TestCompressed(t *testing.T) {
	o := Options{Files: small()}
	for _, accepts := range []string{"gzip", "br, gzip;q=0.8, *;q=0.1"} {
		res := ask(t, o, "GET", "/assets/main-1.js", "Accept-Encoding: "+accepts)
		require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
		assert.Equal(t, "Accept-Encoding", res.Header.Get("Vary"))
		r, err := gzip.NewReader(res.Body)
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, "text", string(text))
	}
	for _, accepts := range []string{"identity", "br", "gzip;q=0", "gzip;q=0.0, br"} {
		plain := ask(t, o, "GET", "/assets/main-1.js", "Accept-Encoding: "+accepts)
		assert.Empty(t, plain.Header.Get("Content-Encoding"), accepts)
		assert.Equal(t, "text", bodyOf(t, plain), accepts)
	}
	assert.Empty(t, ask(t, o, "GET", "/assets/icon-2.svg", "Accept-Encoding: gzip").
		Header.Get("Content-Encoding"), "it has no compressed twin")
}

// TestSignInIsTold: the page has where people sign in; a name that is markup stays text.
func TestSignInIsTold(t *testing.T) {
	assert.Contains(t, bodyOf(t, ask(t, Options{Files: small()}, "GET", "/")),
		`name="portcullis-sign-in" content=""`)
	assert.Contains(t, bodyOf(t, ask(t, Options{Files: small(), SignIn: `/auth/"><b>`}, "GET", "/")),
		`name="portcullis-sign-in" content="/auth/&#34;&gt;&lt;b&gt;"`)
}

// TestNotBuilt: a program that was built without npm says so, under the same headers.
func TestNotBuilt(t *testing.T) {
	res := ask(t, Options{Files: fstest.MapFS{".gitkeep": {}}}, "GET", "/groups/x", wantsPage)
	assert.Equal(t, 200, res.StatusCode)
	assert.Contains(t, bodyOf(t, res), "npm was missing")
	assert.NotEmpty(t, res.Header.Get("Content-Security-Policy"))
	_, err := Handler(Options{})
	require.NoError(t, err, "whatever is embedded in this program")
}
