package policyserver

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// The door of a member: hosts are let in while it belongs to the majority of its cluster. A relay
// would hold them for half a minute more, and say meanwhile that all is well.

// How often the member is asked, and how long it may take.
const (
	askInterval = time.Second
	knockTime   = 3 * time.Second
)

// keepDoor opens and closes the way in of the relay for hosts until ctx ends.
func (f Folder) keepDoor(ctx context.Context) error {
	way := rowsOf(hostsColumn)
	isOpen := false
	for {
		if isIn := f.isInContact(ctx); isIn != isOpen {
			method := "ovsdb-server/remove-remote"
			if isIn {
				method = "ovsdb-server/add-remote"
			}
			knock, cancel := context.WithTimeout(ctx, knockTime)
			_, err := unixctl.Ask(knock, f.path(frontName), method, way)
			cancel()
			if err == nil { // else again
				isOpen = isIn
			}
		}
		pause := askInterval
		if !isOpen {
			pause = askInterval / 10
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// isInContact says whether the member answers, and belongs to the majority.
func (f Folder) isInContact(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	s := State{Endpoint: f.Socket()}
	return s.ask(ctx, nil) == nil && s.Connected
}
