package apiserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/signin"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Tokens: made once, shown once, revoked at once. The command token and the routes call this.

// NewToken is what a token is to be.
type NewToken struct {
	Role        access.Role `json:"role"`
	Project     string      `json:"project,omitempty"` // "" = all
	Description string      `json:"description,omitempty"`
	// Certificate is the name in certificates of clients that this is for, in place of a text.
	Certificate string `json:"certificate,omitempty"`
	// Expires is a moment; the zero Time = never.
	Expires time.Time `json:"expires,omitzero"`
}

// Token is a token as it is answered, without what is kept of its secret.
type Token struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`
	Role        string    `json:"role"`
	Project     string    `json:"project,omitempty"` // "" = all
	Description string    `json:"description,omitempty"`
	Certificate string    `json:"certificate,omitempty"` // the name in certificates that it is for
	At          time.Time `json:"created"`
	By          string    `json:"created_by"`
	Expires     time.Time `json:"expires,omitzero"`
	Used        time.Time `json:"last_used,omitzero"` // to some minutes
}

// MadeToken is a new token. Nobody can have its text again.
type MadeToken struct {
	Token
	Text string `json:"token,omitempty"` // "" = it is for a certificate
}

// TokenOf is a token as it is answered.
func TokenOf(t policydb.Token) Token {
	out := Token{ID: t.ID, Kind: t.Kind, Role: t.Role, Project: t.Project,
		Description: t.Description, At: t.At, By: t.By, Expires: t.Expires, Used: t.Used}
	if t.Kind == policydb.Certificate {
		out.Certificate = t.Secret
	}
	return out
}

// Draw makes a token of what it is to be, and what is to be kept of it. by is who makes it.
func (n NewToken) Draw(by string, at time.Time) (MadeToken, policydb.Token, error) {
	switch {
	case n.Role == access.Nobody:
		return MadeToken{}, policydb.Token{}, problemf(http.StatusUnprocessableEntity,
			"role: must be viewer, editor or operator")
	case strings.Contains(n.Project, "/"), n.Project != "" && policy.BadName(n.Project) != "":
		return MadeToken{}, policydb.Token{}, problemf(http.StatusUnprocessableEntity,
			"project: %q is no name of a project", n.Project)
	case policy.BadText(n.Description) != "":
		return MadeToken{}, policydb.Token{}, problemf(http.StatusUnprocessableEntity,
			"description: %s", policy.BadText(n.Description))
	case policy.BadText(n.Certificate) != "":
		return MadeToken{}, policydb.Token{}, problemf(http.StatusUnprocessableEntity,
			"certificate: %s", policy.BadText(n.Certificate))
	case !n.Expires.IsZero() && !n.Expires.After(at):
		return MadeToken{}, policydb.Token{}, problemf(http.StatusUnprocessableEntity,
			"expires: %s is over", n.Expires.Format(time.RFC3339))
	}
	drawn := access.Draw()
	kept := policydb.Token{ID: drawn.ID, Kind: policydb.BearerToken, Secret: drawn.Digest,
		Role: n.Role.String(), Project: n.Project, Description: n.Description,
		At: at.Truncate(time.Millisecond), By: by, Expires: n.Expires.Truncate(time.Millisecond)}
	if n.Certificate != "" {
		kept.Kind, kept.Secret = policydb.Certificate, n.Certificate
		return MadeToken{Token: TokenOf(kept)}, kept, nil
	}
	return MadeToken{Token: TokenOf(kept), Text: drawn.Text}, kept, nil
}

func (s *Server) listTokens(*request) (*reply, error) {
	list, err := s.DB.Tokens()
	if err != nil {
		return nil, err
	}
	out := listed[Token]{Items: make([]Token, len(list))}
	for n, t := range list {
		out.Items[n] = TokenOf(t)
	}
	return &reply{body: out}, nil
}

func (s *Server) createToken(r *request) (*reply, error) {
	var want NewToken
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&want); err != nil {
		return nil, problemf(http.StatusBadRequest, "the body: %v; it has role, project, description, "+
			"certificate and expires", err)
	}
	made, kept, err := want.Draw(r.who.Name, s.now())
	if err != nil {
		return nil, err
	}
	p, _, err := s.DB.Readable()
	if err == nil && want.Project != "" && findProject(p, want.Project) == nil {
		err = problemf(http.StatusUnprocessableEntity, "project: there is no project %q", want.Project)
	}
	if err != nil {
		return nil, err
	}
	return &reply{body: made}, s.DB.AddToken(r.Context(), kept)
}

func (s *Server) deleteToken(r *request) (*reply, error) {
	return &reply{}, s.DB.RemoveToken(r.Context(), r.PathValue("id"))
}

// Sessions are those of people who sign in: tokens that a browser keeps, and that are over soon.
func (s *Server) Sessions() signin.Sessions { return sessions{s} }

type sessions struct{ *Server }

// sessionTime is how long somebody is signed in, if nobody says otherwise.
const sessionTime = 8 * time.Hour

// cookie is one that no script reads, and no other site has sent.
func cookie(text string, lasts time.Duration) *http.Cookie {
	return &http.Cookie{Name: SessionCookie, Value: text, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(lasts.Seconds())}
}

// Open opens a session.
func (s sessions) Open(ctx context.Context, who signin.Person) (*http.Cookie, error) {
	return s.open(ctx, NewToken{Role: who.Role, Project: who.Project, Description: who.Name,
		Expires: s.now().Add(cmp.Or(s.SessionTime, sessionTime))}, "OpenID Connect")
}

// open opens a session of what it may, and by whom.
func (s sessions) open(ctx context.Context, want NewToken, by string) (*http.Cookie, error) {
	lasts := want.Expires.Sub(s.now())
	made, kept, err := want.Draw(by, s.now())
	if err != nil {
		return nil, err
	}
	kept.Kind = policydb.Session
	if err := s.DB.ForgetSessions(ctx, s.now()); err != nil {
		return nil, err
	}
	return cookie(made.Text, lasts), s.DB.AddToken(ctx, kept)
}

// End ends the session that a request comes with; one that is over already needs no end.
func (s sessions) End(req *http.Request) (*http.Cookie, error) {
	if c, err := req.Cookie(SessionCookie); err == nil {
		if kept, err := s.byText(c.Value, policydb.Session); err == nil {
			if err := s.DB.RemoveToken(req.Context(), kept.ID); err != nil {
				return nil, err
			}
		}
	}
	return cookie("", -time.Second), nil
}

// openSession opens a session for a browser whose person has pasted a token: it may what the token
// may, is named as it, and is over with it at the latest.
func (s *Server) openSession(r *request) (*reply, error) {
	if r.who.How != "token" {
		return nil, problemf(http.StatusForbidden, "a session is opened with a token, and you came "+
			"with a %s", r.who.How)
	}
	want := NewToken{Role: r.who.Role, Project: r.who.Project, Description: r.who.Name,
		Expires: s.now().Add(cmp.Or(s.SessionTime, sessionTime))}
	if !r.who.Until.IsZero() && r.who.Until.Before(want.Expires) {
		want.Expires = r.who.Until
	}
	if err := s.makeRoom(r.Context(), r.who.Name); err != nil {
		return nil, err
	}
	c, err := sessions{s}.open(r.Context(), want, r.who.Name)
	if err != nil {
		return nil, err
	}
	return &reply{headers: map[string]string{"Set-Cookie": c.String()}}, nil
}

// maxSessions are open with one token at a time.
const maxSessions = 20

// makeRoom ends the oldest session of somebody who has as many as there may be.
func (s *Server) makeRoom(ctx context.Context, by string) error {
	list, err := s.DB.Tokens()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(t policydb.Token) bool {
		return t.Kind != policydb.Session || t.By != by
	})
	if len(list) < maxSessions {
		return nil
	}
	err = s.DB.RemoveToken(ctx, list[0].ID) // they are by age
	if errors.Is(err, policydb.ErrNoToken) {
		return nil // somebody else has ended it
	}
	return err
}

// endSession ends the session that a browser comes with.
func (s *Server) endSession(r *request) (*reply, error) {
	c, err := sessions{s}.End(r.Request)
	if err != nil {
		return nil, err
	}
	return &reply{headers: map[string]string{"Set-Cookie": c.String()}}, nil
}

// ofToken is how the name of somebody begins who came with a token.
const ofToken = "token "

// opener is the token that a session was opened with; false = it was opened otherwise. A token that
// was revoked opens nothing: errUnknown.
func (s *Server) opener(session policydb.Token) (policydb.Token, bool, error) {
	id, isByToken := strings.CutPrefix(session.By, ofToken)
	if session.Kind != policydb.Session || !isByToken {
		return policydb.Token{}, false, nil
	}
	kept, err := s.DB.Token(id)
	isSame := kept.Kind == policydb.BearerToken && kept.Role == session.Role &&
		kept.Project == session.Project && !kept.IsExpired(s.now())
	if errors.Is(err, policydb.ErrNoToken) || err == nil && !isSame {
		err = errUnknown()
	}
	return kept, true, err
}
