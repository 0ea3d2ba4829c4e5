package cli

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// screen is what was written, by whichever goroutine.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// After two seconds a terminal is told what is done, and the line goes with the answer.
func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := &screen{}
		p := progressOn(screen)
		p.Stage("reading %s", "policy.yaml")
		time.Sleep(progressAfter - time.Millisecond)
		synctest.Wait()
		require.Empty(t, screen.String(), "it may be silent so long")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, "\r\x1b[Kreading policy.yaml …", screen.String())
		p.Stage("asking the daemon")
		p.End()
		p.End()
		require.Equal(t, "\r\x1b[Kreading policy.yaml …\r\x1b[Kasking the daemon …\r\x1b[K", screen.String())
		p.Stage("after the end")
		require.Equal(t, 3, strings.Count(screen.String(), "\r"))

		quick := progressOn(screen)
		quick.Stage("quick")
		quick.End()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NotContains(t, screen.String(), "quick")
	})
}

// A pipe sees nothing.
func TestProgressInAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p := NewProgress(w)
	require.Nil(t, p.timer)
	p.Stage("reading")
	p.End()
	require.NoError(t, w.Close())
	n, _ := r.Read(make([]byte, 1))
	require.Zero(t, n)
	require.NoError(t, r.Close())
}

// Each conversation has its own time, and the error names who was late.
func TestTimeoutNamesWhoWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := Timeout(3 * time.Second)
		require.NoError(t, limit.Check())
		for _, who := range []string{"the daemon", "the switch"} {
			ctx, cancel := limit.Begin(context.Background(), who)
			<-ctx.Done()
			err := Late(ctx, ctx.Err())
			require.EqualError(t, err, who+" gave no answer within 3s; --timeout waits longer")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		ctx, cancel := limit.Begin(context.Background(), "the daemon")
		cancel()
		require.Equal(t, context.Canceled, Late(ctx, ctx.Err()))
		require.ErrorContains(t, Timeout(-1).Check(), "--timeout")
	})
	f := Files{Config: "settings.yaml"}
	late := f.Unanswered(&LateError{"the daemon", time.Second})
	require.ErrorContains(t, late, "within 1s; --timeout waits longer")
	require.ErrorContains(t, late, "journalctl")
}
