package agent

import (
	"context"
	"sync"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file is where snapshots are published, and where it is asked what a flow is of. The loop
// writes, any goroutine reads.

// Hub holds the latest snapshot, and says when there is a newer one.
type Hub struct {
	program  program
	mu       sync.Mutex
	snapshot *Snapshot
	newer    chan struct{} // closed when there is a newer one
}

// NewHub returns a hub that holds a snapshot.
func NewHub(first *Snapshot) *Hub { return &Hub{snapshot: first, newer: make(chan struct{})} }

// Publish replaces the snapshot by one that nobody changes any more.
func (h *Hub) Publish(s *Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.snapshot = s
	close(h.newer)
	h.newer = make(chan struct{})
}

// Snapshot returns the latest snapshot. It never changes later.
func (h *Hub) Snapshot() *Snapshot {
	s, _ := h.Watch()
	return s
}

// Watch returns the latest snapshot, and what is closed when there is a newer one.
func (h *Hub) Watch() (*Snapshot, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.snapshot, h.newer
}

// Await returns the first snapshot, from the present one on, for which ok holds; or the last one
// and ctx's error.
func (h *Hub) Await(ctx context.Context, ok func(*Snapshot) bool) (*Snapshot, error) {
	for {
		s, newer := h.Watch()
		if ok(s) {
			return s, nil
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// program is the compiler of the loop. The loop alone may change it and compare with it; any
// goroutine may ask what a flow is of, also while the loop compares.
type program struct {
	flows.Compiler
	changing sync.RWMutex
}

// Update makes the program that of an input, while nobody asks.
func (p *program) Update(in flows.Input) (openflow.Delta, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	return p.Compiler.Update(in)
}

// Origin returns what a flow is of; false = the program that is in force, or is about to be, has no
// such flow.
func (h *Hub) Origin(f openflow.Flow) (flows.Origin, bool) {
	h.program.changing.RLock()
	defer h.program.changing.RUnlock()
	return h.program.Origin(f)
}
