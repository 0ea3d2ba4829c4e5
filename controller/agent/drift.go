package agent

import (
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/flows"
)

const (
	// maxTold is how many flows that somebody else has changed are logged one by one.
	maxTold = 20
	// restPerLook bounds what looking without a cause costs: after a look that took a second, this many seconds go by before the next.
	// Reading back keeps this process and the switch busy for as long as it takes, together one processor.
	restPerLook = 200
)

// tellDrift logs what somebody else has done to flows of ours, and returns how many that were. What the loop knew to differ is not drift.
func tellDrift(log *logrus.Entry, found flows.Difference, known flows.Delta) int {
	expected := map[flows.Key]bool{}
	for _, f := range slices.Concat(known.Delete, known.Add) {
		expected[f.Key()] = true
	}
	type change struct {
		what string
		flow flows.Flow
	}
	var changes []change
	note := func(what string, f flows.Flow) {
		if !expected[f.Key()] {
			changes = append(changes, change{what, f})
		}
	}
	for _, f := range found.Foreign {
		note("added", f)
	}
	for _, a := range found.Altered {
		note("altered", a.Held)
	}
	for _, f := range found.Missing {
		note("deleted", f)
	}
	log.WithField("flows", len(changes)).Warn("somebody else has changed flows of ours; repairing them")
	for _, c := range changes[:min(len(changes), maxTold)] {
		log.WithField("flow", c.flow.String()).Warn("a flow was " + c.what + " by somebody else")
	}
	if more := len(changes) - maxTold; more > 0 {
		log.WithField("flows", more).Warn("and more were changed by somebody else")
	}
	return len(changes)
}

// dueAt says when flows are to be looked at again without a cause, after a look that began and ended at these times.
func dueAt(began, ended time.Time) time.Time { return ended.Add(restPerLook * ended.Sub(began)) }
