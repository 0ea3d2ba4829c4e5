//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/testnet"
)

// The stories that are written as text (flows/policytest/stories), with real packets.
func TestStories(t *testing.T) {
	t.Parallel()
	runScripts(t, "basics")
}

// what nothing admits any more stops in both directions, what something still admits loses no
// packet, and what is admitted again goes on.
func TestR6_Revocation(t *testing.T) {
	t.Parallel()
	runScripts(t, "revocation")
}

func runScripts(t *testing.T, folder string) {
	scripts, err := policytest.Scripts(folder)
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, s := range scripts {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testnet.Spec{Policy: s.Steps[0].Policy, Outside: outside(),
				Daemon: daemon(t)})
			runner := scriptRunner{t: t, w: w, opened: map[string]*scriptConnection{}}
			for n, step := range s.Steps[1:] {
				t.Logf("line %d", step.Line)
				cutsNext := n+2 < len(s.Steps) && s.Steps[n+2].Kind == policytest.IsCut
				runner.run(step, cutsNext)
			}
		})
	}
}

// scriptRunner tells a story to a network.
type scriptRunner struct {
	t      *testing.T
	w      *testnet.World
	opened map[string]*scriptConnection
}

// scriptConnection is a connection of each family: of TCP, or streams of each side alone.
type scriptConnection struct {
	way     policytest.Step
	tcp     []*testnet.Conn
	streams map[string]*testnet.Stream
	since   map[string]uint64 // none of the numbers from here on may be lost; 0 = it was cut
}

// run takes a step; where the next one says that something is cut, the packets themselves show how
// soon Open vSwitch's caches follow.
func (w *scriptRunner) run(s policytest.Step, cutsNext bool) {
	switch s.Kind {
	case policytest.SetsPolicy:
		if cutsNext {
			require.NoError(w.t, w.w.SetPolicyOnly(s.Policy))
		} else {
			require.NoError(w.t, w.w.SetPolicy(s.Policy))
		}
	case policytest.Arrives, policytest.IsDenied:
		for _, f := range families {
			w.sendFirst(s, f)
		}
	case policytest.Opens:
		w.opened[s.Connection] = w.open(s)
		w.goesOn(w.opened[s.Connection])
	case policytest.GoesOn:
		w.goesOn(w.opened[s.Connection])
	case policytest.IsCut:
		w.isCut(w.opened[s.Connection])
	}
}

// service is what a step speaks of, over a family.
func (w *scriptRunner) service(s policytest.Step, f testnet.Family) testnet.Service {
	switch s.Service.Protocol {
	case policy.TCP:
		return testnet.TCP(s.Service.Port)
	case policy.UDP:
		return testnet.UDP(s.Service.Port)
	}
	return testnet.Ping(f)
}

// sendFirst sends the first packet of a connection.
func (w *scriptRunner) sendFirst(s policytest.Step, f testnet.Family) {
	service, arrives := w.service(s, f), s.Kind == policytest.Arrives
	if s.As == "" {
		admits(w.t, w.w, s.From, s.To, service, f, arrives)
		return
	}
	packet := w.w.Opening(s.From, s.To, service, f)
	packet.From = w.w.Host(s.As).Address(f)
	var receivers []string
	if arrives {
		receivers = []string{s.To}
	}
	receives(w.t, w.w, s.From, packet.Frame(), receivers...)
}

func (w *scriptRunner) open(s policytest.Step) *scriptConnection {
	c := &scriptConnection{way: s, streams: map[string]*testnet.Stream{}, since: map[string]uint64{}}
	if s.Service.Protocol == policy.TCP {
		c.tcp = dial(w.t, w.w, s.From, s.To, s.Service.Port)
		return c
	}
	push(w.t, w.w, c.streams, s.From, s.To, s.Service.Port)
	flows(w.t, c.streams)
	for name := range c.streams {
		c.since[name] = 1
	}
	return c
}

// goesOn asserts that packets of both directions arrive, and that none is lost.
func (w *scriptRunner) goesOn(c *scriptConnection) {
	for _, conn := range c.tcp {
		require.NoError(w.t, conn.Echo(testnet.Slowed(patience)))
	}
	flows(w.t, c.streams)
	for name, s := range c.streams {
		if c.since[name] == 0 {
			c.since[name] = s.Last()
		}
		last := s.AwaitSent(50)
		require.True(w.t, s.Await(last, testnet.Slowed(patience)), "the stream where %s has stopped",
			name)
		require.Empty(w.t, s.Missing(c.since[name], last), "lost of the stream where %s", name)
	}
}

// isCut asserts that nothing arrives any more, in either direction.
func (w *scriptRunner) isCut(c *scriptConnection) {
	cut(w.t, w.w, c.streams, c.way.From, c.way.To)
	for name := range c.streams {
		c.since[name] = 0
	}
	for n, conn := range c.tcp {
		require.Error(w.t, conn.Echo(500*time.Millisecond), "TCP over %s", families[n])
	}
}
