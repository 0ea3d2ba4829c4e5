package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/controller/api"
)

// Where the server is reached, and how long a client may take. Invariant: a client that is slow, or
// says nothing, holds one connection and nothing else.

const (
	// headerTime bounds how long a client may take to ask, idleTime how long it may be silent in
	// between.
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeader bounds the header of a request, in bytes.
	maxHeader = 32 << 10
	// stopTime is how long a stop waits for answers that are on their way.
	stopTime = 5 * time.Second
	// groupMode lets the group of the socket ask, too.
	groupMode = 0o660
)

// Serve answers on a listener until ctx ends, and returns nil then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: headerTime,
		ReadTimeout: requestTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ConnContext: withPeer, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		_ = server.Close()
	}
	return nil
}

// ListenSocket opens the socket for root and the group portcullis, if there is one.
func ListenSocket(path string) (net.Listener, error) {
	l, err := api.Listen(path)
	if err != nil {
		return nil, err
	}
	group, err := user.LookupGroup(socketGroup)
	if err != nil {
		return l, nil //nolint:nilerr // without the group it is root's alone
	}
	gid, err := strconv.Atoi(group.Gid)
	if err == nil {
		err = os.Chown(path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(path, groupMode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), l.Close())
	}
	return l, nil
}

// ListenTLS opens a port. The files are read anew for each connection, so that a certificate that is
// renewed needs no restart.
func ListenTLS(address, certificate, key string) (net.Listener, error) {
	read := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		return &pair, err
	}
	if _, err := read(nil); err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", certificate, key, err)
	}
	return tls.Listen("tcp", address, &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: read, NextProtos: []string{"h2", "http/1.1"}})
}
