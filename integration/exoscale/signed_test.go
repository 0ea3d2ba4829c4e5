package exoscale

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// Requests that are signed here, so that a test can have them be wrong in one thing at a time.

// said is what came of a request.
type said struct {
	status int
	header http.Header
	text   string
}

// message is what a refusal says.
func (s said) message() string {
	var body struct{ Message, Detail string }
	_ = json.Unmarshal([]byte(s.text), &body)
	if body.Message != body.Detail {
		return "message and detail differ"
	}
	return body.Message
}

// into reads the body.
func (s said) into(c *cloud, v any) {
	c.t.Helper()
	require.Equal(c.t, 200, s.status, s.text)
	require.NoError(c.t, json.Unmarshal([]byte(s.text), v))
}

// sign is the header of a request.
func sign(p pair, method, target, body string, expires time.Time) string {
	u, _ := url.ParseRequestURI(target)
	var names []string
	for name := range u.Query() {
		names = append(names, name)
	}
	slices.Sort(names)
	values, args := "", ""
	for _, name := range names {
		values += u.Query().Get(name)
	}
	if len(names) > 0 {
		args = ",signed-query-args=" + strings.Join(names, ";")
	}
	h := hmac.New(sha256.New, []byte(p.Secret))
	fmt.Fprintf(h, "%s %s\n%s\n%s\n\n%d", method, u.EscapedPath(), body, values, expires.Unix())
	return fmt.Sprintf("EXO2-HMAC-SHA256 credential=%s%s,expires=%d,signature=%s", p.Key, args,
		expires.Unix(), base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

// unique is a time that no request before has had: two equal ones have different signatures so.
func (c *cloud) unique() time.Time {
	c.signed++
	return time.Now().Add(10*time.Minute - time.Duration(c.signed%300)*time.Second)
}

// send signs a request and sends it.
func (c *cloud) send(p pair, method, target, body string) said {
	c.t.Helper()
	return c.raw(method, target, body, sign(p, method, target, body, c.unique()))
}

// raw sends a request with a header as it is; "" = without.
func (c *cloud) raw(method, target, body, authorization string) said {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+target, strings.NewReader(body))
	require.NoError(c.t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	if res.StatusCode >= 400 {
		require.Equal(c.t, "application/problem+json", res.Header.Get("Content-Type"))
	}
	return said{res.StatusCode, res.Header, string(text)}
}
