package client

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A member that is stuck costs a host that follows others, too, ten seconds and no more, from when
// it was asked last to the first word of another one. One server alone is borne with for a minute.
func TestAStuckMemberCostsSeconds(t *testing.T) {
	several := timesFor("ssl:a:1,ssl:b:1")
	assert.LessOrEqual(t, several.probe+max(several.answer, several.greet)+several.minPause*3/2,
		10*time.Second)
	assert.Equal(t, time.Minute, timesFor("ssl:a:1").answer)
}

// After as many servers that are stuck at different places, the one that answers is followed.
func TestStreamPassesStuckServers(t *testing.T) {
	good := liar(t, []string{contact, first})
	stuck := []string{liar(t, []string{}), liar(t, []string{contact}), liar(t, []string{}), good}
	r := stream(t, strings.Join(stuck, ","))
	require.Eventually(t, func() bool { return r.Last() != "" }, time.Minute, time.Millisecond)
	assert.Equal(t, good, r.server.Endpoint)
}

// A server that is only slow is waited for in the end, however short the first patience with it is.
func TestStreamWaitsForWhoIsSlow(t *testing.T) {
	conns := make(chan net.Conn, 100)
	path := filepath.Join(t.TempDir(), "slow")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn
			time.AfterFunc(400*time.Millisecond, func() { lie(conn, []string{contact, first}) })
		}
	}()
	r := stream(t, "unix:"+path+",unix:/nonexistent/db.sock") // which has 150 ms at first
	require.Eventually(t, func() bool { return r.Last() != "" }, time.Minute, time.Millisecond)
	assert.Greater(t, len(conns), 1, "it was given up at first")
}

// What makes patience longer, and of which kind: rows that do not come, or an answer that does not.
func TestLeniencyGrowsWithSlowness(t *testing.T) {
	times := timesFor("ssl:a:1,ssl:b:1")
	p := times.leniency()
	p.bear(times, errClosed)
	assert.Equal(t, times.leniency(), p, "a connection that ended says nothing about time")
	p.bear(times, slowness(t.Context(), errStuck, context.DeadlineExceeded))
	assert.Equal(t, leniency{times.minPause, 2 * times.greet, times.silence}, p)
	p.bear(times, slowness(t.Context(), errSlow, context.DeadlineExceeded))
	assert.Equal(t, leniency{times.minPause, 4 * times.greet, 2 * times.silence}, p)
	for range 10 {
		p.bear(times, slowness(t.Context(), errSlow, context.DeadlineExceeded))
	}
	assert.Equal(t, leniency{times.minPause, times.maxGreet, longestSilence}, p)
}

// The pause grows from one round of all servers to the next, and not from one server to the next:
// of twenty servers none would be tried again before long.
func TestPausesGrowByRounds(t *testing.T) {
	var tries atomic.Int64
	path := filepath.Join(t.TempDir(), "shut")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_ = conn.Close()
			tries.Add(1)
		}
	}()
	c := newClient(t, "unix:"+path+strings.Repeat(",unix:/nonexistent/db.sock", 19), nil)
	c.timing.minPause, c.timing.maxPause = time.Millisecond, time.Hour
	start(t, c)
	require.Eventually(t, func() bool { return tries.Load() >= 4 }, patience, time.Millisecond)
}
