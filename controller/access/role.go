package access

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Who may do what. The API server asks [Principal.May] once for each request. Invariant: the zero
// Role and the zero Principal may nothing.

// Role is what somebody may do; each may what those before it may.
type Role uint8

// The roles.
const (
	Nobody   Role = iota
	Viewer        // sees policies, and asks questions about them
	Editor        // changes groups, rules, instances and ports
	Operator      // makes projects and tokens, moves instances, sees hosts
)

var roleNames = [...]string{Nobody: "nobody", Viewer: "viewer", Editor: "editor",
	Operator: "operator"}

// Roles returns the roles that can be given, the least first.
func Roles() []Role { return []Role{Viewer, Editor, Operator} }

// String returns the word of commands and of the API.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// MarshalText returns the word.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the word; "nobody" is none that can be given.
func (r *Role) UnmarshalText(text []byte) error {
	n := slices.Index(roleNames[:], strings.ToLower(string(text)))
	if n <= int(Nobody) {
		return fmt.Errorf("role %q is not known; it must be viewer, editor or operator", text)
	}
	*r = Role(n)
	return nil
}

// Scope is what a request is about, as far as rights depend on it.
type Scope uint8

// The scopes.
const (
	// OfProject is about objects of the one project that the request names.
	OfProject Scope = iota + 1
	// OfAll is about more than one project, or about what is of none: hosts, the whole history.
	OfAll
	// OfSelf is about nobody but who asks.
	OfSelf
)

// Principal is somebody who was recognised.
type Principal struct {
	Name string // for the history and the audit, such as "alice" or "token 7f3a"
	How  string // how it was recognised: socket, token, certificate
	Role Role
	// Project is the only one that it may see; "" = all.
	Project string
	// Token is the ID of the token, certificate or session that it came with; "" = none.
	Token string
	// Until is when it is nobody any more; the zero Time = never.
	Until time.Time
}

// May says whether a principal may do what a role is needed for. project is that of a request of
// the scope OfProject; "" = what is of no project.
func (p Principal) May(needed Role, scope Scope, project string) bool {
	if needed == Nobody || p.Role < needed {
		return false
	}
	switch scope {
	case OfProject:
		return p.Project == "" || p.Project == project
	case OfAll:
		return p.Project == ""
	case OfSelf:
		return true
	}
	return false
}
