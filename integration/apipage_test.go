//go:build integration

package integration

// The page of the API in a real browser.

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/apipage"
)

// TestBrowser_PageOfTheAPI opens the page at /docs: its style is in force, each operation opens,
// and nobody else is asked for anything.
func TestBrowser_PageOfTheAPI(t *testing.T) {
	document, err := os.ReadFile("../docs/schema/openapi.json")
	require.NoError(t, err)
	page, err := apipage.Handler(document)
	require.NoError(t, err)
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	s := visit(t, server.URL+apipage.Path, "main")
	require.Equal(t, "pointer", eval[string](s, `getComputedStyle(document.querySelector("summary")).cursor`))
	require.Positive(t, eval[int](s, `document.querySelectorAll("details").length`))
	require.Zero(t, eval[int](s, `document.querySelectorAll("script").length`))
	require.True(t, eval[bool](s, `[...document.querySelectorAll("a[href^='#']")].every(
		a => document.getElementById(a.getAttribute("href").slice(1)) !== null)`), "links lead somewhere")
	require.Contains(t, s.text("details"), "/v1/")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range s.asked {
		require.Contains(t, address, server.URL)
	}
	require.NotEmpty(t, s.asked)
	for _, said := range s.said {
		require.NotContains(t, said, "Content Security Policy")
	}
}
