package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A bounded number of questions is answered at once; others wait their turn, and too many are told
// so.
func TestQueueIsBounded(t *testing.T) {
	q := newQueue(1)
	leave, p := q.acquire(context.Background())
	require.Nil(t, p)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, p = q.acquire(ended)
	require.Equal(t, http.StatusServiceUnavailable, p.status)

	waiting, stop := context.WithCancel(context.Background())
	told := make(chan *Problem, mostWaiting)
	for range mostWaiting {
		go func() {
			leave, p := q.acquire(waiting)
			if p == nil {
				leave()
			}
			told <- p
		}()
	}
	require.Eventually(t, func() bool { return q.waiting.Load() == mostWaiting }, time.Minute, time.Millisecond)
	_, p = q.acquire(context.Background())
	require.Equal(t, http.StatusTooManyRequests, p.status)
	leave()
	for range mostWaiting {
		require.Nil(t, <-told, "each has its turn")
	}
	stop()
	leave, p = q.acquire(context.Background())
	require.Nil(t, p)
	leave()
}
