package policydb

import "time"

// How a host stands to the policy database. The agent puts it into its status, and from there it is
// in metrics, the API and `status`.

// Standing says in one word what the policy in force is worth.
type Standing string

// The standings.
const (
	Current Standing = "current" // it is what the database says
	// the database cannot be reached, has lost its cluster, or nobody has told it anything for long
	Stale Standing = "stale"
	// the server has fewer generations than were read before: what it has is not taken
	Behind Standing = "behind"
	// the daemon has started and no database has answered yet: what was kept is in force
	Cold Standing = "cold"
	// some rows are not valid: all others are in force
	Invalid Standing = "invalid"
)

// Following is how a host stands to the policy database; the zero Following = the policy is in
// files.
type Following struct {
	Standing Standing `json:"standing,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"` // that is followed, or was
	Cluster  string   `json:"cluster,omitempty"`  // whose generations are counted
	// of what was read last and may be in force
	Generation  int       `json:"generation,omitempty"`
	CommittedAt time.Time `json:"committed_at,omitzero"` // by the clock of who wrote it
	StaleSince  time.Time `json:"stale_since,omitzero"`  // by this host's; the zero Time = it is not
	Why         string    `json:"why,omitempty"`         // it is not current
	Offered     int       `json:"offered,omitempty"`     // the generation of a server that is behind
	// Asked is a generation for which somebody waits: hosts say at once that they have it in force.
	Asked int `json:"asked,omitempty"`
}
