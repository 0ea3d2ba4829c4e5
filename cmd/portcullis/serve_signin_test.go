package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// provider is one of OpenID Connect: it has one person, one client, and knows each code once.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]url.Values // what was asked for
	claims map[string]any        // of the person
	// twist changes a token before it is signed, or says with what key
	twist func(claims map[string]any) *ecdsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p := &provider{t: t, key: key, codes: map[string]url.Values{}, claims: map[string]any{
		"email": "alice@example.org", "groups": []string{"staff", "netops"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, 200, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize",
			"token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1",
			Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("/token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	assert.NoError(p.t, json.NewEncoder(w).Encode(v))
}

// authorize knows who looks at it, and sends the browser back with a code.
func (p *provider) authorize(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	if q.Get("client_id") != "portcullis" || q.Get("code_challenge_method") != "S256" ||
		q.Get("redirect_uri") != "https://portcullis.test/auth/callback" ||
		q.Get("response_type") != "code" {
		http.Error(w, "no: "+req.URL.RawQuery, http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = q
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	http.Redirect(w, req, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

// token takes a code once, from who has the secret and the verifier.
func (p *provider) token(w http.ResponseWriter, req *http.Request) {
	id, secret, _ := req.BasicAuth()
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, isKnown := p.codes[req.FormValue("code")]
	delete(p.codes, req.FormValue("code"))
	sum := sha256.Sum256([]byte(req.FormValue("code_verifier")))
	if !isKnown || id != "portcullis" || secret != "s3cret" ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		p.answer(w, 400, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{"iss": p.URL, "sub": "4711", "aud": "portcullis",
		"nonce": asked.Get("nonce"), "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Minute).Unix()}
	for name, value := range p.claims {
		claims[name] = value
	}
	key := p.key
	if p.twist != nil {
		if other := p.twist(claims); other != nil {
			key = other
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256,
		Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	assert.NoError(p.t, err)
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	assert.NoError(p.t, err)
	p.answer(w, 200, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": text})
}

// browser is one that keeps cookies; https://portcullis.test is the server.
func (s *apiServer) browser(a *authority) *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	b := a.client()
	b.Jar = jar
	b.Transport.(*http.Transport).DialContext = func(ctx context.Context, network,
		address string) (net.Conn, error) {
		if address == "portcullis.test:443" {
			address = strings.TrimPrefix(s.url, "https://")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return b
}

const atServer = "https://portcullis.test"

// visit goes to a page as a browser does.
func (s *apiServer) visit(b *http.Client, method, path string, headers ...string) answer {
	s.t.Helper()
	body := io.Reader(http.NoBody)
	if method == http.MethodPut {
		body = strings.NewReader(`{}`)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, atServer+path, body)
	require.NoError(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return answered(s.t, b, req)
}

// newSignIn serves, with a provider at which people sign in.
func newSignIn(t *testing.T) (*apiServer, *provider, *authority) {
	t.Helper()
	p, a := newProvider(t), newAuthority(t)
	cert, key := a.files()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	settings := filepath.Join(t.TempDir(), "serve.yaml")
	require.NoError(t, os.WriteFile(settings, []byte("oidc-issuer: "+p.URL+"\noidc-client-id: portcullis\n"+
		"oidc-client-secret-file: "+secret+"\npublic-url: https://portcullis.test\noidc-role:\n"+
		"  - netops=operator\n  - acme admins=editor@acme\n"), 0o600))
	s := newServerFor(t, a.client(), "--tls-cert", cert, "--tls-key", key, "--settings", settings)
	return s, p, a
}

// TestSignIn has somebody sign in by a provider, write, and sign out; what a browser is made to
// send by another site is refused.
func TestSignIn(t *testing.T) {
	s, p, a := newSignIn(t)
	b := s.browser(a)
	assert.Equal(t, 401, s.visit(b, "GET", "/v1/whoami").code)
	got := s.visit(b, "GET", "/auth/login?to=/healthz")
	require.Equal(t, 200, got.code, got.out+got.errOut)
	assert.Equal(t, "ok\n", got.out, "it goes on where it was going")
	who := s.visit(b, "GET", "/v1/whoami")
	assert.Contains(t, who.out, `"name":"alice@example.org","how":"session","role":"operator"`)

	put := func(headers ...string) int { return s.visit(b, "PUT", "/v1/projects/acme", headers...).code }
	assert.Equal(t, 403, put(), "it does not say where it comes from")
	assert.Equal(t, 403, put("Origin: https://evil.example.org"))
	assert.Equal(t, 403, put("Origin: null"))
	assert.Equal(t, 403, put("Sec-Fetch-Site: cross-site"))
	assert.Equal(t, 403, put("Sec-Fetch-Site: same-site", "Origin: https://portcullis.test"))
	assert.Equal(t, 200, put("Sec-Fetch-Site: same-origin", "Origin: https://portcullis.test"))
	assert.Contains(t, call(t, "history", "--db", s.db.endpoint).out, "alice@example.org")

	p.mu.Lock()
	p.claims = map[string]any{"preferred_username": "bob", "groups": "acme admins"}
	p.mu.Unlock()
	tenant := s.browser(a)
	require.Equal(t, 200, s.visit(tenant, "GET", "/auth/login?to=/healthz").code)
	assert.Contains(t, s.visit(tenant, "GET", "/v1/whoami").out,
		`"name":"4711","how":"session","role":"editor","project":"acme"`)
	assert.Equal(t, 404, s.visit(tenant, "GET", "/v1/groups").code, "they are of all")

	theirs := cookieOf(t, b)
	assert.True(t, theirs != "" && theirs != cookieOf(t, tenant))
	_, token := s.token("--role", "operator")
	assert.Equal(t, 401, s.get(theirs, "/v1/whoami").code, "a session is no token")
	stolen := func(text string) int {
		return s.visit(s.browser(a), "GET", "/v1/whoami", "Cookie: __Host-portcullis="+text).code
	}
	assert.Equal(t, 401, stolen(token), "a token is no session")
	assert.Equal(t, 401, stolen(theirs[:30]+strings.Split(cookieOf(t, tenant), "_")[2]))
	assert.Equal(t, 200, stolen(theirs))

	assert.Equal(t, 403, s.visit(b, "POST", "/auth/logout", "Origin: https://evil.example.org").code)
	assert.Equal(t, 403, s.visit(b, "POST", "/auth/logout").code)
	assert.Equal(t, 204, s.visit(b, "POST", "/auth/logout", "Origin: https://portcullis.test").code)
	assert.Equal(t, 401, s.visit(b, "GET", "/v1/whoami").code)
	assert.Equal(t, 401, stolen(theirs), "also where it was copied")
	assert.Equal(t, 200, s.visit(tenant, "GET", "/v1/whoami").code)

	list := call(t, "token", "list", "--db", s.db.endpoint, "-o", "json")
	var tokens []struct{ ID, Kind string }
	require.NoError(t, json.Unmarshal([]byte(list.out), &tokens))
	for _, one := range tokens {
		if one.Kind == "session" {
			require.Equal(t, 0, call(t, "token", "revoke", one.ID, "--db", s.db.endpoint).code)
		}
	}
	require.Eventually(t, func() bool { return s.visit(tenant, "GET", "/v1/whoami").code == 401 },
		generous, 10*time.Millisecond)
}

// cookieOf is the session of a browser.
func cookieOf(t *testing.T, b *http.Client) string {
	t.Helper()
	u, err := url.Parse(atServer)
	require.NoError(t, err)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "__Host-portcullis" {
			return c.Value
		}
	}
	return ""
}

// TestSignInRefuses comes back with what is not right, each in another way.
func TestSignInRefuses(t *testing.T) {
	s, p, a := newSignIn(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	set := func(claim string, value any) func(map[string]any) *ecdsa.PrivateKey {
		return func(claims map[string]any) *ecdsa.PrivateKey {
			claims[claim] = value
			return nil
		}
	}
	for name, c := range map[string]struct {
		twist func(map[string]any) *ecdsa.PrivateKey
		say   string
	}{
		"nonce":    {set("nonce", "another"), "its nonce is another"},
		"audience": {set("aud", "another"), "does not hold"},
		"issuer":   {set("iss", "https://evil.example.org"), "does not hold"},
		"expired":  {set("exp", time.Now().Add(-time.Hour).Unix()), "does not hold"},
		"no group": {set("groups", []string{"staff"}), "is in no group that has a role here"},
		"no claim": {set("groups", nil), "the provider names none"},
		"key":      {func(map[string]any) *ecdsa.PrivateKey { return other }, "does not hold"},
	} {
		p.mu.Lock()
		p.twist = c.twist
		p.mu.Unlock()
		b := s.browser(a)
		got := s.visit(b, "GET", "/auth/login")
		assert.Equal(t, 403, got.code, name)
		assert.Contains(t, got.out, c.say, name)
		assert.Empty(t, cookieOf(t, b), name)
	}
	p.mu.Lock()
	p.twist = nil
	p.mu.Unlock()
	s.refusesReplays(p, a)
}

// refusesReplays comes back twice, with the state of another attempt, without a cookie, and with
// the code of another browser.
func (s *apiServer) refusesReplays(p *provider, a *authority) {
	t := s.t
	back := func(b *http.Client) string { // the way back, which is not gone
		var at string
		b.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
			if req.URL.Path == "/auth/callback" {
				at = req.URL.RequestURI()
				return http.ErrUseLastResponse
			}
			return nil
		}
		s.visit(b, "GET", "/auth/login?to=//evil.example.org/")
		require.NotEmpty(t, at)
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return at
	}
	b, thief := s.browser(a), s.browser(a)
	mine, theirs := back(b), back(thief)
	got := s.visit(s.browser(a), "GET", mine)
	assert.Equal(t, 403, got.code)
	assert.Contains(t, got.out, "has not begun to sign in here")
	swapped := s.visit(thief, "GET", mine)
	assert.Contains(t, swapped.out, "its state is another")
	mixed, err := url.ParseRequestURI(theirs)
	require.NoError(t, err)
	q := mixed.Query()
	ours, err := url.ParseRequestURI(mine)
	require.NoError(t, err)
	q.Set("state", ours.Query().Get("state"))
	mixed.RawQuery = q.Encode()
	u, err := url.Parse(atServer)
	require.NoError(t, err)
	kept := b.Jar.Cookies(u)
	got = s.visit(b, "GET", mixed.RequestURI())
	assert.Contains(t, got.out, "does not take the code", "the verifier is another's")

	b.Jar.SetCookies(u, kept) // as if the browser had not forgotten it
	got = s.visit(b, "GET", mine)
	assert.Equal(t, 303, got.code, got.out)
	assert.NotEmpty(t, cookieOf(t, b))
	b.Jar.SetCookies(u, kept)
	got = s.visit(b, "GET", mine)
	assert.Equal(t, 403, got.code)
	assert.Contains(t, got.out, "does not take the code", "a code is for once")

	p.Close()
	assert.Equal(t, 403, s.visit(b, "GET", mine).code)
}

// TestServeSettings reads the flags from a file, and says what is wrong with it.
func TestServeSettings(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")
	for _, c := range []struct{ text, say string }{
		{"lissten: 127.0.0.1:0\n", `did you mean "listen"`},
		{"listen: [a, b]\n", "must be one value"},
		{"listen: 192.0.2.1:80\n", "send their tokens in the open"},
		{"listen: 127.0.0.1:0\nsession: often\n", "session: "},
		{"oidc-role: [a=operator]\n", "--oidc-issuer: is missing"},
		{"oidc-issuer: http://idp.example.org\noidc-client-id: x\noidc-role: [a=operator]\n", "by https"},
		{"oidc-issuer: https://idp.example.org\noidc-client-id: x\noidc-role: [a=operator]\n", "want https://HOST"},
		{"oidc-issuer: https://idp.example.org\noidc-client-id: x\noidc-role: [a=root]\n", `role "root"`},
		{"oidc-issuer: https://idp.example.org\noidc-client-id: x\n", "nobody could sign in"},
		{"proxy: [nonsense]\n", "must be an address or a network"},
		{"config: x\n", "the key config is not known"},
		{"listen: {a: b}\n", "the key listen.a is not known"},
		{"listen: :\n  - x", "--settings"},
	} {
		file := filepath.Join(t.TempDir(), "serve.yaml")
		require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
		got := call(t, "serve", "--db", "unix:"+none, "--socket", none, "--settings", file)
		assert.Equal(t, 1, got.code, c.text)
		assert.Contains(t, got.errOut, c.say, c.text)
	}
	got := call(t, "serve", "--db", "unix:"+none, "--settings", none)
	assert.Contains(t, got.errOut, "--settings")
}

// TestSignIn_Streams has the page of somebody who has signed in hear of a change; another site
// hears nothing, and a stream ends when they sign out.
func TestSignIn_Streams(t *testing.T) {
	s, _, a := newSignIn(t)
	b := s.browser(a)
	require.Equal(t, 200, s.visit(b, "GET", "/auth/login?to=/healthz").code)
	assert.Equal(t, 403, s.visit(b, "GET", "/v1/events", "Sec-Fetch-Site: cross-site").code)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, atServer+"/v1/events", nil)
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "same-origin") // as EventSource asks
	req.Header.Set("Accept", "text/event-stream")
	stream, err := b.Do(req)
	require.NoError(t, err)
	defer stream.Body.Close()
	require.Equal(t, 200, stream.StatusCode)
	require.Equal(t, 200, s.visit(b, "PUT", "/v1/projects/acme", "Origin: https://portcullis.test").code)
	lines := bufio.NewScanner(stream.Body)
	heard := func(want string) bool {
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return true
			}
		}
		return false
	}
	require.True(t, heard("alice@example.org"))
	require.Equal(t, 204, s.visit(b, "POST", "/auth/logout", "Origin: https://portcullis.test").code)
	assert.False(t, heard("nothing more"), "it has ended")
}
