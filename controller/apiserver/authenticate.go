package apiserver

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Who asks. server.go calls [Server.authenticate] once for each request. Invariant: who is not
// recognised is nobody, and is told the same whatever was wrong; a certificate that fits two
// entries of the table is nobody's.

// socketGroup is the group of Unix whose members are operators at the socket, beside root.
const socketGroup = "portcullis"

// peerKey is where the context of a connection has who is at the other end of a socket.
type peerKey struct{}

// withPeer notes who is at the other end of a unix socket (SO_PEERCRED of unix(7)). It is the
// ConnContext of the http.Server.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *unix.Ucred
	_ = raw.Control(func(fd uintptr) { // without one nobody is there
		peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if peer == nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, *peer)
}

// errUnknown is what everybody is told who is not recognised.
func errUnknown() *Problem {
	return problemf(http.StatusUnauthorized, "who are you? Send 'Authorization: Bearer TOKEN' with a "+
		"token that is valid; 'portcullis token create' makes one")
}

// authenticate finds out who asks.
func (s *Server) authenticate(req *http.Request) (access.Principal, error) {
	if header := req.Header.Get("Authorization"); header != "" {
		return s.byToken(header)
	}
	if cookie, err := req.Cookie(SessionCookie); err == nil {
		return s.bySession(cookie.Value)
	}
	if req.TLS != nil && len(req.TLS.VerifiedChains) > 0 {
		return s.byCertificate(req.TLS.VerifiedChains[0][0])
	}
	if peer, ok := req.Context().Value(peerKey{}).(unix.Ucred); ok {
		return byPeer(peer)
	}
	return access.Principal{}, errUnknown()
}

// byToken is who has a bearer token (RFC 6750).
func (s *Server) byToken(header string) (access.Principal, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access.Principal{}, errUnknown()
	}
	kept, err := s.byText(text, policydb.BearerToken)
	if err != nil {
		return access.Principal{}, err
	}
	return s.principal(kept, "token", ofToken+kept.ID)
}

// byText finds the token or session of a text.
func (s *Server) byText(text, kind string) (policydb.Token, error) {
	bearer, ok := access.ParseBearer(strings.TrimSpace(text))
	if !ok {
		return policydb.Token{}, errUnknown()
	}
	kept, err := s.DB.Token(bearer.ID)
	if err != nil && !errors.Is(err, policydb.ErrNoToken) {
		return policydb.Token{}, err
	}
	isRight := bearer.Matches(kept.Secret) && kept.Kind == kind
	if err != nil || !isRight {
		return policydb.Token{}, errUnknown()
	}
	return kept, nil
}

// principal is who has what is kept as a token, if it is valid still.
func (s *Server) principal(kept policydb.Token, how, name string) (access.Principal, error) {
	var role access.Role
	if err := role.UnmarshalText([]byte(kept.Role)); err != nil || kept.IsExpired(s.now()) {
		return access.Principal{}, errUnknown()
	}
	s.used(kept)
	return access.Principal{Name: name, How: how, Role: role, Project: kept.Project,
		Token: kept.ID, Until: kept.Expires}, nil
}

const (
	// useEvery is how exactly it is kept when a token was used last.
	useEvery = 5 * time.Minute
	// noteTime bounds how long that may take.
	noteTime = 10 * time.Second
)

// used notes beside the request that a token was used.
func (s *Server) used(t policydb.Token) {
	at := s.now()
	if at.Sub(t.Used) < useEvery {
		return
	}
	if _, isNoted := s.noting.LoadOrStore(t.ID, true); isNoted {
		return
	}
	go func() {
		defer s.noting.Delete(t.ID)
		ctx, cancel := context.WithTimeout(context.Background(), noteTime)
		defer cancel()
		if err := s.DB.NoteUse(ctx, t.ID, at); err != nil {
			s.Log.WithError(err).WithField("token", t.ID).Debug("the use of a token was not noted")
		}
	}()
}

// byPeer is who is at the other end of the socket: root, or a member of the group.
func byPeer(peer unix.Ucred) (access.Principal, error) {
	name := "user " + strconv.Itoa(int(peer.Uid))
	u, err := user.LookupId(strconv.Itoa(int(peer.Uid)))
	if err == nil {
		name = u.Username
	}
	if peer.Uid != 0 && !isMember(u, peer.Gid) {
		return access.Principal{}, problemf(http.StatusForbidden,
			"the socket is for root and the members of the group %s; %s is neither", socketGroup, name)
	}
	return access.Principal{Name: name, How: "socket", Role: access.Operator}, nil
}

// isMember says whether a user is in the group.
func isMember(u *user.User, gid uint32) bool {
	group, err := user.LookupGroup(socketGroup)
	if err != nil {
		return false
	}
	if group.Gid == strconv.Itoa(int(gid)) {
		return true
	}
	if u == nil {
		return false
	}
	list, err := u.GroupIds()
	if err != nil {
		return false
	}
	for _, id := range list {
		if id == group.Gid {
			return true
		}
	}
	return false
}

