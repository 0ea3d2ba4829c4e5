package controller

import (
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

// tellDrift logs what somebody else has done to flows of ours: what the switch held before, and what it holds now.
func tellDrift(log *logrus.Entry, before, held []flows.Flow) {
	was := make(map[flows.Key]bool, len(before))
	for _, f := range before {
		was[f.Key()] = true
	}
	missing := make(map[flows.Key]flows.Flow)
	delta := flows.Diff(before, held)
	for _, f := range delta.Add {
		missing[f.Key()] = f
	}
	told := 0
	tell := func(what string, f flows.Flow) {
		if told++; told <= maxTold {
			log.WithField("flow", f.String()).Warn("a flow was " + what + " by somebody else")
		}
	}
	for _, f := range delta.Delete {
		tell("added", f)
	}
	for _, f := range held {
		if _, ok := missing[f.Key()]; ok && was[f.Key()] {
			tell("altered", f)
			delete(missing, f.Key())
		}
	}
	for _, f := range delta.Add {
		if _, ok := missing[f.Key()]; ok {
			tell("deleted", f)
		}
	}
	if told > maxTold {
		log.WithField("flows", told-maxTold).Warn("and more were changed by somebody else")
	}
}

// dueAt says when flows are to be looked at again without a cause, after a look that began and ended at these times.
func dueAt(began, ended time.Time) time.Time { return ended.Add(restPerLook * ended.Sub(began)) }
