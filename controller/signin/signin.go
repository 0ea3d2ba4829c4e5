package signin

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/sirupsen/logrus"
	"golang.org/x/oauth2"
)

// The way of a browser to the provider and back. controller/apiserver mounts [SignIn.Handler].
// Invariant: a session is opened only for who comes back with what this browser was sent away with,
// and with a token that the provider has signed for this server and for this attempt.

// The paths.
const (
	LoginPath    = "/auth/login"
	callbackPath = "/auth/callback"
	LogoutPath   = "/auth/logout"
)

const (
	// loginCookie has what a browser is to come back with. It is Lax, as the way back begins at
	// another site.
	loginCookie = "__Host-portcullis-signin"
	loginTime   = 10 * time.Minute
	// askTime bounds each request to the provider.
	askTime = 10 * time.Second
)

// Options say who the provider is, and what its groups may.
type Options struct {
	Issuer, ClientID, ClientSecret string
	// PublicURL is where browsers find this server, such as https://portcullis.example.org.
	PublicURL              string
	GroupsClaim, NameClaim string
	Grants                 []Grant // the first that fits counts
	// Client asks the provider.
	Client *http.Client
	Log    *logrus.Entry
}

// Sessions are kept by the server.
type Sessions interface {
	// Open opens a session, and returns the cookie that has it.
	Open(ctx context.Context, who Person) (*http.Cookie, error)
	// End ends the session that a request comes with, and returns a cookie that takes it away.
	End(req *http.Request) (*http.Cookie, error)
}

// SignIn lets people sign in.
type SignIn struct {
	Options
	sessions Sessions

	mu       sync.Mutex
	provider *oidc.Provider // once it has answered
}

// New checks the options; the provider is asked when somebody signs in.
func New(o Options, sessions Sessions) (*SignIn, error) {
	issuer, err := url.Parse(o.Issuer)
	switch {
	case err != nil || issuer.Host == "":
		return nil, fmt.Errorf("%q is no URL of a provider", o.Issuer)
	case !isSafe(issuer):
		return nil, fmt.Errorf("%s: a provider is asked by https", o.Issuer)
	case o.ClientID == "":
		return nil, errors.New("there is no client ID, which the provider knows this server by")
	case len(o.Grants) == 0:
		return nil, errors.New("no group has a role: nobody could sign in")
	}
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Host == "" || strings.Trim(public.Path, "/") != "" || !isSafe(public) {
		return nil, fmt.Errorf("%q is not where browsers find this server: want https://HOST",
			o.PublicURL)
	}
	o.PublicURL = public.Scheme + "://" + public.Host
	if o.Client == nil {
		o.Client = &http.Client{Timeout: askTime}
	}
	return &SignIn{Options: o, sessions: sessions}, nil
}

// isSafe says whether nobody else can read along.
func isSafe(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "127.0.0.1" || host == "localhost" ||
		host == "::1")
}

// Handler answers below /auth/.
func (s *SignIn) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LoginPath, s.login)
	mux.HandleFunc("GET "+callbackPath, s.callback)
	mux.HandleFunc("POST "+LogoutPath, s.logout)
	return mux
}

// client is this server as the provider knows it.
func (s *SignIn) client() (*oidc.Provider, *oauth2.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider == nil {
		// it is kept, and asked for its keys again later: no request's context
		found, err := oidc.NewProvider(oidc.ClientContext(context.Background(), s.Client), s.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("the provider %s: %w", s.Issuer, err)
		}
		s.provider = found
	}
	return s.provider, &oauth2.Config{ClientID: s.ClientID, ClientSecret: s.ClientSecret,
		Endpoint: s.provider.Endpoint(), RedirectURL: s.PublicURL + callbackPath,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", s.GroupsClaim}}, nil
}

// loginState is what a browser is sent away with.
type loginState struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE (RFC 7636)
	To       string `json:"to"`       // where to go on afterwards
}

