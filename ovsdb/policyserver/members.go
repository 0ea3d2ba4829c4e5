package policyserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/unixctl"
)

// Who belongs to the cluster.

// Remove takes a member that is lost out of the cluster, by the beginning of its ID or its address.
// The server of the folder asks the leader to.
func (f Folder) Remove(ctx context.Context, member string) (Member, error) {
	told, err := unixctl.Ask(ctx, f.path(controlName), "cluster/status", policydb.Name)
	if err != nil {
		return Member{}, fmt.Errorf("a member must run in %s: %w", f, err)
	}
	var found []Member
	var known []string
	for _, m := range members(told) {
		known = append(known, m.ID+" at "+m.Address)
		if m.ID == member || strings.TrimPrefix(m.Address, "ssl:") == member ||
			strings.TrimPrefix(m.Address, "tcp:") == member || m.Address == member {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return Member{}, fmt.Errorf("%q is no member; there are %s", member, strings.Join(known, ", "))
	}
	if found[0].IsSelf {
		return Member{}, fmt.Errorf("%s is the member of %s itself: call it at another one", member, f)
	}
	_, err = unixctl.Ask(ctx, f.path(controlName), "cluster/kick", policydb.Name, found[0].ID)
	return found[0], err
}
