package client

import (
	"errors"
	"strings"
	"time"
)

// How long a Stream bears with servers that are slow. stream.go calls it. Invariant: one that is
// stuck costs seconds where there are others, and one that is only busy is waited for in the end.

// streamTiming holds the times of a Stream; tests shorten them.
type streamTiming struct {
	minPause, maxPause time.Duration // when all servers were tried; doubles in between
	probe              time.Duration // how often a silent server is asked
	answer             time.Duration // how long it may think then, at least
	greet, maxGreet    time.Duration // the same of one that is new, at first and at most; doubles
	silence            time.Duration // of a server that is to send all rows; doubles
}

// longestSilence is how long a server may think that sends all rows to many hosts at one time.
const longestSilence = 8 * time.Minute

// timesFor are the times for a list of servers. One may be busy with all the hosts of a fleet, or
// accept connections and be stuck; where there are others, to change costs nothing.
func timesFor(endpoint string) streamTiming {
	t := streamTiming{minPause: 200 * time.Millisecond, maxPause: 5 * time.Second,
		probe: 5 * time.Second, answer: time.Minute, greet: 10 * time.Second,
		maxGreet: 80 * time.Second, silence: time.Minute}
	if strings.Contains(endpoint, ",") {
		t.answer, t.greet = 4*time.Second, 4*time.Second
	}
	return t
}

// leniency is how long a Stream bears with servers now. It grows while they are slow, so that what
// many hosts ask of them at one time comes to its end, and is what it was as soon as one answers.
type leniency struct {
	pause, greet, silence time.Duration
}

func (t streamTiming) leniency() leniency { return leniency{t.minPause, t.greet, t.silence} }

// bear is told why a session ended.
func (p *leniency) bear(t streamTiming, why error) {
	if errors.Is(why, errSlow) {
		p.silence = min(2*p.silence, longestSilence)
	}
	if isTimeout(why) {
		p.greet = min(2*p.greet, t.maxGreet)
	}
}
