package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file opens and serves the socket. Invariant: nobody but the owner can ever connect.

const (
	// socketMode lets only the owner of the daemon ask it.
	socketMode = 0o600
	folderMode = 0o755
	// headerTimeout bounds how long a client may take to ask.
	headerTimeout = 10 * time.Second
)

// Listen opens the API's socket for its owner alone. A socket that a dead daemon left behind is
// replaced; one that somebody answers is an error, and so is a file that is no socket.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, fmt.Errorf("API socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("API socket: %w", err)
	}
	config := net.ListenConfig{Control: func(_, _ string,
		c syscall.RawConn) error {
		return narrow(c)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("API socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil { // a umask may have left even less
		return nil, errors.Join(fmt.Errorf("API socket: %w", err), l.Close())
	}
	return l, nil
}

// narrow gives a socket that is not bound yet the mode of the file that bind(2) will make of it:
// Linux takes the mode of the socket, less the umask (unix_bind_bsd in net/unix/af_unix.c). So the
// file is never wider, not for a moment, and no umask, which is the whole process's, need be
// changed for it.
func narrow(c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) {
		failed = unix.Fchmod(int(fd), socketMode)
	}); err != nil {
		return err
	}
	return failed
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if isAlive(path) {
		return fmt.Errorf("%s: another daemon answers there; each has a socket of its own by "+
			"the setting api", path)
	}
	return os.Remove(path)
}

// answerTime is how long a daemon that is not dead may be silent.
const answerTime = 2 * time.Second

// isAlive says whether a daemon listens on a socket. That it can be connected to is not enough: a
// command that a killed daemon was just starting has the socket, too, until it runs, and nobody
// will answer.
func isAlive(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	// if it cannot be said, there is no answer either
	_, _ = io.WriteString(conn, "HEAD / HTTP/1.0\r\n\r\n")
	n, err := conn.Read(make([]byte, 1))
	return n > 0 || errors.Is(err, os.ErrDeadlineExceeded)
}

// Serve answers on a listener until ctx ends, and returns nil then. Requests that wait are cut off.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}
