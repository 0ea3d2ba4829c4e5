package bridge

import (
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// ErrNotConnected is that of package client.
var ErrNotConnected = client.ErrNotConnected

// ErrStaleRevision is returned when the database holds a greater policy revision than the one
// to be written, and not the unbelieved one. Nothing is changed then: a revision never goes back.
var ErrStaleRevision = errors.New("the database holds a newer policy revision")

// ErrDatapathType is returned when the bridge exists with another datapath type. It is left
// as it is; everything else is done.
var ErrDatapathType = errors.New("the bridge has another datapath type")

// ErrZonesTaken is returned when somebody else has given out conntrack zones since the rows were
// read. Nothing is changed then; newer rows show which zones are free.
var ErrZonesTaken = errors.New("conntrack zones were given to ports of another bridge just now")

// PortError says why one desired port could not be made or adopted. The others were.
type PortError struct {
	// Port is the name of the port.
	Port string
	// Reason is what is in the way.
	Reason string
}

// Error is the port and the reason.
func (e *PortError) Error() string { return "port " + e.Port + ": " + e.Reason }

// HeldError says that another daemon holds the lock of the bridge. Nothing is read or written
// meanwhile.
type HeldError struct {
	// Bridge is the name of the bridge.
	Bridge string
	// Daemon is who holds it, as that daemon wrote it down; "" = unknown.
	Daemon string
}

// Error says who keeps which bridge.
func (e *HeldError) Error() string {
	who := "another daemon, or whoever has taken the lock " + lockName(e.Bridge) + " in the database"
	if e.Daemon != "" {
		who = "another daemon: " + e.Daemon
	}
	return fmt.Sprintf("the bridge %s is kept by %s; two would undo each other's flows", e.Bridge, who)
}
