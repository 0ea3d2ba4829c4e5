package leaktest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestLeftFindsWhatIsLeft(t *testing.T) {
	require.Empty(t, leaktest.Left(time.Minute))
	stop := make(chan struct{})
	go wait(stop)
	left := leaktest.Left(10 * time.Millisecond)
	require.Len(t, left, 1)
	require.Contains(t, left[0], "leaktest_test.wait")
	close(stop)
	require.Empty(t, leaktest.Left(time.Minute))
}

func TestLeftWaitsForTheEnd(t *testing.T) {
	stop := make(chan struct{})
	go wait(stop)
	time.AfterFunc(20*time.Millisecond, func() { close(stop) })
	require.Empty(t, leaktest.Left(time.Minute))
}

func wait(stop chan struct{}) { <-stop }
