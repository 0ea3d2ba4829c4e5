// Package lookup keeps the policy of the database looked up, for each project that asks about it,
// and the tables that were asked for: the API server's questions cost what they ask then, and not
// what the policy has. Invariant: what is kept is of the policy that is asked about, and is
// bounded.
package lookup

import (
	"sync"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// mostViews are kept at a time, and mostTables of each of them.
	mostViews  = 64
	mostTables = 16
)

// Cache is what is kept of the newest policy that was asked about. The zero Cache is ready.
type Cache struct {
	mu    sync.Mutex
	of    *policy.Policy
	views map[string]*View // by project
}

// View returns what a project sees of a policy, looked up; visible makes it, if it is not kept.
func (c *Cache) View(p *policy.Policy, project string, visible func() *policy.Policy) *View {
	c.mu.Lock()
	if c.of != p || len(c.views) >= mostViews && c.views[project] == nil {
		c.of, c.views = p, map[string]*View{}
	}
	v := c.views[project]
	if v == nil {
		v = &View{}
		c.views[project] = v
	}
	c.mu.Unlock()
	v.once.Do(func() { v.index = explain.NewIndex(policy.Spelled(visible())) })
	return v
}

// View is a policy as somebody sees it.
type View struct {
	once  sync.Once
	index *explain.Index

	mu     sync.Mutex
	tables map[api.MatrixQuestion]*matrix.Answer
	matrix *matrix.Index
}

// Index returns the policy, looked up.
func (v *View) Index() *explain.Index { return v.index }

// MatrixIndex returns what parts of the matrix are asked of. Who asks while it is made waits for
// it.
func (v *View) MatrixIndex() *matrix.Index {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.matrix == nil {
		v.matrix = matrix.NewIndex(v.index.Policy())
	}
	return v.matrix
}

// Matrix answers who reaches whom. The answer must not be changed.
func (v *View) Matrix(asked api.MatrixQuestion) (*matrix.Answer, error) {
	v.mu.Lock()
	known := v.tables[asked]
	v.mu.Unlock()
	if known != nil {
		return known, nil
	}
	q, err := asked.Question()
	if err != nil {
		return nil, err
	}
	found, err := matrix.Ask(v.index.Policy(), q)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tables == nil || len(v.tables) >= mostTables {
		v.tables = map[api.MatrixQuestion]*matrix.Answer{}
	}
	v.tables[asked] = found
	return found, nil
}
