package main

// The ends of the traffic but for iperf3: this program again, in the namespace of all clients or of
// all servers. The rounds start it.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

const (
	echoPort   = 5002
	connectors = 8 // at the same time
	// clients whose first connections are measured
	firstClients = 16
	// A connection that is not admitted is given up, and so is a datagram.
	connectTime  = 10 * time.Second
	datagramTime = 300 * time.Millisecond
	datagrams    = 3
)

var errPeer = errors.New("want: peer serve|connects|trips|first|denied DURATION PORTS CLOCK")

// found is what a client of ours has measured.
type found struct {
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	CPU     float64 `json:"cpu_s"` // of the whole machine meanwhile
}

// clients know of the scenario how many there are.
type clients struct {
	scenario
	during time.Duration
	clock  clock
}

// server is where the echo of a pair is. The way to it goes by the device of its client.
func (c clients) server(pair int) string {
	_, n := c.pair(pair)
	return net.JoinHostPort(address(n), strconv.Itoa(echoPort))
}

// peer is one end: `serve` prints a line when it listens, the others print what they found.
func peer(args []string, out io.Writer) error {
	if len(args) != 4 {
		return errPeer
	}
	during, err := time.ParseDuration(args[1])
	ports, bad := strconv.Atoi(args[2])
	if err != nil || bad != nil {
		return errPeer
	}
	if args[0] == "serve" {
		return serve(out)
	}
	c := clients{scenario{Ports: ports}, during, clock(args[3])}
	kind, ok := map[string]func() (found, error){"connects": c.connects, "trips": c.trips,
		"first": c.first, "denied": c.denied}[args[0]]
	if !ok {
		return errPeer
	}
	f, err := kind()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(f)
}

// clocked is what a series of times took, and what the machine worked meanwhile.
func (c clients) clocked(measured func() (measure.Series, error)) (found, error) {
	before, err := c.clock.busy()
	if err != nil {
		return found{}, err
	}
	began := time.Now()
	times, err := measured()
	if err != nil {
		return found{}, err
	}
	seconds := time.Since(began).Seconds()
	after, err := c.clock.busy()
	const us = 1000
	return found{len(times), seconds, times.Median() * us, times.Quantile(0.99) * us,
		(after - before).Seconds()}, err
}

// serve gives back what comes, by TCP and UDP.
func serve(out io.Writer) error {
	all, err := net.Listen("tcp4", fmt.Sprintf(":%d", echoPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	datagrams, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", echoPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	go func() {
		for b := make([]byte, 64); ; {
			n, from, err := datagrams.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = datagrams.WriteTo(b[:n], from)
		}
	}()
	fmt.Fprintln(out, "listening")
	return measure.ServeEcho(all)
}

// use opens a connection, has a byte sent back, ends it and returns how long that took.
func use(address string) (time.Duration, error) {
	began := time.Now()
	c, err := measure.Open(address, connectTime)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	err = measure.Echo(c)
	return time.Since(began), err
}

// connects makes new connections, some at a time, each of another pair than the one before.
func (c clients) connects() (found, error) {
	return c.clocked(func() (measure.Series, error) {
		var series [connectors]measure.Series
		var failed [connectors]error
		var all sync.WaitGroup
		until := time.Now().Add(c.during)
		for w := range connectors {
			all.Go(func() {
				for n := w; time.Now().Before(until) && failed[w] == nil; n += connectors {
					var took time.Duration
					took, failed[w] = use(c.server(n))
					series[w].Add(took)
				}
			})
		}
		all.Wait()
		return slices.Concat(series[:]...), errors.Join(failed[:]...)
	})
}

// trips has bytes sent back on connections that stand, one of each pair.
func (c clients) trips() (found, error) {
	standing := make([]net.Conn, c.pairs())
	for n := range standing {
		var err error
		if standing[n], err = measure.Open(c.server(n), connectTime); err != nil {
			return found{}, err
		}
		defer standing[n].Close()
	}
	return c.clocked(func() (measure.Series, error) {
		var out measure.Series
		until := time.Now().Add(c.during)
		for n := 0; time.Now().Before(until); n++ {
			before := time.Now()
			if err := measure.Echo(standing[n%len(standing)]); err != nil {
				return nil, err
			}
			out.Add(time.Since(before))
		}
		return out, nil
	})
}

// first makes one connection of each of some pairs, one after the other: of all servers of some
// clients.
func (c clients) first() (found, error) {
	return c.clocked(func() (measure.Series, error) {
		var out measure.Series
		for n := range c.pairs() {
			if n%c.clients() >= firstClients {
				continue
			}
			took, err := use(c.server(n))
			if err != nil {
				return nil, err
			}
			out.Add(took)
		}
		return out, nil
	})
}

// denied sends datagrams, which no rule admits, and counts the answers.
func (c clients) denied() (found, error) {
	conn, err := net.Dial("udp4", c.server(0))
	if err != nil {
		return found{}, err
	}
	defer conn.Close()
	return c.clocked(func() (measure.Series, error) {
		var out measure.Series
		for range datagrams {
			_ = conn.SetDeadline(time.Now().Add(datagramTime))
			before := time.Now()
			if measure.Echo(conn) == nil {
				out.Add(time.Since(before))
			}
		}
		return out, nil
	})
}
