package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
)

// This file is the part of the API that the API server of a fleet asks: what only this host knows.
// The daemon mounts [Server.Remote] on a port with TLS. Invariant: nothing there changes anything.

// Remote returns that part of the API.
func (s Server) Remote() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, s.status)
	mux.HandleFunc("GET "+connectionsPath, s.connections)
	mux.HandleFunc("GET "+countersPath, s.counters)
	mux.HandleFunc("GET "+watchPath, s.watch)
	mux.HandleFunc("GET "+tracePath, newAnswers(s).trace)
	mux.HandleFunc("GET "+healthPath, s.health)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		refuse(w, problemf(http.StatusNotFound, "%s %s is not for others than this host", req.Method,
			req.URL.Path))
	})
	return mux
}

// ListenRemote opens the port.
func ListenRemote(address string, config *tls.Config) (net.Listener, error) {
	l, err := tls.Listen("tcp", address, config)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("api_listen: %s is no address of this host: %w", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("api_listen: %w", err)
	}
	return l, nil
}

// NewRemoteClient returns a client of the daemon that is asked by TLS at an address and port.
func NewRemoteClient(address string, config *tls.Config) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial,
		DisableKeepAlives: true}}}
}
