package exoscale

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What a key sees, by which names and IDs. All handlers call this. Invariant: for one key a group
// is its own or public, never both, and nothing else is there: named networks are everybody's, and
// of another project's groups those that are shared, by their names alone.

// seen is a generation of the policy as one key sees it.
type seen struct {
	policydb.View
	project string // "" = all
	byID    map[string]*policy.Group
	byName  map[string]*policy.Group
}

func see(v policydb.View, project string) *seen {
	s := &seen{View: v, project: project, byID: map[string]*policy.Group{},
		byName: map[string]*policy.Group{}}
	for _, g := range v.Policy.Groups {
		if s.isOwn(g) || s.isPublic(g) {
			s.byID[v.Groups[g.Name]], s.byName[g.Name] = g, g
		}
	}
	return s
}

// isOurs says whether a name is of something of the key's project.
func (s *seen) isOurs(name string) bool {
	return s.project == "" || strings.HasPrefix(name, s.project+"/")
}

func (s *seen) isOwn(g *policy.Group) bool { return !g.IsNetwork && s.isOurs(g.Name) }

func (s *seen) isPublic(g *policy.Group) bool {
	return g.IsNetwork || g.Shared && !s.isOurs(g.Name)
}

// short is what a key calls something of its own; what is public has the name of the policy.
func (s *seen) short(name string) string {
	if s.project == "" {
		return name
	}
	return strings.TrimPrefix(name, s.project+"/")
}

// full is the name that the policy has for something of the key's own.
func (s *seen) full(name string) string {
	if s.project == "" {
		return name
	}
	return s.project + "/" + name
}

// instances are those that the key sees.
func (s *seen) instances() []*policy.Instance {
	return slices.DeleteFunc(slices.Clone(s.Policy.Instances), func(i *policy.Instance) bool {
		return !s.isOurs(i.Name)
	})
}

// instance finds one by its ID; nil = there is none.
func (s *seen) instance(id string) *policy.Instance {
	for _, i := range s.Policy.Instances {
		if s.isOurs(i.Name) && instanceID(i) == id {
			return i
		}
	}
	return nil
}

// instanceID is an ID of an instance that stays whatever becomes of its ports: made of its name
// (RFC 9562, 5.5), as an instance has no row of its own.
func instanceID(i *policy.Instance) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("portcullis instance "+i.Name)).String()
}

// partID is the ID of one of the rules that a rule of several ports or peers is shown as.
func partID(rule, words string) string {
	of, err := uuid.Parse(rule)
	if err != nil {
		return "" // rows have UUIDs
	}
	return uuid.NewSHA1(of, []byte(words)).String()
}

// An operation is done when it is answered, and its ID says on which group it was: that of the
// group with another version (RFC 9562, 4.2). So every server knows every operation.
const (
	versionAt   = 6 // the byte of which the first half is the version
	ofRow       = 4 << 4
	ofOperation = 8 << 4
)

// operationID is the ID of an operation on a group.
func operationID(group string) string { return withVersion(group, ofRow, ofOperation) }

// groupOf is the ID of the group that an operation was on; "" = it is no ID of an operation.
func groupOf(operation string) string { return withVersion(operation, ofOperation, ofRow) }

func withVersion(id string, from, to byte) string {
	u, err := uuid.Parse(id)
	if err != nil || u[versionAt]&0xf0 != from {
		return ""
	}
	u[versionAt] = u[versionAt]&0x0f | to
	return u.String()
}
