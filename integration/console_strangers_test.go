//go:build integration

package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A part of the story of the console: pages of other sites, in the browser of somebody who is
// signed in.

// strangersPage shows the console in a frame, to have it clicked, and has the browser write: by
// scripts, and by a form, which needs none.
const strangersPage = `<!doctype html><title>a stranger</title>
<iframe id=frame src="%[1]s/groups/frontend"></iframe><iframe name=answer></iframe>
<form method=post enctype="text/plain" target=answer action="%[1]s/v1/changes">
<input name='{"put":{"groups":[{"name":"stolen"}]},"message":"' value='"}'></form>
<script>
const body = '{"put":{"groups":[{"name":"stolen"}]}}', url = "%[1]s/v1/";
Promise.allSettled([
	fetch(url + "groups", {credentials: "include"}),
	fetch(url + "groups/stolen", {method: "PUT", credentials: "include", body: "{}"}),
	fetch(url + "changes", {method: "POST", mode: "no-cors", credentials: "include", body}),
	fetch(url + "session", {method: "DELETE", credentials: "include"}),
]).then((all) => {
	document.querySelector("[name=answer]").onload = () => { window.outcome = all.map((a) => a.status).join(" "); };
	document.forms[0].submit();
});
</script>`

// keepsOff has pages of another site, and of another port of this one, try it.
func (c *console) keepsOff(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, strangersPage, c.url)
	}))
	t.Cleanup(stranger.Close)
	for _, address := range []string{stranger.URL,
		strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)} {
		b := c.newTab(t)
		b.signIn(c.token, "/")
		b.sees("frontend")
		b.do(chromedp.Navigate(address))
		b.await("window.outcome !== undefined", "all that the stranger tries is answered")
		assert.Equal(t, "rejected rejected fulfilled rejected", eval[string](b.shown, "window.outcome"),
			"a stranger reads no answer, and sends nothing that asks first")
		b.shown.mu.Lock()
		said := strings.Join(b.said, "\n")
		b.shown.mu.Unlock()
		assert.Equal(t, 2, strings.Count(said, "frame-ancestors 'none'"),
			"neither the console nor an answer is shown in a frame: %s", said)
		b.visit("/")
		b.sees("frontend")
		require.NotContains(t, c.must("GET", "/v1/groups", ""), "stolen")
	}
}
