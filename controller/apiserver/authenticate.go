package apiserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Who asks. server.go calls [Server.authenticate] once for each request. Invariant: who is not
// recognised is nobody, and is told the same whatever was wrong.

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
	if peer, ok := req.Context().Value(peerKey{}).(unix.Ucred); ok {
		return byPeer(peer)
	}
	return access.Principal{}, errUnknown()
}

// byToken is who has a bearer token (RFC 6750).
func (s *Server) byToken(header string) (access.Principal, error) {
	scheme, text, _ := strings.Cut(header, " ")
	bearer, ok := access.ParseBearer(strings.TrimSpace(text))
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return access.Principal{}, errUnknown()
	}
	kept, err := s.DB.Token(bearer.ID)
	if err != nil && !errors.Is(err, policydb.ErrNoToken) {
		return access.Principal{}, err
	}
	isRight := bearer.Matches(kept.Secret) && kept.Kind == policydb.BearerToken
	if err != nil || !isRight || kept.IsExpired(s.now()) {
		return access.Principal{}, errUnknown()
	}
	var role access.Role
	if err := role.UnmarshalText([]byte(kept.Role)); err != nil {
		return access.Principal{}, errUnknown()
	}
	s.used(kept)
	return access.Principal{Name: "token " + kept.ID, How: "token", Role: role,
		Project: kept.Project, Token: kept.ID}, nil
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
