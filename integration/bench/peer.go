package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

// The ports of the server, all within what the policy admits.
const (
	sinkPort    = 5001 // takes all it gets, then says how much that was
	echoPort    = 5002 // gives back what it gets
	firstPort   = 6000 // further echoes
	manyPorts   = 100
	connections = 1000
	// Ports of a scan: nobody listens, and no rule admits them.
	firstClosed = 20000
	closedPorts = 1000
)

const (
	chunk       = 128 << 10
	connectors  = 4 // at the same time
	scanners    = 100
	scanPause   = 200 * time.Millisecond
	connectTime = 5 * time.Second
)

var errPeer = errors.New("want: peer serve|stream|trips|connects|scatter|scan ADDRESS SECONDS")

// peer is one end: `serve` prints a line when it listens, the others print one number.
func peer(args []string, out io.Writer) error {
	if len(args) != 3 {
		return errPeer
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return errPeer
	}
	during := time.Duration(seconds * float64(time.Second))
	kinds := map[string]func(string, time.Duration) (float64, error){
		"stream": stream, "trips": trips, "connects": connects, "scatter": scatter, "scan": scan,
	}
	if args[0] == "serve" {
		return serve(args[1], out)
	}
	kind, ok := kinds[args[0]]
	if !ok {
		return errPeer
	}
	found, err := kind(args[1], during)
	if err == nil {
		_, err = fmt.Fprintln(out, found)
	}
	return err
}

func at(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

func serve(address string, out io.Writer) error {
	ports := []int{sinkPort, echoPort}
	for n := range manyPorts {
		ports = append(ports, firstPort+n)
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", at(address, port))
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		go accept(l, port)
	}
	fmt.Fprintln(out, "listening")
	select {} // until it is killed
}

func accept(l net.Listener, port int) {
	if port == sinkPort {
		sink(l)
		return
	}
	_ = measure.ServeEcho(l) // until it is closed
}

// sink takes all that comes on each connection, and says then how much that was.
func sink(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			n, _ := io.Copy(io.Discard, c)
			_, _ = fmt.Fprintln(c, n)
		}()
	}
}

// stream returns how many megabits a second arrive.
func stream(address string, during time.Duration) (float64, error) {
	c, err := net.DialTimeout("tcp", at(address, sinkPort), connectTime)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	data := make([]byte, chunk)
	began := time.Now()
	for time.Since(began) < during {
		if _, err := c.Write(data); err != nil {
			return 0, err
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return 0, err
	}
	var arrived float64
	if _, err := fmt.Fscan(c, &arrived); err != nil {
		return 0, err
	}
	return arrived * 8 / 1e6 / time.Since(began).Seconds(), nil
}

// trips returns how many times a second a byte goes there and back.
func trips(address string, during time.Duration) (float64, error) {
	c, err := net.DialTimeout("tcp", at(address, echoPort), connectTime)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n, began := 0, time.Now()
	for ; time.Since(began) < during; n++ {
		if err := measure.Echo(c); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// connect opens a connection, has a byte sent back, and ends it by a reset, so that no port is kept
// waiting.
func connect(address string, port int) (net.Conn, error) {
	c, err := measure.Open(at(address, port), connectTime)
	if err != nil {
		return nil, err
	}
	if err := measure.Echo(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// connects returns how many new connections a second are made and used.
func connects(address string, during time.Duration) (float64, error) {
	var made atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	began := time.Now()
	for range connectors {
		all.Go(func() {
			for time.Since(began) < during {
				c, err := connect(address, echoPort)
				if err != nil {
					failed.Store(&err)
					return
				}
				_ = c.Close()
				made.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(made.Load()) / time.Since(began).Seconds(), nil
}

// scatter makes connections to many ports, one after the other, and returns their number.
func scatter(address string, _ time.Duration) (float64, error) {
	for n := range connections {
		c, err := connect(address, firstPort+n%manyPorts)
		if err != nil {
			return 0, err
		}
		defer c.Close()
	}
	return connections, nil
}

// scan knocks at closed ports and returns how many were found open.
func scan(address string, _ time.Duration) (float64, error) {
	var open atomic.Int64
	var all sync.WaitGroup
	for s := range scanners {
		all.Go(func() {
			for port := firstClosed + s; port < firstClosed+closedPorts; port += scanners {
				if c, err := net.DialTimeout("tcp", at(address, port), scanPause); err == nil {
					_ = c.Close()
					open.Add(1)
				}
			}
		})
	}
	all.Wait()
	return float64(open.Load()), nil
}
