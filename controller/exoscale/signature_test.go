package exoscale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/apiserver"
)

// FuzzParse: no header, path or query is more than refused; what is read is whole.
func FuzzParse(f *testing.F) {
	const mac = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	f.Add(scheme+" credential=K,expires=1,signature="+mac, "a=1", []byte("{}"))
	f.Add(scheme+" credential=K,signed-query-args=a;b,expires=1,signature="+mac, "a=1&b=2", []byte(""))
	f.Add(scheme+" credential=,expires=-1,signature=", ";", []byte("x"))
	f.Fuzz(func(t *testing.T, header, query string, body []byte) {
		s, err := parse(header)
		if err != nil {
			p, isKnown := apiserver.RefusalOf(err)
			require.True(t, isKnown)
			require.Equal(t, http.StatusUnauthorized, p.Status)
			return
		}
		require.NotEmpty(t, s.key)
		require.Len(t, s.mac, 32)
		_ = s.inTime(time.Unix(1_700_000_000, 0))
		req := httptest.NewRequest(http.MethodPost, "/v2/zone", nil)
		req.URL.RawQuery = query
		message, err := s.message(req, body)
		if err == nil && s.isOf(message, noSecret()) {
			t.Fatal("a secret that nobody has fits")
		}
	})
}

// FuzzDecode: no body is more than refused.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"flow-direction":"ingress","protocol":"tcp","icmp":{"type":8},"security-group":{"id":"x"}}`))
	f.Add([]byte(`{"instance":{"id":"x"}}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var rule ruleBody
		if decode(body, &rule) == nil {
			s := &seen{}
			_, err := s.rule(&rule)
			if _, isKnown := apiserver.RefusalOf(err); err != nil {
				require.True(t, isKnown)
			}
		}
		if id, err := target(body); err == nil {
			require.NotEmpty(t, id)
		}
	})
}

// TestOperationIDs are made of those of groups, and lead back to them; no other ID is one.
func TestOperationIDs(t *testing.T) {
	for range 100 {
		group := uuid.NewString()
		require.Equal(t, group, groupOf(operationID(group)))
		require.NotEqual(t, group, operationID(group))
		require.Empty(t, groupOf(group))
		require.Empty(t, operationID(operationID(group)))
	}
	require.Empty(t, operationID("x"))
}

// TestReplaysAreForgotten once they are over, or are too many; and what failed for want of a
// database is tried again.
func TestReplaysAreForgotten(t *testing.T) {
	var r replays
	now, ctx := time.Unix(1_700_000_000, 0), context.Background()
	count := 0
	make := func() (int, any, error) { count++; return count, nil, nil }
	do := func(id string, ends time.Time) bool {
		_, isFirst, err := r.once(ctx, id, now, ends, make)
		require.NoError(t, err)
		return isFirst
	}
	assert.True(t, do("a", now.Add(time.Minute)))
	assert.False(t, do("a", now.Add(time.Minute)))
	now = now.Add(time.Minute)
	assert.True(t, do("b", now.Add(time.Minute)))
	assert.Len(t, r.of, 1, "a is over")
	for n := range mostSeen + 10 {
		do(fmt.Sprint(n), now.Add(time.Minute))
	}
	assert.LessOrEqual(t, len(r.of), mostSeen)
	assert.False(t, do(fmt.Sprint(mostSeen), now.Add(time.Minute)))

	fails := func() (int, any, error) { return 0, nil, errors.New("no database") }
	_, isFirst, _ := r.once(ctx, "z", now, now.Add(time.Minute), fails)
	assert.True(t, isFirst)
	assert.True(t, do("z", now.Add(time.Minute)))
	refuses := func() (int, any, error) { return 0, nil, errUnknown() }
	_, _, _ = r.once(ctx, "y", now, now.Add(time.Minute), refuses)
	assert.False(t, do("y", now.Add(time.Minute)))
}
