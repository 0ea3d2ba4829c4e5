package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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

// TLSFiles are those of a port: the server's certificate and its key, and the authorities whose
// certificates of clients are accepted; "" = none is asked for.
type TLSFiles struct{ Certificate, Key, ClientCA string }

// ListenTLS opens a port. The files are read anew for each connection, so that a certificate that
// is renewed needs no restart.
func ListenTLS(address string, files TLSFiles) (net.Listener, error) {
	if _, err := files.config(nil); err != nil {
		return nil, err
	}
	return tls.Listen("tcp", address, &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: files.config})
}

// config reads the files.
func (f TLSFiles) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		NextProtos: []string{"h2", "http/1.1"}}
	if f.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients: %w", err)
	}
	if c.ClientCAs = x509.NewCertPool(); !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the authorities of clients: %s holds no certificate of PEM", f.ClientCA)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}

// console answers what is no route.
func (s *Server) console() http.Handler {
	if s.Console == nil {
		return http.HandlerFunc(nothing)
	}
	return s.Console(http.HandlerFunc(nothing))
}

// headers says what browsers need to hear with every answer.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if req.TLS != nil { // RFC 6797
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, req)
	})
}

// health answers whether the policy database does.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if _, _, err := s.DB.Readable(); err != nil {
		p, _ := problemOf(err)
		p.Status, p.Title = http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable)
		p.write(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}
