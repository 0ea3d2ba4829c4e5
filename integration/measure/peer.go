package measure

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Programs that measure traffic, which are both: who measures, and in namespaces the ends of what is
// measured. Their ends speak by connections that are echoed, and leave nothing behind.

// PeerCommand is the first argument of a program that is an end.
const PeerCommand = "peer"

// Main is the main function of a program: peer is told the arguments of an end, run all others,
// until a signal ends ctx.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error,
	peer func(args []string, out io.Writer) error) {
	if len(os.Args) > 1 && os.Args[1] == PeerCommand { // a child of ours, in a host's namespace
		if err := peer(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// ServeEcho gives back what comes on each connection, until the listener is closed.
func ServeEcho(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// Echo has one byte sent back.
func Echo(c net.Conn) error {
	var b [1]byte
	if _, err := c.Write(b[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b[:])
	return err
}

// Open opens a connection that is ended by a reset, so that no port is kept waiting.
func Open(address string, limit time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	return c, nil
}
