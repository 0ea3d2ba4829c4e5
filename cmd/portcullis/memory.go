package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/portcullis/portcullis/controller/agent"
)

const (
	// memoryPercent is how much garbage there may be, in percent of what is in use, before the collector runs: half of what Go allows,
	// because the daemon is idle for most of its life. The variable GOGC overrides it.
	memoryPercent = 50
	// ballastSize is what the collector takes for in use while the daemon starts, in bytes. It is never written to, so it is no memory.
	ballastSize = 64 << 20
)

// spareMemory has the collector run seldom while the daemon starts, and then gives back what is free: a start reads every file and
// compiles every flow, which leaves several times more garbage than the daemon will ever need again.
func spareMemory(ctx context.Context, hub *agent.Hub) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(memoryPercent)
	}
	ballast := make([]byte, ballastSize)
	_, err := hub.Await(ctx, func(s *agent.Snapshot) bool {
		return s.State == agent.StateInSync || s.State == agent.StateDegraded
	})
	runtime.KeepAlive(ballast)
	if err == nil { // else it stops
		ballast = nil
		debug.FreeOSMemory()
	}
	return nil
}