// SessionCookie has the session of a browser. Its prefix has browsers take it from this host alone,
// by TLS alone (RFC 6265bis, 4.1.3).
const SessionCookie = "__Host-portcullis"

// bySession is who has signed in.
func (s *Server) bySession(text string) (access.Principal, error) {
	kept, err := s.byText(text, policydb.Session)
	if err != nil {
		return access.Principal{}, err
	}
	opener, isByToken, err := s.opener(kept)
	if err != nil {
		return access.Principal{}, err
	}
	if isByToken {
		s.used(opener)
	}
	return s.principal(kept, "session", kept.Description)
}

// byCertificate is who has a certificate that an authority of clients has signed, if one of its
// names is in the table.
func (s *Server) byCertificate(c *x509.Certificate) (access.Principal, error) {
	list, err := s.DB.Tokens()
	if err != nil {
		return access.Principal{}, err
	}
	names := namesOf(c)
	list = slices.DeleteFunc(list, func(t policydb.Token) bool {
		return t.Kind != policydb.Certificate || t.IsExpired(s.now()) ||
			!slices.Contains(names, t.Secret)
	})
	switch {
	case len(list) == 0:
		s.Log.WithField("names", names).Info("a certificate that nobody has been given rights for")
		return access.Principal{}, errUnknown()
	case len(list) > 1:
		s.Log.WithField("names", names).Warn("a certificate fits more than one entry: it is nobody's")
		return access.Principal{}, errUnknown()
	case !s.now().Before(c.NotAfter):
		return access.Principal{}, errUnknown() // its connection is older
	}
	out, err := s.principal(list[0], "certificate", "certificate "+list[0].Secret)
	if out.Until.IsZero() || c.NotAfter.Before(out.Until) {
		out.Until = c.NotAfter
	}
	return out, err
}

// namesOf are all names of a certificate: the common name, and the others (SAN).
func namesOf(c *x509.Certificate) []string {
	out := slices.Concat([]string{c.Subject.CommonName}, c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return slices.DeleteFunc(out, func(name string) bool { return name == "" })
}

// stillMay says whether somebody who was recognised would be still: nil, or what they are told
// whose token was revoked or is over. A database that does not answer revokes nothing.
func (s *Server) stillMay(who access.Principal) error {
	if !who.Until.IsZero() && !s.now().Before(who.Until) {
		return errUnknown()
	}
	if who.Token == "" {
		return nil
	}
	kept, err := s.DB.Token(who.Token)
	switch {
	case err == nil && kept.Role == who.Role.String() && kept.Project == who.Project:
		_, _, err = s.opener(kept)
	case err == nil:
		return errUnknown()
	}
	if err == nil {
		return nil
	}
	if p, _ := problemOf(err); p.Status == http.StatusNotFound ||
		p.Status == http.StatusUnauthorized {
		return errUnknown()
	}
	return nil
}

// lookEvery is how soon the stream of somebody ends whose token is over; one that is revoked ends
// it with the news of that.
const lookEvery = time.Second

// whileMay is a context that ends as soon as somebody would not be recognised any more; its cause
// is the *Problem. Streams run in it.
func (s *Server) whileMay(ctx context.Context, who access.Principal) (context.Context,
	context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			changed := s.news.next()
			if err := s.stillMay(who); err != nil {
				cancel(err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			case <-tick.C:
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// crossSite refuses what another site has a browser send (Fetch Metadata, W3C; Origin, RFC 6454).
// Somebody who has signed in does it by a browser, which says where a write comes from.
func (s *Server) crossSite(req *http.Request, how string) error {
	site, origin := req.Header.Get("Sec-Fetch-Site"), req.Header.Get("Origin")
	isWrite := req.Method != http.MethodGet && req.Method != http.MethodHead
	switch {
	case site != "" && site != "same-origin" && site != "none":
		return problemf(http.StatusForbidden, "requests that another site makes (%s) are refused", site)
	case isWrite && origin != "" && !s.isOwnOrigin(req, origin):
		return problemf(http.StatusForbidden, "requests that another site makes (%s) are refused", origin)
	case isWrite && how == "session" && site == "" && origin == "":
		return problemf(http.StatusForbidden, "a browser says where a request comes from, and this one "+
			"does not; programs come with a token")
	}
	return nil
}

// isOwnOrigin says whether a page of this server asks.
func (s *Server) isOwnOrigin(req *http.Request, origin string) bool {
	if origin == strings.TrimSuffix(s.PublicURL, "/") && origin != "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == req.Host && u.Host != ""
}

// signIn lets somebody sign in or out. Each attempt asks the provider: they are limited by address.
func (s *Server) signIn(w http.ResponseWriter, req *http.Request) {
	err := s.crossSite(req, "session")
	if req.Method == http.MethodGet {
		err = s.limits.fail(s.address(req), s.now()) // the way back begins at another site
	}
	if err != nil {
		p, _ := problemOf(err)
		p.write(w)
		return
	}
	s.SignIn.ServeHTTP(w, req)
}