// login sends a browser to the provider.
func (s *SignIn) login(w http.ResponseWriter, req *http.Request) {
	_, client, err := s.client()
	if err != nil {
		s.refuse(w, req, http.StatusBadGateway, err)
		return
	}
	a := loginState{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(),
		Verifier: oauth2.GenerateVerifier(), To: local(req.URL.Query().Get("to"))}
	text, err := json.Marshal(a)
	if err != nil {
		s.refuse(w, req, http.StatusInternalServerError, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: loginCookie, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(loginTime.Seconds()),
		Value: base64.RawURLEncoding.EncodeToString(text)})
	http.Redirect(w, req, client.AuthCodeURL(a.State, oidc.Nonce(a.Nonce),
		oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
}

// local is a path of this server; another site is none.
func local(path string) string {
	if len(path) > 2000 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// callback is where the provider sends a browser back to.
func (s *SignIn) callback(w http.ResponseWriter, req *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: loginCookie, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: -1}) // it is for once
	a, err := loginStateOf(req)
	if err != nil {
		s.refuse(w, req, http.StatusForbidden, err)
		return
	}
	who, err := s.person(req, a)
	if err != nil {
		s.refuse(w, req, http.StatusForbidden, err)
		return
	}
	cookie, err := s.sessions.Open(req.Context(), who)
	if err != nil {
		s.refuse(w, req, http.StatusServiceUnavailable, err)
		return
	}
	http.SetCookie(w, cookie)
	s.Log.WithFields(logrus.Fields{"by": who.Name, "role": who.Role.String(),
		"project": who.Project, "from": req.RemoteAddr}).Info("signed in")
	http.Redirect(w, req, a.To, http.StatusSeeOther)
}

// loginStateOf is what this browser was sent away with, if it comes back from there.
func loginStateOf(req *http.Request) (loginState, error) {
	var a loginState
	cookie, err := req.Cookie(loginCookie)
	if err != nil {
		return a, errors.New("this browser has not begun to sign in here, or long ago: begin again")
	}
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || a.State == "" || a.Nonce == "" || a.Verifier == "" {
		return a, errors.New("the cookie of this attempt is damaged: begin again")
	}
	state := req.URL.Query().Get("state")
	if subtle.ConstantTimeCompare([]byte(state), []byte(a.State)) != 1 {
		return a, errors.New("this is the way back of another attempt (its state is another): begin again")
	}
	a.To = local(a.To)
	return a, nil
}

// person is who the provider says it is.
func (s *SignIn) person(req *http.Request, a loginState) (Person, error) {
	query := req.URL.Query()
	if word := query.Get("error"); word != "" {
		return Person{}, fmt.Errorf("the provider says no: %s %s", word, query.Get("error_description"))
	}
	if issuer := query.Get("iss"); issuer != "" && issuer != s.Issuer { // RFC 9207
		return Person{}, fmt.Errorf("the answer is of another provider, %s", issuer)
	}
	provider, client, err := s.client()
	if err != nil {
		return Person{}, err
	}
	ctx := oidc.ClientContext(req.Context(), s.Client)
	tokens, err := client.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Person{}, fmt.Errorf("the provider does not take the code: %w", err)
	}
	text, _ := tokens.Extra("id_token").(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: s.ClientID}).Verify(ctx, text)
	if err != nil {
		return Person{}, fmt.Errorf("the token of the provider does not hold: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1 {
		return Person{}, errors.New("the token of the provider is of another attempt (its nonce is another)")
	}
	claims := map[string]json.RawMessage{}
	if err := token.Claims(&claims); err != nil {
		return Person{}, err
	}
	return s.personOf(token.Subject, claims)
}

// logout ends a session. Who calls it has seen that no other site asks.
func (s *SignIn) logout(w http.ResponseWriter, req *http.Request) {
	cookie, err := s.sessions.End(req)
	if err != nil {
		s.refuse(w, req, http.StatusServiceUnavailable, err)
		return
	}
	http.SetCookie(w, cookie)
	w.WriteHeader(http.StatusNoContent)
}

// refuse says no, to a person.
func (s *SignIn) refuse(w http.ResponseWriter, req *http.Request, status int, err error) {
	s.Log.WithError(err).WithFields(logrus.Fields{"path": req.URL.Path, "status": status,
		"from": req.RemoteAddr}).Warn("nobody signed in")
	http.Error(w, "Not signed in: "+err.Error(), status)
}
