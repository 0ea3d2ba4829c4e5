package apiserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRollbackTells says who gains and loses by it, before and after.
func TestRollbackTells(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{"rules":[`+webRule+`]}`)
	s.must("PUT", "/v1/instances/web-1", `{"host":"hv1",`+
		instanceBody("02:00:00:00:00:11", "203.0.113.11", "web")[1:])
	s.must("PUT", "/v1/groups/web", `{}`, "If-Match: *")
	for _, query := range []string{"?dry_run=true", ""} {
		var done Done
		s.must("POST", "/v1/changes/2/rollback"+query, "").into(t, &done)
		assert.Equal(t, 1, done.Gained)
		require.Len(t, done.Access, 1)
		assert.Contains(t, done.Access[0], "web-1 may now be reached from 198.51.100.0/24")
	}
	_, generation, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, 4, generation)
}
