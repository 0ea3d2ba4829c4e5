package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Profiles are on the API's socket only if they are asked for: they show what the daemon knows.
func TestProfilesAreOffUnlessAskedFor(t *testing.T) {
	for _, c := range []struct {
		flags  []string
		status int
	}{{nil, http.StatusNotFound}, {[]string{"--pprof"}, http.StatusOK}} {
		d := newDaemon(t)
		d.flags = c.flags
		d.ready()
		socket := d.vs.Dir + "/api.sock"
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}}
		for _, page := range []string{"/debug/pprof/", "/debug/pprof/heap",
			"/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
			resp, err := client.Get("http://portcullis" + page)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, c.status, resp.StatusCode, page)
			require.Equal(t, c.status == http.StatusOK && strings.HasSuffix(page, "debug=1"),
				strings.Contains(string(text), "goroutine profile:"))
		}
		require.NotEmpty(t, d.settled().Ports, "the API is there beside them")
	}
}
