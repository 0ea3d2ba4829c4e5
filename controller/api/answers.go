package api

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is what keeps answers about the policy cheap: the policy in force, looked up, and a
// program to compare others with. Questions ask it; the agent's loop never does. Invariant: nothing
// is computed in the loop, a bounded number of questions at once, and what nobody asks is
// forgotten.

const (
	// questionsAtOnce are computed at the same time, plansAtOnce of them plans; others wait.
	questionsAtOnce = 2
	plansAtOnce     = 1
	// mostWaiting questions wait; more are told to come back.
	mostWaiting = 32
	// forgetAfter is how long what was looked up is kept when nobody asks.
	forgetAfter = 10 * time.Minute
)

// answers are what is kept between questions.
type answers struct {
	Server
	explaining, planning, tracing *queue

	mu    sync.Mutex
	of    *policy.Policy // that was looked up
	index *explain.Index // of it, as files can spell it
	maker *plan.Maker    // used by who is in the queue of plans
	idle  *time.Timer
}

func newAnswers(s Server) *answers {
	return &answers{Server: s, explaining: newQueue(questionsAtOnce), planning: newQueue(plansAtOnce),
		tracing: newQueue(tracesAtOnce)}
}

// inForce returns the policy that the switch is known to run, or else the one that is to be in
// force.
func inForce(s *agent.Snapshot) (*policy.Policy, *Problem) {
	p := s.Running.Policy
	if p == nil {
		p = s.InForce
	}
	if p == nil {
		return nil, problemf(http.StatusServiceUnavailable, "no policy is in force yet").
			or("ask again when the daemon has read one: 'portcullis status' says how far it is")
	}
	return p, nil
}

// currentIndex returns the policy in force, looked up. It was looked up already if the last
// question was about the same.
func (a *answers) currentIndex(s *agent.Snapshot) (*explain.Index, *Problem) {
	p, problem := inForce(s)
	if problem != nil {
		return nil, problem
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep()
	if a.of != p {
		a.of, a.index = p, explain.NewIndex(policy.Spelled(p))
	}
	return a.index, nil
}

// planner returns what makes plans.
func (a *answers) planner() *plan.Maker {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep()
	if a.maker == nil {
		a.maker = &plan.Maker{}
	}
	return a.maker
}

// keep puts off the time when all is forgotten.
func (a *answers) keep() {
	if a.idle == nil {
		a.idle = time.AfterFunc(forgetAfter, a.forget)
		return
	}
	a.idle.Reset(forgetAfter)
}

func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of, a.index, a.maker = nil, nil, nil
}

// queue lets a number of questions in at once.
type queue struct {
	slots   chan struct{}
	waiting atomic.Int32
}

func newQueue(atOnce int) *queue { return &queue{slots: make(chan struct{}, atOnce)} }

// acquire waits for its turn. Who was let in calls leave.
func (q *queue) acquire(ctx context.Context) (leave func(), p *Problem) {
	if q.waiting.Add(1) > mostWaiting {
		q.waiting.Add(-1)
		return nil, problemf(http.StatusTooManyRequests, "%d questions wait already", mostWaiting).
			or("ask again in a second")
	}
	defer q.waiting.Add(-1)
	select {
	case q.slots <- struct{}{}:
		return func() { <-q.slots }, nil
	case <-ctx.Done():
		return nil, problemf(http.StatusServiceUnavailable, "it was not this question's turn in time").
			or("ask again, with a longer --timeout")
	}
}
